//! How a future waits.
//!
//! No process can call a waker of another one, so a future checks whenever it is polled and arranges
//! for the next poll itself: at once for some microseconds, then after sleeps of up to a millisecond.
//! `futures-timer` ends the sleeps, with one thread for the whole process, which never calls MPI.

use crate::error::LockError;
use crate::shm::wait::{FIRST_SLEEP, INSPECTION, POLL, Surroundings};
use crate::shm::waiting::{Call, Watch};
use crate::span::Outcome;
use futures_timer::Delay;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// When a future is polled again.
pub(crate) struct Polling {
    began: Instant,
    inspected: Instant,
    sleep: Option<Delay>,
    sleep_time: Duration,
}

impl Polling {
    pub(crate) fn begin(now: Instant) -> Self {
        Polling {
            began: now,
            inspected: now,
            sleep: None,
            sleep_time: FIRST_SLEEP,
        }
    }

    /// Whether the future has to check whether its wait can still succeed, about once a millisecond.
    pub(crate) fn is_inspection_due(&mut self, now: Instant) -> bool {
        let is_due = now - self.inspected >= INSPECTION;
        if is_due {
            self.inspected = now;
        }
        is_due
    }

    /// Arranges for the task to be polled again.
    pub(crate) fn wake_later(
        &mut self,
        context: &mut Context<'_>,
        surroundings: &impl Surroundings,
        now: Instant,
    ) {
        if now - self.began < surroundings.spin_budget().unwrap_or(POLL) {
            context.waker().wake_by_ref();
        } else {
            self.sleep(context, surroundings.longest_sleep());
        }
    }

    /// Wakes the task after a sleep, each twice as long as the one before. A sleep that has not
    /// ended stays, and wakes the task of the last poll.
    fn sleep(&mut self, context: &mut Context<'_>, longest: Duration) {
        let sleep = match &mut self.sleep {
            Some(sleep) => {
                if Pin::new(&mut *sleep).poll(context).is_pending() {
                    return;
                }
                sleep.reset(self.sleep_time);
                sleep
            }
            first => first.insert(Delay::new(self.sleep_time)),
        };
        self.sleep_time = (self.sleep_time * 2).min(longest);
        if Pin::new(sleep).poll(context).is_ready() {
            context.waker().wake_by_ref();
        }
    }
}

/// The wait of a future in a call, from its first poll on that finds that it has to wait.
#[derive(Default)]
pub(crate) struct PolledWait<'a>(Option<(Polling, Watch<'a>)>);

impl<'a> PolledWait<'a> {
    /// Makes one attempt. If it returns `None`, arranges for the task to be polled again. The attempt
    /// is told whether it has to check whether the wait can still succeed.
    #[inline]
    pub(crate) fn poll<T, E: From<LockError>>(
        &mut self,
        context: &mut Context<'_>,
        surroundings: &impl Surroundings,
        call: impl FnOnce() -> Call<'a>,
        mut attempt: impl FnMut(bool) -> Result<Option<T>, E>,
    ) -> Poll<Result<T, E>> {
        if self.0.is_none() {
            match attempt(false) {
                Ok(None) => {}
                Ok(Some(value)) => return Poll::Ready(Ok(value)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.poll_again(context, surroundings, call, attempt)
    }

    #[cold]
    fn poll_again<T, E: From<LockError>>(
        &mut self,
        context: &mut Context<'_>,
        surroundings: &impl Surroundings,
        call: impl FnOnce() -> Call<'a>,
        mut attempt: impl FnMut(bool) -> Result<Option<T>, E>,
    ) -> Poll<Result<T, E>> {
        let now = Instant::now();
        let (polling, watch) = (self.0).get_or_insert_with(|| {
            let watch = Watch::new(Some(call().of_future()), false, now);
            (Polling::begin(now), watch)
        });
        surroundings.progress();
        let inspects = polling.is_inspection_due(now);
        let outcome = match attempt(inspects) {
            Ok(None) if inspects => watch_and_check(surroundings, watch, now).map(|()| None),
            outcome => outcome,
        };
        match outcome {
            Ok(None) => {
                polling.wake_later(context, surroundings, now);
                Poll::Pending
            }
            Ok(Some(value)) => {
                self.end(Outcome::Success);
                Poll::Ready(Ok(value))
            }
            Err(error) => {
                self.end(Outcome::Failure);
                Poll::Ready(Err(error))
            }
        }
    }

    /// Ends the wait, if there is one.
    fn end(&mut self, outcome: Outcome) {
        if let Some((_, mut watch)) = self.0.take() {
            watch.end(outcome);
        }
    }

    /// Polls soon again, as at the beginning of the wait.
    pub(crate) fn restart(&mut self) {
        if let Some((polling, _)) = &mut self.0 {
            *polling = Polling::begin(Instant::now());
        }
    }
}

impl Drop for PolledWait<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.end(Outcome::Dropped);
        }
    }
}

/// Reports the wait if it is long.
///
/// # Errors
/// If a host is lost.
fn watch_and_check<E: From<LockError>>(
    surroundings: &impl Surroundings,
    watch: &mut Watch<'_>,
    now: Instant,
) -> Result<(), E> {
    let reachable = surroundings.check_hosts();
    reachable.map_err(|stop| LockError::from(stop.expect_host_loss()))?;
    let ticked = watch.tick(now);
    debug_assert!(
        ticked.is_ok(),
        "the wait of a future only ends by its attempts"
    );
    Ok(())
}
