//! The lives of ranks whose processes cannot be looked up.
//!
//! Ranks of a node that are in PID or time namespaces of their own, as in containers, do not find
//! each other in `/proc`. Each of them locks a byte of the file that they share as memory; the kernel
//! releases the lock when the process ends, however it ends. The locks belong to open file
//! descriptions (`F_OFD_SETLK`, fcntl(2)), which every namespace sees.

use crate::shm::system;
use rustix::fd::OwnedFd;
use rustix::io;

/// The shared file, opened by this process itself: a description inherited from another process
/// would hold that one's locks.
pub(crate) struct Liveness {
    file: OwnedFd,
}

impl Liveness {
    pub(crate) fn new(file: OwnedFd) -> Self {
        Liveness { file }
    }

    /// Locks the byte of a local rank of this process until the process has ended, and with it the
    /// children that it has forked without `exec`.
    ///
    /// # Errors
    /// Those of fcntl(2), if the file system or the sandbox has no such locks.
    pub(crate) fn hold(&self, local_rank: usize) -> io::Result<()> {
        system::lock_byte(&self.file, local_rank as u64)
    }

    /// Whether the process of this local rank, of another process that has called
    /// [`hold`](Self::hold), is alive.
    pub(crate) fn is_held(&self, local_rank: usize) -> bool {
        // An error says nothing about the process.
        system::is_byte_locked(&self.file, local_rank as u64).unwrap_or(true)
    }
}
