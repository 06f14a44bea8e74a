//! How many ranks run at the same time: the harness of Rust runs a test a core, but a test here has several processes.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

/// The ranks of this program's tests that run now.
static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// Keeps the cores for a job; dropping this gives them back.
pub(crate) struct Room(usize);

impl Room {
    /// Waits until there is a core for each of the ranks, or no other job runs.
    pub(crate) fn wait_for(ranks: usize) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = |running: &mut usize| *running > 0 && *running + ranks > cores;
        let running = ENDED.wait_while(running, is_full);
        *running.unwrap_or_else(PoisonError::into_inner) += ranks;
        Self(ranks)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        ENDED.notify_all();
    }
}
