//! How a rank waits: a short spin, then polls that let MPI make progress and give the core away, then sleep.
//!
//! A sleeping rank lies on a process-shared futex for at most a millisecond at a time, so that a wake-up which is
//! missed costs a millisecond and nothing more, MPI makes progress in between, and a rank that died is noticed.

use crate::memory::Surroundings;
use crate::memory::atomic::{AtomicU32, Ordering};
#[cfg(loom)]
pub(crate) use model::{Deadline, Sleepers, wait};
#[cfg(not(loom))]
pub(crate) use real::{Deadline, Sleepers, wait};

/// All sleepers, as the system call counts them.
pub(crate) const ALL: u32 = i32::MAX as u32;

/// A word to sleep on, and beside it what tells who changes the word that somebody sleeps.
#[derive(Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) word: &'a AtomicU32,
    pub(crate) sleepers: &'a Sleepers,
}

impl Event<'_> {
    /// Wakes up to `count` sleepers after the word has changed; one load when nobody sleeps.
    #[inline]
    pub(crate) fn wake(&self, count: u32) {
        self.sleepers.wake(self.word, count, || {});
    }

    /// Wakes up to `count` sleepers where the word itself means nothing and what they wait for is elsewhere; it is
    /// changed only when somebody sleeps. Exact where a full barrier lies between the change and this call.
    #[inline]
    pub(crate) fn notify(&self, count: u32) {
        self.sleepers.wake(self.word, count, || {
            self.word.fetch_add(1, Ordering::SeqCst);
        });
    }
}

/// Why a wait ended without what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The deadline passed.
    Timeout,
    /// The rank of this index on the node died, and what it held cannot be had any more.
    Died(usize),
}

#[cfg(not(loom))]
mod real {
    use super::{AtomicU32, Event, Ordering, Stop, Surroundings};
    use std::time::{Duration, Instant};

    /// How often the condition is looked at before MPI and the scheduler come into it: about a microsecond.
    const SPINS: u32 = 40;
    /// How long a rank polls and yields before it sleeps.
    const POLL: Duration = Duration::from_micros(20);
    /// The first sleep; each next one is twice as long.
    const FIRST_NAP: Duration = Duration::from_micros(50);
    /// The longest sleep, and so the most that a missed wake-up costs.
    const LONGEST_NAP: Duration = Duration::from_millis(1);
    /// How often a sleeper looks whether the ranks it waits for are still there.
    const INSPECTION: Duration = Duration::from_millis(1);

    /// Nonzero while a rank sleeps on the word beside it. Set by the sleeper and cleared by who wakes it, so that a
    /// rank which takes turns quickly pays for one system call a sleeper and not for one a turn.
    #[repr(transparent)]
    pub(crate) struct Sleepers(AtomicU32);

    impl Sleepers {
        #[cfg(test)]
        pub(crate) fn new() -> Self {
            Sleepers(AtomicU32::new(0))
        }

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
            wake(word, count);
        }
    }

    /// When to give up.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Deadline {
        Never,
        At(Instant),
    }

    impl Deadline {
        /// The point in time `timeout` from now; never for one that lies beyond the clock's range.
        pub(crate) fn after(timeout: Duration) -> Self {
            Instant::now()
                .checked_add(timeout)
                .map_or(Deadline::Never, Deadline::At)
        }

        fn left(self, now: Instant) -> Duration {
            match self {
                Deadline::Never => Duration::MAX,
                Deadline::At(at) => at.saturating_duration_since(now),
            }
        }
    }

    /// Waits until `check` gives a value. `event` is what changes when it may do so. `inspect` is called about once
    /// a millisecond by a rank that waits long, to see whether the wait still makes sense.
    #[inline]
    pub(crate) fn wait<T, E: From<Stop>>(
        surroundings: &impl Surroundings,
        event: Event<'_>,
        deadline: Deadline,
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
        deadline: Deadline,
        mut check: impl FnMut() -> Option<T>,
        mut inspect: impl FnMut() -> Result<(), E>,
    ) -> Result<T, E> {
        let start = Instant::now();
        let mut inspected = start;
        let mut nap = FIRST_NAP;
        let mut drowsy = false;
        loop {
            surroundings.progress();
            if drowsy {
                // Before the last look, so that who changes something after it sees that somebody sleeps.
                event.sleepers.0.swap(1, Ordering::SeqCst);
            }
            let seen = event.word.load(Ordering::Acquire);
            if let Some(value) = check() {
                return Ok(value);
            }
            let now = Instant::now();
            let left = deadline.left(now);
            if left.is_zero() {
                return Err(Stop::Timeout.into());
            }
            if now - start < POLL {
                std::thread::yield_now();
                continue;
            }
            if now - inspected >= INSPECTION {
                inspected = now;
                inspect()?;
            }
            if drowsy {
                sleep(event.word, seen, nap.min(left));
                nap = (nap * 2).min(LONGEST_NAP);
            }
            drowsy = true;
        }
    }

    /// Sleeps for `nap` at most, not at all when the word is no longer `seen`.
    #[cfg(target_os = "linux")]
    fn sleep(word: &AtomicU32, seen: u32, nap: Duration) {
        use rustix::thread::futex;
        let timeout = futex::Timespec {
            tv_sec: nap.as_secs() as _,
            tv_nsec: nap.subsec_nanos().into(),
        };
        // Woken, timed out, interrupted or too late: the caller looks at the word in every case.
        let _ = futex::wait(word, futex::Flags::empty(), seen, Some(&timeout));
    }

    #[cfg(not(target_os = "linux"))]
    fn sleep(word: &AtomicU32, seen: u32, nap: Duration) {
        if word.load(Ordering::Acquire) == seen {
            std::thread::sleep(nap);
        }
    }

    #[cfg(target_os = "linux")]
    fn wake(word: &AtomicU32, count: u32) {
        use rustix::thread::futex;
        // Fails only for a word that is not mapped, and this one is borrowed.
        let _ = futex::wake(word, futex::Flags::empty(), count);
    }

    #[cfg(not(target_os = "linux"))]
    fn wake(_word: &AtomicU32, _count: u32) {}
}

#[cfg(loom)]
mod model {
    use super::{AtomicU32, Event, Stop, Surroundings};
    use loom::sync::{Condvar, Mutex};

    /// The sleepers of the model sleep until they are woken: a wake-up that is forgotten is a deadlock there, and
    /// not one nap. (Polling would not do: the model also explores the schedule in which two pollers take turns for
    /// ever.)
    pub(crate) struct Sleepers(Mutex<()>, Condvar);

    impl Sleepers {
        pub(crate) fn new() -> Self {
            Sleepers(Mutex::new(()), Condvar::new())
        }

        pub(super) fn wake(&self, _word: &AtomicU32, _count: u32, before: impl FnOnce()) {
            before();
            drop(self.0.lock().expect("no thread panics"));
            self.1.notify_all();
        }
    }

    /// When to give up; the model has no clock.
    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Deadline {
        Never,
        Soon,
    }

    /// The wait that the model explores.
    pub(crate) fn wait<T, E: From<Stop>>(
        _surroundings: &impl Surroundings,
        event: Event<'_>,
        deadline: Deadline,
        mut check: impl FnMut() -> Option<T>,
        mut inspect: impl FnMut() -> Result<(), E>,
    ) -> Result<T, E> {
        if let Some(value) = check() {
            return Ok(value);
        }
        inspect()?;
        let mut asleep = event.sleepers.0.lock().expect("no thread panics");
        loop {
            if let Some(value) = check() {
                return Ok(value);
            }
            if matches!(deadline, Deadline::Soon) {
                return Err(Stop::Timeout.into());
            }
            asleep = event.sleepers.1.wait(asleep).expect("no thread panics");
        }
    }
}
