//! What the libraries of mpisync for other languages share. It has no promise of stability: use
//! `mpisync-c` from C and Fortran, the package `mpisync` from Python, and the crate `mpisync` from Rust.
//!
//! Other languages have neither lifetimes nor types that stay on their thread. So an object lies in a
//! table of the thread that made it, and the other language has its number ([`handle`]). A lock stays
//! held between two calls because the guard lies beside its object ([`held`]). An error has a kind, a
//! message and a rank ([`failure`]). [`comm`] takes communicators that the other language has made, and [`block`] finds the items
//! of a part of an array.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("a handle has 64 bits");

pub mod block;
pub mod byte_channel;
pub mod comm;
pub mod failure;
pub mod handle;
pub mod held;
pub mod limit;
pub mod objects;
