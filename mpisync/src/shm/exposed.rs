//! Files of shared memory that stay open, so that other processes of the user can look at the memory.
//!
//! A process finds the mappings of another one in `/proc/PID/maps`, but may open them only with a
//! capability, and read the memory only where it may trace the process. A descriptor in `/proc/PID/fd`
//! can be opened by every process of the user.

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most files of a process: a program may need its descriptors itself.
const MOST: usize = 64;

/// How many there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A descriptor for reading.
pub(super) struct Exposed {
    _file: OwnedFd,
}

impl Exposed {
    /// Opens the file anew. None if that is not possible, or this process has [`MOST`] of them.
    pub(super) fn new(file: &OwnedFd) -> Option<Self> {
        let count = |count: usize| (count < MOST).then_some(count + 1);
        COUNT
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count)
            .ok()?;
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let opened = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        if opened.is_err() {
            COUNT.fetch_sub(1, Ordering::Relaxed);
        }
        Some(Exposed {
            _file: opened.ok()?,
        })
    }
}

impl Drop for Exposed {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}
