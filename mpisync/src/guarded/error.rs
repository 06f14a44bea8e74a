//! The errors of a [`Guarded`](super::Guarded).

use crate::error::{CollectiveError, CreateError, LockError};
use std::io;

/// The reason why a call of a [`Guarded`](super::Guarded) failed. `E` is the error type of the
/// resource.
///
/// The lock is free again in any case. If `E` is [`io::Error`], the error converts to it, so `?`
/// works in functions that return [`io::Result`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardedError<E> {
    /// The lock could not be made.
    #[error(transparent)]
    Make(#[from] CreateError),
    /// The lock could not be taken. Nothing was opened.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The rank that creates or writes for all ranks failed, or the ranks made different calls.
    #[error(transparent)]
    Call(#[from] CollectiveError),
    /// The resource could not be created.
    #[error("{name} cannot be created: {error:#}")]
    Create {
        /// The name of the resource.
        name: String,
        /// The cause.
        error: E,
    },
    /// The resource could not be opened. If one rank created a file that another rank does not
    /// find, the file may be in a directory that the nodes do not share.
    #[error(
        "{name} cannot be opened (does this node see the same files as the others?): {error:#}"
    )]
    Open {
        /// The name of the resource.
        name: String,
        /// The cause.
        error: E,
    },
    /// The closure returned this error. The resource is closed.
    #[error("{0:#}")]
    Use(E),
    /// The resource could not be closed. Some of the written data may be missing.
    #[error(
        "{name} cannot be written out and closed, so some of its data may be missing: {error:#}"
    )]
    Close {
        /// The name of the resource.
        name: String,
        /// The cause.
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
