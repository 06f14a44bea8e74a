//! The launchers of MPI, the jobs that they run, and the processes that they start.
//!
//! This crate does not need MPI. `mpisync-test` uses it to start ranks.

mod death;
mod directory;
mod error;
mod family;
mod find;
mod job;
pub mod processes;

pub use death::Death;
pub use directory::JobDirectory;
pub use error::LauncherError;
pub use family::{ENVIRONMENT, Family};
pub use find::{launchers, loaded_library};
pub use job::{Launcher, family, job};
