//! Mutexes, semaphores, counters and regions that the threads of a rank share.

use crate::common::{LIMIT, within};
use crate::shared::A_WHILE;
use mpisync::prelude::*;
use mpisync::sync::SemaphoreError;
use std::collections::HashSet;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier as ThreadBarrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

pub(super) const THREADS: usize = 4;

/// Runs `work` on each of the threads.
pub(super) fn on_threads(work: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(thread));
        }
    });
}

#[test]
fn threads_lock_a_mutex_one_after_the_other() {
    within(LIMIT, || {
        let mut total = Mutex::local_with([0_u32; 2]);
        let shared = total.shared().expect("no MPI");
        on_threads(|thread| {
            for round in 0..5_000 {
                let mut guard = match (thread + round) % 3 {
                    0 => shared.lock(),
                    1 => shared
                        .lock_timeout(Duration::MAX)
                        .expect("it is free at last"),
                    _ => loop {
                        if let Some(guard) = shared.try_lock() {
                            break guard;
                        }
                        thread::yield_now();
                    },
                };
                assert_eq!(guard[0], guard[1], "a torn value");
                guard[0] += 1;
                guard[1] += 1;
            }
        });
        drop(shared);
        assert_eq!(*total.lock(), [20_000; 2]);
    });
}

#[test]
fn a_mutex_goes_to_threads_in_the_order_of_their_calls() {
    within(LIMIT, || {
        let mut order = Mutex::local_with([9_usize; THREADS]);
        let shared = order.shared().expect("no MPI");
        let first = shared.lock();
        let next = AtomicU32::new(0);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (shared, next) = (&shared, &next);
                scope.spawn(move || {
                    let mut order = shared.lock();
                    order[next.fetch_add(1, Ordering::Relaxed) as usize] = thread;
                });
                thread::sleep(A_WHILE);
            }
            drop(first);
        });
        assert_eq!(*shared.lock(), [0, 1, 2, 3]);
    });
}

#[test]
fn a_thread_does_not_wait_for_its_own_guard() {
    within(LIMIT, || {
        let mut mutex = Mutex::local();
        let shared = mutex.shared().expect("no MPI");
        let guard = shared.lock();
        let error = shared.lock_timeout(Duration::MAX).map(drop);
        assert_eq!(error, Err(LockError::HeldByThread));
        let panic = catch_unwind(AssertUnwindSafe(|| drop(shared.try_lock())));
        assert!(panic.is_err());
        drop(guard);
        assert!(shared.try_lock().is_some());
    });
}

#[test]
fn waits_for_a_mutex_end() {
    within(LIMIT, || {
        let mut mutex = Mutex::local();
        let shared = mutex.shared().expect("no MPI");
        let guard = shared.lock();
        on_threads(|_| {
            assert!(shared.try_lock().is_none());
            let Err(LockError::Timeout { waited, report }) = shared.lock_timeout(A_WHILE).map(drop)
            else {
                panic!("another thread has the lock");
            };
            assert_eq!(waited, A_WHILE);
            let text = report.to_string();
            assert!(text.contains("in another thread of this rank"), "{text}");
        });
        drop(guard);
        on_threads(|_| drop(shared.lock()));
    });
}

#[test]
fn a_panic_releases_a_mutex_and_permits() {
    within(LIMIT, || {
        let mut mutex = Mutex::local_with(1_u8);
        let mut semaphore = Semaphore::local(2).expect("a valid number");
        let mutex = mutex.shared().expect("no MPI");
        let semaphore = semaphore.shared().expect("no MPI");
        let ended = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let (mut value, _permits) = (mutex.lock(), semaphore.acquire_many(2));
                *value = 2;
                panic!("on purpose");
            });
            thread.join()
        });
        assert!(ended.is_err());
        assert_eq!(mutex.try_lock().as_deref(), Some(&2));
        assert!(semaphore.try_acquire_many(2).is_some());
    });
}

#[test]
fn what_threads_leak_comes_back() {
    within(LIMIT, || {
        let mut mutex = Mutex::local();
        let mut semaphore = Semaphore::local(2).expect("a valid number");
        for forgets_all in [false, true] {
            let shared_mutex = mutex.shared().expect("no MPI");
            let shared_semaphore = semaphore.shared().expect("no MPI");
            thread::scope(|scope| {
                scope.spawn(|| {
                    mem::forget(shared_mutex.lock());
                    mem::forget(shared_semaphore.acquire());
                });
            });
            assert!(shared_mutex.try_lock().is_none());
            assert!(shared_semaphore.try_acquire_many(2).is_none());
            if forgets_all {
                mem::forget((shared_mutex, shared_semaphore));
            } else {
                drop((shared_mutex, shared_semaphore));
            }
            assert!(mutex.try_lock().is_some());
            let shared_semaphore = semaphore.shared().expect("no MPI");
            assert!(shared_semaphore.try_acquire_many(2).is_some());
        }
    });
}

#[test]
fn each_thread_has_permits_of_its_own() {
    within(LIMIT, || {
        let mut semaphore = Semaphore::local(THREADS as u32).expect("a valid number");
        let shared = semaphore.shared().expect("no MPI");
        let all = ThreadBarrier::new(THREADS);
        on_threads(|_| {
            let permit = shared.acquire();
            // None of them gives its permit back before all have one.
            all.wait();
            assert_eq!(permit.count(), 1);
            assert!(shared.try_acquire().is_none());
            all.wait();
        });
        drop(shared);
        assert_eq!(semaphore.available(), THREADS as u32);
    });
}

/// The number of permits is kept whatever threads do at the same time, also if some give up.
#[test]
fn permits_are_neither_lost_nor_invented() {
    within(LIMIT, || {
        const PERMITS: u32 = 3;
        let mut semaphore = Semaphore::local(PERMITS).expect("a valid number");
        let shared = semaphore.shared().expect("no MPI");
        let taken = AtomicU32::new(0);
        on_threads(|thread| {
            for round in 0..3_000 {
                let count = 1 + (thread + round) as u32 % PERMITS;
                let soon = Duration::from_micros(20);
                let permits = match round % 4 {
                    0 => shared.try_acquire_many(count),
                    1 => shared.acquire_many_timeout(count, soon).ok(),
                    _ => Some(shared.acquire_many(count)),
                };
                if let Some(permits) = permits {
                    let before = taken.fetch_add(permits.count(), Ordering::SeqCst);
                    assert!(before + permits.count() <= PERMITS);
                    taken.fetch_sub(permits.count(), Ordering::SeqCst);
                }
            }
        });
        drop(shared);
        assert_eq!(semaphore.available(), PERMITS);
    });
}

/// A thread waits while another one of the same rank, which does not wait, gives its permit back.
#[test]
fn a_waiting_thread_gets_the_permit_of_another_one() {
    within(LIMIT, || {
        let mut semaphore = Semaphore::local(1).expect("a valid number");
        let shared = semaphore.shared().expect("no MPI");
        let permit = shared.acquire();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| drop(shared.acquire()));
            thread::sleep(A_WHILE);
            assert!(!waiting.is_finished());
            drop(permit);
        });
        assert!(shared.try_acquire().is_some());
    });
}

#[test]
fn a_thread_does_not_wait_for_its_own_permits() {
    within(LIMIT, || {
        let mut semaphore = Semaphore::local(2).expect("a valid number");
        let shared = semaphore.shared().expect("no MPI");
        let one = shared.acquire();
        let error = shared.acquire_many_timeout(2, Duration::MAX).map(drop);
        assert_eq!(error, Err(LockError::HeldByThread.into()));
        let error = shared.acquire_many_timeout(3, Duration::MAX).map(drop);
        assert_eq!(error, Err(SemaphoreError::TooMany { asked: 3, most: 2 }));
        // What other threads have comes back.
        thread::scope(|scope| {
            let waiting = scope.spawn(|| drop(shared.acquire_many(2)));
            thread::sleep(A_WHILE);
            assert!(!waiting.is_finished());
            drop(one);
        });
        let error = shared.acquire_timeout(Duration::ZERO).map(drop);
        assert_eq!(error, Ok(()));
    });
}

#[test]
fn a_counter_gives_each_number_to_one_thread() {
    let counter = Counter::<u32>::local();
    let shared = counter.shared().expect("no MPI");
    let all = std::sync::Mutex::new(Vec::new());
    on_threads(|thread| {
        let mut mine = Vec::new();
        for _ in 0..1_000 {
            match thread {
                0 => mine.push(shared.next()),
                1 => mine.extend(shared.reserve(3)),
                2 => mine.push(shared.try_next().expect("there are more")),
                // The counter itself is for the thread that made it, at the same time.
                _ => mine.push(shared.add(1)),
            }
        }
        assert!(mine.is_sorted(), "a thread gets larger and larger numbers");
        all.lock().expect("no thread panics").extend(mine);
    });
    let all = all.into_inner().expect("no thread panics");
    let different: HashSet<u32> = all.iter().copied().collect();
    assert_eq!((all.len(), different.len()), (6_000, 6_000));
    assert_eq!(counter.get(), 6_000);
}

#[cfg(feature = "region")]
mod regions {
    use super::*;
    use mpisync::ndarray::Ix1;

    #[test]
    fn threads_read_a_region() {
        within(LIMIT, || {
            let mut field = Region::<u32, Ix1>::local([100]).expect("memory");
            field.write().fill(7);
            let shared = field.shared().expect("no MPI");
            let all = ThreadBarrier::new(THREADS);
            on_threads(|thread| {
                let items = match thread % 3 {
                    0 => shared.read(),
                    1 => shared.try_read().expect("nobody writes"),
                    _ => shared.read_timeout(Duration::MAX).expect("nobody writes"),
                };
                // All read at the same time, and each once more.
                all.wait();
                let again = shared.read();
                assert_eq!((items.sum(), again[99]), (700, 7));
                let sum = thread::scope(|scope| scope.spawn(|| items.sum()).join());
                assert_eq!(sum.expect("it only reads"), 700);
            });
            assert_eq!(shared.shape(), [100]);
            drop(shared);
            field.write().fill(8);
            assert_eq!(field.read().sum(), 800);
        });
    }

    #[test]
    fn a_leaked_guard_of_a_region_is_released() {
        within(LIMIT, || {
            let mut field = Region::<u32, Ix1>::local([3]).expect("memory");
            let shared = field.shared().expect("no MPI");
            thread::scope(|scope| {
                scope.spawn(|| mem::forget(shared.read()));
            });
            drop(shared);
            assert!(field.try_write().is_some());
        });
    }
}
