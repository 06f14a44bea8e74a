//! The timer: a thread that wakes futures which wait for other processes.
//!
//! No process calls a waker of another one, so a future that waits is woken after a while to look
//! again. One thread does that for all futures of a process. It starts with the first timer, sleeps
//! while no timer runs, and never calls MPI.

use crate::shm::lock;
use crate::shm::wait::{FIRST_SLEEP, LONGEST_SLEEP};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::thread;
use std::time::{Duration, Instant};

/// The clock of this process.
static CLOCK: Clock = Clock::new();

/// One future's timer.
pub(super) struct Timer {
    clock: &'static Clock,
    /// What it set last, which may be over.
    entry: Option<Entry>,
    /// How long the next sleep takes.
    sleep_time: Duration,
}

/// When to wake somebody, and a number of its own.
type Entry = (Instant, u64);

/// Whom to wake and when.
struct Clock {
    schedule: Mutex<Schedule>,
    changed: Condvar,
}

struct Schedule {
    wakers: BTreeMap<Entry, Waker>,
    next_number: u64,
    has_thread: bool,
}

impl Timer {
    pub(super) fn new() -> Self {
        Self::on(&CLOCK)
    }

    fn on(clock: &'static Clock) -> Self {
        Timer {
            clock,
            entry: None,
            sleep_time: FIRST_SLEEP,
        }
    }

    /// Has `waker` woken after a sleep, each twice as long as the one before; or, if a sleep is not
    /// over yet, at its end, in place of the waker that was given for it.
    pub(super) fn set(&mut self, now: Instant, waker: &Waker) {
        let waker = waker.clone();
        let mut schedule = self.clock.schedule();
        let current = self.entry.and_then(|entry| schedule.wakers.get_mut(&entry));
        if let Some(current) = current {
            let replaced = std::mem::replace(current, waker);
            // Dropped only now, for it may run code of the executor.
            drop(schedule);
            drop(replaced);
            return;
        }
        if !self.clock.has_thread(&mut schedule) {
            drop(schedule);
            waker.wake();
            return;
        }
        let entry = (now + self.sleep_time, schedule.next_number);
        self.entry = Some(entry);
        self.sleep_time = (self.sleep_time * 2).min(LONGEST_SLEEP);
        schedule.next_number += 1;
        schedule.wakers.insert(entry, waker);
        let is_first = schedule.wakers.first_key_value().map(|(first, _)| *first) == Some(entry);
        drop(schedule);
        if is_first {
            self.clock.changed.notify_one();
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(entry) = self.entry {
            let waker = self.clock.schedule().wakers.remove(&entry);
            // After the schedule is let go, see `set`.
            drop(waker);
        }
    }
}

impl Clock {
    const fn new() -> Self {
        Clock {
            schedule: Mutex::new(Schedule {
                wakers: BTreeMap::new(),
                next_number: 0,
                has_thread: false,
            }),
            changed: Condvar::new(),
        }
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        lock(&self.schedule)
    }

    /// Starts the thread if it does not run; whether it does. Where there can be none, futures are
    /// polled without sleeps.
    fn has_thread(&'static self, schedule: &mut Schedule) -> bool {
        if !schedule.has_thread {
            let thread = thread::Builder::new().name("mpisync-timer".to_owned());
            schedule.has_thread = thread.spawn(|| self.poll_actively()).is_ok();
        }
        schedule.has_thread
    }

    fn poll_actively(&self) {
        let mut schedule = self.schedule();
        loop {
            let now = Instant::now();
            let next = schedule.wakers.first_entry();
            schedule = match next {
                None => self
                    .changed
                    .wait(schedule)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(next) if next.key().0 > now => {
                    let left = next.key().0 - now;
                    self.changed
                        .wait_timeout(schedule, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                Some(next) => {
                    let waker = next.remove();
                    drop(schedule);
                    // The others are still to be woken if one panics.
                    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
                    self.schedule()
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::atomic::{AtomicU32, Ordering};
    use std::sync::Arc;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Count {
        fn get(&self) -> u32 {
            self.0.load(Ordering::Relaxed)
        }
    }

    fn counter() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    /// A clock of its own for a test, which its thread may outlive.
    fn clock() -> &'static Clock {
        static CLOCKS: Mutex<Vec<&'static Clock>> = Mutex::new(Vec::new());
        let clock: &_ = Box::leak(Box::new(Clock::new()));
        // Known for good, so that it is no leak.
        CLOCKS.lock().expect("no test panics here").push(clock);
        clock
    }

    /// A clock whose thread never comes.
    fn stopped_clock() -> &'static Clock {
        let clock = clock();
        clock.schedule().has_thread = true;
        clock
    }

    fn wait_for(condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(20), "it never comes");
            thread::sleep(Duration::from_micros(100));
        }
    }

    #[test]
    fn whoever_set_it_is_woken_once() {
        let clock = clock();
        let counts: Vec<_> = (0..100)
            .map(|_| {
                let (count, waker) = counter();
                let mut timer = Timer::on(clock);
                timer.set(Instant::now(), &waker);
                (count, timer)
            })
            .collect();
        wait_for(|| counts.iter().all(|(count, _)| count.get() == 1));
        thread::sleep(Duration::from_millis(5));
        assert!(counts.iter().all(|(count, _)| count.get() == 1));
        assert!(clock.schedule().wakers.is_empty());
    }

    #[test]
    fn naps_grow_to_a_millisecond() {
        let clock = stopped_clock();
        let (_, waker) = counter();
        let mut timer = Timer::on(clock);
        let sleeps: Vec<u128> = (0..8)
            .map(|_| {
                let now = Instant::now();
                timer.set(now, &waker);
                let ((at, _), _) = clock.schedule().wakers.pop_first().expect("it is set");
                (at - now).as_micros()
            })
            .collect();
        assert_eq!(sleeps, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
    }

    #[test]
    fn one_entry_a_future_and_none_when_it_is_dropped() {
        let clock = stopped_clock();
        let ((first, waker), (second, other)) = (counter(), counter());
        let mut timers = [Timer::on(clock), Timer::on(clock)];
        for _ in 0..1000 {
            for timer in &mut timers {
                timer.set(Instant::now(), &waker);
                timer.set(Instant::now(), &other);
            }
        }
        assert_eq!(clock.schedule().wakers.len(), 2);
        assert_eq!(Arc::strong_count(&first), 2);
        assert_eq!(Arc::strong_count(&second), 4);
        drop(timers);
        assert!(clock.schedule().wakers.is_empty());
        assert_eq!(Arc::strong_count(&second), 2);
    }

    #[test]
    fn the_latest_waker_is_woken() {
        let clock = clock();
        let ((first, waker), (second, other)) = (counter(), counter());
        let mut timer = Timer::on(clock);
        // A sleep long enough to change one's mind.
        timer.sleep_time = Duration::from_millis(50);
        timer.set(Instant::now(), &waker);
        timer.set(Instant::now(), &other);
        wait_for(|| second.get() == 1);
        assert_eq!(first.get(), 0);
    }

    #[test]
    fn an_earlier_nap_is_over_earlier() {
        let clock = clock();
        let ((late, waker), (early, other)) = (counter(), counter());
        let mut timers = [Timer::on(clock), Timer::on(clock)];
        timers[0].sleep_time = Duration::from_secs(3600);
        timers[0].set(Instant::now(), &waker);
        thread::sleep(Duration::from_millis(5));
        timers[1].set(Instant::now(), &other);
        wait_for(|| early.get() == 1);
        assert_eq!(late.get(), 0);
    }

    #[test]
    fn a_waker_that_panics_keeps_nobody_asleep() {
        struct Panics;

        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("on purpose");
            }
        }

        let clock = clock();
        let mut timers = [Timer::on(clock), Timer::on(clock)];
        timers[0].set(Instant::now(), &Waker::from(Arc::new(Panics)));
        wait_for(|| clock.schedule().wakers.is_empty());
        let (count, waker) = counter();
        timers[1].set(Instant::now(), &waker);
        wait_for(|| count.get() == 1);
    }
}
