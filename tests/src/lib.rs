//! What the integration tests of mpisync share.
//!
//! A test (`tests/*.rs`) names *cases* and starts the program `ranks` on N ranks with [`launch`]. Each rank
//! runs the cases in order ([`job`]), and the ranks check invariants of one another in [`scratch`] memory,
//! which is a mapped file and so has nothing to do with MPI or with mpisync.

pub mod family;
pub mod job;
pub mod launch;
pub mod panics;
pub mod pshmem;
pub mod restart;
pub mod rng;
pub mod scratch;
pub mod suite;
