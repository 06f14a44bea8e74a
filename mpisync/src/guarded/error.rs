//! What can go wrong in a call of a [`Guarded`](super::Guarded).

use crate::error::{CollectiveError, CreateError, LockError};
use std::io;

/// Why a call of a [`Guarded`](super::Guarded) has failed; `E` is the error type of what it owns.
///
/// The lock is free again in any case. An [`io::Error`] can be made of it where `E` is that, so `?`
/// works in functions that return [`io::Result`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardedError<E> {
    /// The lock could not be made.
    #[error(transparent)]
    Make(#[from] CreateError),
    /// The lock could not be had; nothing was opened.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Another rank, which creates or writes for all, has failed; or the ranks are in different
    /// calls.
    #[error(transparent)]
    Call(#[from] CollectiveError),
    /// It could not be created.
    #[error("{name} cannot be created: {error:#}")]
    Create {
        /// What it is called.
        name: String,
        /// Why.
        error: E,
    },
    /// It could not be opened. A file that one rank has created and another does not find may lie
    /// in a directory that the nodes do not share.
    #[error(
        "{name} cannot be opened (does this node see the same files as the others?): {error:#}"
    )]
    Open {
        /// What it is called.
        name: String,
        /// Why.
        error: E,
    },
    /// The closure has returned this error. What it had opened is closed.
    #[error("{0:#}")]
    Use(E),
    /// It could not be closed: something of what the closure wrote may be missing.
    #[error(
        "{name} cannot be written out and closed, so something may be missing in it: {error:#}"
    )]
    Close {
        /// What it is called.
        name: String,
        /// Why.
        error: E,
    },
}

impl From<GuardedError<io::Error>> for io::Error {
    fn from(error: GuardedError<io::Error>) -> Self {
        match error {
            GuardedError::Use(error) => error,
            GuardedError::Create {
                error: ref cause, ..
            }
            | GuardedError::Open {
                error: ref cause, ..
            }
            | GuardedError::Close {
                error: ref cause, ..
            } => io::Error::new(cause.kind(), error),
            error => io::Error::other(error),
        }
    }
}
