//! Waits that end because the program asks them to, for example at a signal.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a wait lasts before it asks, and how often it asks then.
const INTERVAL: Duration = Duration::from_millis(20);

thread_local! {
    /// What the waits of this thread ask.
    static QUESTION: Cell<Option<fn() -> bool>> = const { Cell::new(None) };
}

/// Sets for this thread a function that its waits call about every 20 milliseconds, for as long as they
/// last. If it returns `true`, the wait ends with [`LockError::Interrupted`](crate::LockError::Interrupted),
/// [`ChannelError::Interrupted`](crate::ChannelError::Interrupted) or
/// [`CreateError::Interrupted`](crate::CreateError::Interrupted). `None`, the default, lets all waits
/// go on.
///
/// For programs that have to act on something else while they wait, such as the signals of an
/// interpreter. A wait of less than 20 milliseconds does not ask. Neither do the few waits that cannot
/// be given up: that of a writer until the others have collected a large value, that of a region's
/// write guard until other hosts have the changes, and those for another host's answer to a question.
///
/// The rank is then where it is after a time limit: it has left the queue of a lock, and it has arrived at
/// a barrier or in a collective call. A rank that is interrupted while it makes an object can make no
/// further one on that communicator: [`CreateError::InterruptedBefore`](crate::CreateError::InterruptedBefore).
/// In calls that return no `Result` the error is a panic.
///
/// `question` must not call mpisync: an object may be in use by the call that waits.
///
/// ```
/// use mpisync::{LockError, WindowController};
/// use std::sync::Barrier;
/// use std::time::Duration;
///
/// let meeting = Barrier::new(2);
/// let outcomes = WindowController::threads(2)?.run(|mut ctrl| {
///     if ctrl.is_master() {
///         let _writing = ctrl.write();
///         meeting.wait();
///         meeting.wait();
///         return None;
///     }
///     meeting.wait();
///     mpisync::interrupt_waits(Some(|| true)); // Here a program looks for a signal.
///     let outcome = ctrl.read_timeout(Duration::MAX).map(drop);
///     meeting.wait();
///     outcome.err()
/// });
/// assert_eq!(outcomes, [None, Some(LockError::Interrupted)]);
/// # Ok::<(), mpisync::CreateError>(())
/// ```
pub fn interrupt_waits(question: Option<fn() -> bool>) {
    QUESTION.set(question);
}

/// The questions of one wait.
pub(crate) struct Interruption {
    question: Option<fn() -> bool>,
    due: Instant,
}

impl Interruption {
    /// For a wait of this thread that has begun at `start`.
    pub(crate) fn of_wait(start: Instant) -> Self {
        Interruption {
            question: QUESTION.get(),
            due: start + INTERVAL,
        }
    }

    /// Whether the wait has to end. Called time and again while it lasts.
    #[inline]
    pub(crate) fn has_come(&mut self, now: Instant) -> bool {
        match self.question {
            Some(question) if now >= self.due => {
                let has_come = question();
                self.due = Instant::now() + INTERVAL;
                has_come
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_asks_once_it_is_long_and_not_at_each_look() {
        thread_local! {
            static ASKED: Cell<u32> = const { Cell::new(0) };
        }
        interrupt_waits(Some(|| ASKED.replace(ASKED.get() + 1) == 1));
        let start = Instant::now();
        let mut interruption = Interruption::of_wait(start);
        assert!(!interruption.has_come(start));
        assert_eq!(ASKED.get(), 0);
        assert!(!interruption.has_come(start + INTERVAL));
        assert!(!interruption.has_come(start + INTERVAL));
        assert_eq!(ASKED.get(), 1);
        assert!(interruption.has_come(Instant::now() + 2 * INTERVAL));
        interrupt_waits(None);
        let mut interruption = Interruption::of_wait(start);
        assert!(!interruption.has_come(start + 2 * INTERVAL));
    }
}
