//! The atomics, fences and waits of the protocols, on a real machine. Those of the model checker
//! are in `model.rs`.

use crate::shm::event::Event;
use crate::shm::membarrier::Reach;
use crate::shm::system;
use crate::shm::wait::{ActivePolling, Deadline, FIRST_SLEEP, INSPECTION, POLL};
use crate::shm::wait::{Stop, Surroundings};
use crate::span::Outcome;
use std::time::{Duration, Instant};

pub(crate) use core::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(test)]
pub(crate) use for_tests::{Arc, Slot};
pub(crate) use std::sync::{Mutex, MutexGuard};
pub(crate) use std::thread::yield_now;

/// Whether the model checker runs this code.
pub(crate) const MODELLED: bool = false;

/// Nonzero while a rank sleeps on the word beside it. A sleeper sets it and a waker clears it, so
/// that a rank which releases a lock often pays one system call per sleeper, not one per release.
#[derive(Default)]
#[repr(transparent)]
pub(crate) struct Sleepers(AtomicU32);

impl Sleepers {
    #[inline]
    pub(super) fn wake(&self, word: &AtomicU32, count: u32, before: impl FnOnce()) {
        if self.0.load(Ordering::SeqCst) != 0 {
            before();
            self.wake_from_sleep(word, count);
        }
    }

    #[cold]
    fn wake_from_sleep(&self, word: &AtomicU32, count: u32) {
        self.0.store(0, Ordering::SeqCst);
        system::futex_wake(word, count);
    }
}

impl Event<'_> {
    /// Whether a rank sleeps on the word.
    pub(crate) fn has_sleepers(&self) -> bool {
        self.sleepers.0.load(Ordering::SeqCst) != 0
    }

    /// Announces that this rank is about to sleep. The rank has to check its condition once more
    /// after this call: a rank that changes the condition later sees the announcement.
    pub(crate) fn announce_sleeper(&self) {
        self.sleepers.0.swap(1, Ordering::SeqCst);
    }

    /// Sleeps for at most `sleep_time`; returns at once if the word differs from `seen`.
    pub(crate) fn sleep(&self, seen: u32, sleep_time: Duration) {
        system::futex_wait(self.word, seen, sleep_time);
    }
}

/// Sleeps for at most `sleep_time`; returns at once if one of the words differs from the value that
/// was seen.
pub(crate) fn sleep_on_any(events: &[(Event<'_>, u32)], sleep_time: Duration) {
    match events {
        [] => std::thread::sleep(sleep_time),
        [(event, seen)] => event.sleep(*seen, sleep_time),
        events => system::futex_wait_any(
            events.iter().map(|(event, seen)| (event.word, *seen)),
            sleep_time,
        ),
    }
}

/// Whether this process can run a [`heavy_fence`] of this reach. The first call for
/// [`Reach::Process`] in a process with several threads takes some milliseconds.
pub(crate) fn can_run_heavy_fence(reach: Reach) -> bool {
    system::can_run_barrier(reach)
}

/// The fence of the frequent side, between the announcement and the check.
#[inline]
pub(crate) fn light_fence() {
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
}

/// The fence of the rare side, between the announcement and the check; only where
/// [`can_run_heavy_fence`] returned true. The frequent side is within `reach`.
pub(crate) fn heavy_fence(reach: Reach) {
    // The compiler does not know that the system call concerns memory.
    fence(Ordering::SeqCst);
    system::run_barrier(reach);
    fence(Ordering::SeqCst);
}

/// How often `check` is called before MPI and the scheduler get involved: about a microsecond.
const SPINS: u32 = 40;

/// Waits until `check` returns a value. `event` changes when it may do so. A rank that waits long
/// calls `inspect` about once a millisecond, to find out whether the wait can still succeed.
#[inline]
pub(crate) fn wait<T, E: From<Stop>>(
    surroundings: &impl Surroundings,
    event: Event<'_>,
    deadline: Deadline<'_>,
    mut check: impl FnMut() -> Option<T>,
    inspect: impl FnMut() -> Result<(), E>,
) -> Result<T, E> {
    for _ in 0..SPINS {
        if let Some(value) = check() {
            return Ok(value);
        }
        std::hint::spin_loop();
    }
    wait_long(surroundings, event, deadline, check, inspect)
}

#[cold]
fn wait_long<T, E: From<Stop>>(
    surroundings: &impl Surroundings,
    event: Event<'_>,
    deadline: Deadline<'_>,
    mut check: impl FnMut() -> Option<T>,
    mut inspect: impl FnMut() -> Result<(), E>,
) -> Result<T, E> {
    let start = Instant::now();
    let mut inspected = start;
    let mut sleep_time = FIRST_SLEEP;
    let mut sleep_announced = false;
    let mut watch = deadline.watch(start);
    let mut polling = Some(ActivePolling::begin(surroundings));
    loop {
        surroundings.progress();
        if sleep_announced {
            event.announce_sleeper();
        }
        let seen = event.word.load(Ordering::Acquire);
        if let Some(value) = check() {
            watch.end(Outcome::Success);
            return Ok(value);
        }
        let now = Instant::now();
        let left = deadline.left(now);
        if left.is_zero() {
            watch.end(Outcome::Timeout);
            return Err(Stop::Timeout.into());
        }
        if now - start < surroundings.spin_budget().unwrap_or(POLL) {
            std::thread::yield_now();
            continue;
        }
        if now - inspected >= INSPECTION {
            inspected = now;
            inspect()?;
            surroundings.check_hosts()?;
            watch.tick(now)?;
        }
        drop(polling.take());
        if sleep_announced {
            event.sleep(seen, sleep_time.min(left));
            sleep_time = (sleep_time * 2).min(surroundings.longest_sleep());
        }
        sleep_announced = true;
    }
}

/// The types that loom checks in tests, as the standard library has them.
#[cfg(test)]
mod for_tests {
    use std::cell::UnsafeCell;
    pub(crate) use std::sync::Arc;

    /// A cell with loom's interface. Loom reports concurrent accesses.
    pub(crate) struct Slot<T>(UnsafeCell<T>);

    impl<T> Slot<T> {
        pub(crate) fn new(value: T) -> Self {
            Slot(UnsafeCell::new(value))
        }

        pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}
