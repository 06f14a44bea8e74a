//! Memory that all ranks of a job share: a mapped file of atomic words.
//!
//! The tests check the locks by the contents of this memory. It belongs neither to MPI nor to the
//! library, so that a fault in either cannot hide itself.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The number of words that a case can use.
pub const WORDS: usize = 4096;

/// Words are a cache line apart, so that a test does not slow down the code under test.
const STRIDE: usize = 8;

const BYTES: usize = WORDS * STRIDE * size_of::<AtomicU64>();

/// The limit of [`until`]: far above the needs of any case, below the limit of a whole launch.
const PATIENCE: Duration = Duration::from_secs(40);

/// The words; all zero when a case starts.
pub struct Scratch {
    words: &'static [AtomicU64],
}

impl Scratch {
    /// Maps `path`, and creates the file if it is missing. The mapping lives as long as the
    /// process.
    ///
    /// # Errors
    /// The system's error about the file or the mapping.
    pub fn map(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.set_len(BYTES as u64)?;
        // SAFETY: a fresh shared mapping of a file that has the mapped length; nothing is
        // overwritten.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the mapping is page-aligned, BYTES long, never unmapped, and accessed only
        // through atomics.
        let words = unsafe { std::slice::from_raw_parts(start.cast(), WORDS * STRIDE) };
        Ok(Self { words })
    }

    /// The word number `index`.
    pub fn word(&self, index: usize) -> &'static AtomicU64 {
        assert!(index < WORDS, "a case may use {WORDS} words");
        &self.words[index * STRIDE]
    }

    /// Sets every word to zero.
    pub fn clear(&self) {
        for word in self.words {
            word.store(0, Ordering::SeqCst);
        }
    }

    /// A barrier of `size` ranks without MPI. Each `index` can be used once in a case.
    pub fn meet(&self, index: usize, size: i32) {
        let arrived = self.word(index);
        arrived.fetch_add(1, Ordering::SeqCst);
        until("all ranks to meet", || {
            arrived.load(Ordering::SeqCst) >= size as u64
        });
    }

    /// Sets a flag for [`Scratch::wait_for`].
    pub fn raise(&self, index: usize) {
        self.word(index).store(1, Ordering::SeqCst);
    }

    /// Whether another rank has raised the flag.
    pub fn is_raised(&self, index: usize) -> bool {
        self.word(index).load(Ordering::SeqCst) != 0
    }

    /// Waits, without MPI, until another rank has raised the flag.
    pub fn wait_for(&self, index: usize) {
        until(&format!("flag {index}"), || self.is_raised(index));
    }
}

/// Waits, without MPI, until `done` returns true.
///
/// # Panics
/// After 40 seconds, with `what` as the name of the condition.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        thread::yield_now();
    }
}
