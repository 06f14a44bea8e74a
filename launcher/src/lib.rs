//! The launchers of MPI, the jobs that they run, and the processes that they start.

mod family;
mod job;
pub mod processes;

pub use family::{ENVIRONMENT, Family};
pub use job::{family, job};
