//! How a future waits: it tries whenever it is polled, and sees to it that it is polled again.

use crate::channel::ends::Ends;
use crate::channel::ring::memory::Slots;
use crate::channel::ring::{Inspector, Queue, Waiting};
use crate::channel::timer::Timer;
use crate::plain::Plain;
use crate::shm::wait::{INSPECTION, POLL, Surroundings};
use std::task::{Context, Poll};
use std::time::Instant;

/// What a future does with the ends of a channel until it succeeds.
pub(super) struct Attempts<'a, T> {
    pub(super) ends: &'a Ends<T>,
    /// What it waits at.
    queue: &'a Queue<Slots<T>>,
    /// From the first attempt in vain on.
    wait: Option<Wait<'a, T>>,
}

struct Wait<'a, T> {
    began: Instant,
    inspected: Instant,
    inspector: Inspector<'a, Slots<T>>,
    _waiting: Waiting<'a>,
    timer: Timer,
}

impl<'a, T: Plain> Attempts<'a, T> {
    pub(super) fn to_put(ends: &'a Ends<T>) -> Self {
        Self::at(ends, ends.puts())
    }

    pub(super) fn to_take(ends: &'a Ends<T>) -> Self {
        Self::at(ends, ends.queue())
    }

    fn at(ends: &'a Ends<T>, queue: &'a Queue<Slots<T>>) -> Self {
        let wait = None;
        Attempts { ends, queue, wait }
    }

    /// Tries once. If there is nothing to be had, has the task polled again: at once for some
    /// microseconds, and after sleeps then.
    pub(super) fn poll<R>(
        &mut self,
        context: &Context<'_>,
        attempt: impl FnOnce(&'a Ends<T>) -> Option<R>,
    ) -> Poll<R> {
        let queue = self.queue;
        queue.memory.progress();
        if let Some(result) = attempt(self.ends) {
            self.wait = None;
            return Poll::Ready(result);
        }
        let now = Instant::now();
        let wait = self.wait.get_or_insert_with(|| Wait {
            began: now,
            inspected: now,
            inspector: queue.inspector(),
            _waiting: queue.wait_as_future(),
            timer: Timer::new(),
        });
        if now - wait.inspected >= INSPECTION {
            wait.inspected = now;
            if wait.inspector.inspect().is_err() {
                self.ends.note_loss();
            }
        }
        if now - wait.began < queue.memory.spin_budget().unwrap_or(POLL) {
            context.waker().wake_by_ref();
        } else {
            wait.timer.set(now, context.waker());
        }
        Poll::Pending
    }
}
