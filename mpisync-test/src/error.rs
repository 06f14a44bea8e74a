//! Why a test has failed.

use std::fmt;
use std::io;

use launcher::LauncherError;
use thiserror::Error;

/// Why a test could not run.
#[derive(Debug, Error)]
pub(crate) enum TestError {
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    #[error("{variable} is {value:?}, but has to be {expected}")]
    Setting {
        variable: &'static str,
        value: String,
        expected: &'static str,
    },
    #[error("the ranks cannot be started: {0}")]
    Start(#[source] io::Error),
}

/// What a failed test returns; `Debug`, with which the harness of Rust prints it, is its text.
pub struct Failure(pub(crate) String);

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
