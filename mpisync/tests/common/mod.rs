//! Ranks that are threads, and an end for tests that hang.

use mpisync::{ThreadRanks, WindowController};
use std::thread;
use std::time::Duration;

pub fn ranks(size: usize) -> ThreadRanks {
    WindowController::threads(size).expect("a valid number")
}

pub const LIMIT: Duration = Duration::from_secs(60);

/// A test that has not ended by then ends the process.
pub fn within(limit: Duration, test: impl FnOnce()) {
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    thread::spawn(move || {
        if is_done.recv_timeout(limit) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            eprintln!("the test hangs");
            std::process::abort();
        }
    });
    test();
    drop(done);
}
