//! The common parts of mpisync's integration tests.
//!
//! A file of `tests/ranks` registers its *cases* with [`cases!`]. The test program starts itself on
//! N ranks ([`launch`], [`harness`]). Each rank runs the cases in order ([`job`]), and the ranks
//! check each other's invariants in [`scratch`] memory, which is a mapped file and independent of
//! MPI and mpisync.

pub mod cases;
pub mod harness;
pub mod job;
pub mod launch;
pub mod outcome;
pub mod panics;
pub mod programs;
pub mod rng;
pub mod scratch;
pub mod signals;
pub mod source;
