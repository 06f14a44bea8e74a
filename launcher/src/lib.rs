//! The launchers of MPI, and the processes that they start.

mod family;
pub mod processes;

pub use family::{ENVIRONMENT, Family};
