//! mpisync for C and Fortran.
//!
//! Each object of mpisync has functions with the prefix `mpisync_`, which `include/mpisync.h`
//! declares. A handle is a number, disguised as a pointer to an opaque type, of an object in a table
//! of the thread ([`handle`]). A lock stays held between two calls because the table has the guard
//! beside its object ([`mpisync_bindings::held`]). Errors are a [`mpisync_status`](status::mpisync_status) with a
//! message, and no panic leaves a function ([`status`]).
//!
//! The crate is for programs in other languages: from Rust, use `mpisync`.
#![expect(
    non_camel_case_types,
    reason = "types have the names that C programs use"
)]

pub mod argument;
pub mod barrier;
pub mod batch;
pub mod channel;
pub mod comm;
pub mod controller;
pub mod counter;
pub mod handle;
pub mod mutex;
pub mod process;
pub mod region;
pub mod semaphore;
pub mod status;
