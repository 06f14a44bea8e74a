//! Polls of futures without an executor.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::thread;

/// Polls a future once, with a waker that does nothing.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a future until it is ready, with a waker that does nothing.
pub fn poll_until_ready<F: Future + Unpin>(future: &mut F) -> F::Output {
    loop {
        if let Poll::Ready(output) = poll_once(future) {
            return output;
        }
        thread::yield_now();
    }
}
