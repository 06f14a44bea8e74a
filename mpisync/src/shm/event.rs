//! Words to sleep on: process-shared futexes, with a flag beside each that tells whether anybody
//! sleeps.

use crate::shm::atomic::{AtomicU32, Ordering};
#[cfg(loom)]
pub(crate) use model::Sleepers;
#[cfg(not(loom))]
pub(crate) use real::Sleepers;
#[cfg(feature = "mpi")]
pub(crate) use real::sleep_on_any;

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

    /// Wakes up to `count` sleepers where the word itself means nothing and what they wait for is
    /// elsewhere; it is changed only when somebody sleeps. Exact where a full barrier lies between
    /// the change and this call.
    #[inline]
    pub(crate) fn notify(&self, count: u32) {
        self.sleepers.wake(self.word, count, || {
            self.word.fetch_add(1, Ordering::SeqCst);
        });
    }
}

/// A word to sleep on.
#[repr(C)]
pub(crate) struct FutexWord {
    pub(crate) word: AtomicU32,
    pub(crate) sleepers: Sleepers,
}

impl FutexWord {
    pub(crate) fn event(&self) -> Event<'_> {
        Event {
            word: &self.word,
            sleepers: &self.sleepers,
        }
    }
}

#[cfg(not(loom))]
mod real {
    use super::{AtomicU32, Event, Ordering};
    use std::time::Duration;

    /// Nonzero while a rank sleeps on the word beside it. Set by the sleeper and cleared by who
    /// wakes it, so that a rank which takes turns quickly pays for one system call a sleeper and
    /// not for one a turn.
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

    impl Event<'_> {
        /// Whether anybody sleeps.
        pub(crate) fn has_sleepers(&self) -> bool {
            self.sleepers.0.load(Ordering::SeqCst) != 0
        }

        /// Says that this rank is about to sleep. It has to look at what it waits for once more
        /// after that, so that who changes it later sees that somebody sleeps.
        pub(crate) fn announce_sleeper(&self) {
            self.sleepers.0.swap(1, Ordering::SeqCst);
        }

        /// Sleeps for `sleep_time` at most, not at all when the word is no longer `seen`.
        #[cfg(target_os = "linux")]
        pub(crate) fn sleep(&self, seen: u32, sleep_time: Duration) {
            use rustix::thread::futex;
            let timeout = futex::Timespec {
                tv_sec: sleep_time.as_secs() as _,
                tv_nsec: sleep_time.subsec_nanos().into(),
            };
            // Woken, timed out, interrupted or too late: the caller looks at the word in every case.
            let _ = futex::wait(self.word, futex::Flags::empty(), seen, Some(&timeout));
        }

        #[cfg(not(target_os = "linux"))]
        pub(crate) fn sleep(&self, seen: u32, sleep_time: Duration) {
            if self.word.load(Ordering::Acquire) == seen {
                std::thread::sleep(sleep_time);
            }
        }
    }

    /// Sleeps for `sleep_time` at most, not at all when one of the words is no longer what was
    /// seen.
    #[cfg(feature = "mpi")]
    pub(crate) fn sleep_on_any(events: &[(Event<'_>, u32)], sleep_time: Duration) {
        match events {
            [] => std::thread::sleep(sleep_time),
            [(event, seen)] => event.sleep(*seen, sleep_time),
            events => sleep_on_many(events, sleep_time),
        }
    }

    #[cfg(all(feature = "mpi", target_os = "linux"))]
    fn sleep_on_many(events: &[(Event<'_>, u32)], sleep_time: Duration) {
        use rustix::io::Errno;
        use rustix::thread::futex;
        use rustix::time::{ClockId, clock_gettime};
        /// The most that the system call takes.
        const MOST: usize = 128;
        let waits: Vec<futex::Wait> = (events.iter().take(MOST))
            .map(|(event, seen)| {
                let mut wait = futex::Wait::new();
                wait.val = u64::from(*seen);
                wait.uaddr = futex::WaitPtr::new(event.word.as_ptr().cast());
                wait.flags = futex::WaitFlags::SIZE_U32;
                wait
            })
            .collect();
        let now = clock_gettime(ClockId::Monotonic);
        let nanos = now.tv_nsec + i64::from(sleep_time.subsec_nanos());
        let until = futex::Timespec {
            tv_sec: now.tv_sec + sleep_time.as_secs() as i64 + nanos / 1_000_000_000,
            tv_nsec: nanos % 1_000_000_000,
        };
        let flags = futex::WaitvFlags::empty();
        let slept = futex::waitv(&waits, flags, Some(&until), ClockId::Monotonic);
        if matches!(slept, Err(Errno::NOSYS | Errno::PERM)) {
            // Before Linux 5.16.
            std::thread::sleep(sleep_time);
        }
    }

    #[cfg(all(feature = "mpi", not(target_os = "linux")))]
    fn sleep_on_many(_events: &[(Event<'_>, u32)], sleep_time: Duration) {
        std::thread::sleep(sleep_time);
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
    use super::{AtomicU32, Event};
    use loom::sync::{Condvar, Mutex};

    /// The sleepers of the model sleep until they are woken: a wake-up that is forgotten is a
    /// deadlock there, and not one sleep. (Polling would not do: the model also explores the
    /// schedule in which two pollers take turns for ever.)
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

    impl Event<'_> {
        pub(crate) fn has_sleepers(&self) -> bool {
            true
        }

        /// Sleeps until `check`, which is asked whenever somebody wakes the sleepers, gives a
        /// value.
        pub(crate) fn sleep_until<T>(&self, mut check: impl FnMut() -> Option<T>) -> T {
            let Sleepers(mutex, woken) = self.sleepers;
            let mut asleep = mutex.lock().expect("no thread panics");
            loop {
                if let Some(value) = check() {
                    return value;
                }
                asleep = woken.wait(asleep).expect("no thread panics");
            }
        }
    }
}
