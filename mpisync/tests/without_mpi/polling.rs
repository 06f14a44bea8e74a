//! For tests of futures: ranks that are threads, and polls without an executor.

use mpisync::{ThreadRanks, WindowController};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
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

/// Polls a future once, for nobody.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a future until it is ready, for nobody.
pub fn poll_until_ready<F: Future + Unpin>(future: &mut F) -> F::Output {
    loop {
        if let Poll::Ready(output) = poll_once(future) {
            return output;
        }
        thread::yield_now();
    }
}
