//! Controllers that the threads of a rank share.

use crate::common::{LIMIT, within};
use mpisync::SharedController;
use mpisync::prelude::*;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier as ThreadBarrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for another thread to have come where it waits.
pub(super) const A_WHILE: Duration = Duration::from_millis(30);
const SOON: Duration = Duration::from_micros(30);

/// What the lock guards: two numbers that are equal whenever nobody writes.
#[derive(Default)]
struct Guarded {
    first: AtomicU32,
    second: AtomicU32,
    writers: AtomicU32,
}

impl Guarded {
    fn look(&self) {
        let first = self.first.load(Ordering::Relaxed);
        assert_eq!(first, self.second.load(Ordering::Relaxed), "a torn value");
        assert_eq!(self.writers.load(Ordering::Relaxed), 0, "beside a writer");
    }

    fn change(&self) {
        let writers = self.writers.fetch_add(1, Ordering::Relaxed);
        assert_eq!(writers, 0, "two writers");
        let next = self.first.load(Ordering::Relaxed) + 1;
        self.first.store(next, Ordering::Relaxed);
        self.second.store(next, Ordering::Relaxed);
        self.writers.fetch_sub(1, Ordering::Relaxed);
    }

    fn changes(&self) -> u32 {
        self.first.load(Ordering::Relaxed)
    }
}

/// Takes the lock in all ways. Returns how often this thread has written.
fn mixed_operations(shared: &SharedController<'_>, guarded: &Guarded, rounds: u32) -> u32 {
    let mut written = 0;
    for round in 0..rounds {
        let writing = match round % 8 {
            0 => Some(shared.write()),
            1 => shared.try_write(),
            2 => shared.write_timeout(SOON).ok(),
            _ => None,
        };
        if let Some(writing) = writing {
            guarded.change();
            written += 1;
            if round % 3 == 0 {
                let _reading = writing.downgrade();
                guarded.look();
            }
            continue;
        }
        let reading = match round % 8 {
            3 => shared.try_read(),
            4 => shared.read_timeout(SOON).ok(),
            _ => Some(shared.read()),
        };
        if reading.is_some() {
            guarded.look();
        }
    }
    written
}

#[test]
fn threads_of_one_rank_exclude_each_other() {
    within(LIMIT, || {
        let mut ctrl = WindowController::local();
        let shared = ctrl.shared().expect("no MPI");
        let guarded = Guarded::default();
        let written: u32 = thread::scope(|scope| {
            let work = || mixed_operations(&shared, &guarded, 10_000);
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
            let written = threads
                .into_iter()
                .map(|thread| thread.join().expect("it works"));
            written.sum()
        });
        assert_eq!(guarded.changes(), written);
        drop(shared);
        assert!(ctrl.try_write().is_some(), "nobody is left");
    });
}

#[test]
fn threads_of_several_ranks_exclude_each_other() {
    within(LIMIT, || {
        let guarded = Guarded::default();
        let ranks = WindowController::threads(3).expect("a valid number");
        let written: Vec<u32> = ranks.run(|mut ctrl| {
            if ctrl.rank() == 2 {
                // One thread, which takes the lock in the way of one.
                for _ in 0..1000 {
                    let _writing = ctrl.write();
                    guarded.change();
                }
                return 1000;
            }
            let shared = ctrl.shared().expect("no MPI");
            thread::scope(|scope| {
                let work = || mixed_operations(&shared, &guarded, 4_000);
                let other = scope.spawn(work);
                work() + other.join().expect("it works")
            })
        });
        assert_eq!(guarded.changes(), written.iter().sum());
    });
}

#[test]
fn threads_read_at_the_same_time() {
    within(LIMIT, || {
        // More threads than there are counters, and than there are cores.
        const THREADS: usize = 40;
        let mut ctrl = WindowController::local();
        let shared = ctrl.shared().expect("no MPI");
        let all = ThreadBarrier::new(THREADS);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let _reading = shared.read();
                    all.wait();
                    assert!(shared.try_read().is_some());
                });
            }
        });
    });
}

/// The threads wait together, and one of them for all.
#[test]
fn waiting_threads_are_let_in_together() {
    within(LIMIT, || {
        let mut ctrl = WindowController::local();
        let shared = ctrl.shared().expect("no MPI");
        let all = ThreadBarrier::new(4);
        let writing = shared.write();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let _reading = shared.read();
                    // None of them leaves before all have come.
                    all.wait();
                });
            }
            thread::sleep(A_WHILE);
            drop(writing);
        });
        assert!(shared.try_write().is_some(), "all have left");
    });
}

#[test]
fn a_waiting_writer_stops_new_readers() {
    within(LIMIT, || {
        let mut ctrl = WindowController::local();
        let shared = ctrl.shared().expect("no MPI");
        let reading = shared.read();
        thread::scope(|scope| {
            let writer = scope.spawn(|| drop(shared.write()));
            let late = scope.spawn(|| {
                while shared.try_read().is_some() {
                    thread::yield_now();
                }
            });
            late.join().expect("a writer comes");
            assert!(!writer.is_finished(), "a reader is there");
            // This thread has a guard, so it may read although a writer waits.
            drop(shared.read());
            drop(reading);
        });
    });
}

/// Threads of a rank that write all the time let those that read in now and then.
#[test]
fn readers_are_not_starved_by_writers_of_their_rank() {
    within(LIMIT, || {
        let mut ctrl = WindowController::local();
        let shared = ctrl.shared().expect("no MPI");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        drop(shared.write());
                    }
                });
            }
            let read = || (0..50).for_each(|_| drop(shared.read()));
            let reader = scope.spawn(read);
            read();
            reader.join().expect("it reads");
            done.store(true, Ordering::Relaxed);
        });
    });
}

#[test]
fn writers_of_a_rank_come_in_the_order_of_their_calls() {
    within(LIMIT, || {
        let mut ctrl = WindowController::local();
        let shared = ctrl.shared().expect("no MPI");
        let order = std::sync::Mutex::new(Vec::new());
        let writing = shared.write();
        thread::scope(|scope| {
            for number in 0..4 {
                let (shared, order) = (&shared, &order);
                scope.spawn(move || {
                    let _writing = shared.write();
                    order.lock().expect("no thread panics").push(number);
                });
                thread::sleep(A_WHILE);
            }
            drop(writing);
        });
        let order = order.into_inner().expect("no thread panics");
        assert_eq!(order, [0, 1, 2, 3]);
    });
}

#[test]
fn a_thread_that_would_wait_for_itself_gets_an_error() {
    let mut ctrl = WindowController::local();
    let shared = ctrl.shared().expect("no MPI");
    let held = |result: Result<_, LockError>| {
        let error = result.map(drop).expect_err("this thread has a guard");
        assert_eq!(error, LockError::HeldByThread);
        let text = error.to_string();
        assert!(text.contains("drop that guard first"), "{text}");
    };
    {
        let _reading = shared.read();
        held(shared.write_timeout(Duration::MAX));
    }
    {
        let _writing = shared.write();
        held(shared.write_timeout(Duration::MAX));
        let panic = catch_unwind(AssertUnwindSafe(|| drop(shared.try_write())));
        assert!(panic.is_err(), "it has no error to return");
    }
    assert!(shared.write_timeout(Duration::MAX).is_ok());
    // Another controller is none of its business.
    let mut other = WindowController::local();
    let other = other.shared().expect("no MPI");
    let _reading = shared.read();
    let _writing = other.write();
}

#[test]
fn a_read_guard_outlives_the_write_guard_that_it_was_taken_in() {
    within(LIMIT, || {
        let mut ctrl = WindowController::local();
        let shared = ctrl.shared().expect("no MPI");
        let writing = shared.write();
        let reading = shared.read();
        drop(writing);
        thread::scope(|scope| {
            scope.spawn(|| {
                assert!(shared.try_read().is_some(), "nobody writes");
                assert!(shared.try_write().is_none(), "a thread reads");
            });
        });
        drop(reading);
        assert!(shared.try_write().is_some());
    });
}

#[test]
fn a_downgrade_lets_no_writer_in() {
    within(LIMIT, || {
        let mut ctrl = WindowController::local();
        let shared = ctrl.shared().expect("no MPI");
        let written = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let writing = shared.write();
                        let mine = written.fetch_add(1, Ordering::Relaxed) + 1;
                        let _reading = writing.downgrade();
                        assert_eq!(written.load(Ordering::Relaxed), mine);
                    }
                });
            }
        });
    });
}

#[test]
fn timeouts_end_waits_for_other_threads() {
    within(LIMIT, || {
        let mut ctrl = WindowController::local();
        let shared = ctrl.shared().expect("no MPI");
        let _writing = shared.write();
        thread::scope(|scope| {
            let waits = [
                scope.spawn(|| shared.read_timeout(A_WHILE).map(drop)),
                // This one waits for the first one.
                scope.spawn(|| shared.read_timeout(2 * A_WHILE).map(drop)),
                scope.spawn(|| shared.write_timeout(A_WHILE).map(drop)),
                scope.spawn(|| shared.write_timeout(2 * A_WHILE).map(drop)),
            ];
            for wait in waits {
                let start = Instant::now();
                let error = wait.join().expect("no panic").expect_err("a thread writes");
                assert!(start.elapsed() < LIMIT / 2);
                let LockError::Timeout { report, .. } = error else {
                    panic!("{error:?}");
                };
                let text = report.to_string();
                assert!(text.contains("in another thread of this rank"), "{text}");
            }
            assert!(shared.try_read().is_some(), "this thread has the lock");
        });
    });
}

/// The one in the slot gives up, and another one of those that wait takes its place.
#[test]
fn a_thread_that_gives_up_lets_another_one_wait_for_all() {
    within(LIMIT, || {
        let mut ctrl = WindowController::local();
        let shared = ctrl.shared().expect("no MPI");
        let writing = shared.write();
        thread::scope(|scope| {
            let impatient = scope.spawn(|| shared.read_timeout(A_WHILE).map(drop).is_err());
            thread::sleep(A_WHILE / 4);
            let patient = [(); 2].map(|()| scope.spawn(|| drop(shared.read())));
            assert!(impatient.join().expect("no panic"), "a thread writes");
            drop(writing);
            for thread in patient {
                thread.join().expect("it reads");
            }
        });
        assert!(shared.try_write().is_some());
    });
}

#[test]
fn a_panic_in_a_thread_releases_its_lock() {
    within(LIMIT, || {
        let mut ctrl = WindowController::local();
        let shared = ctrl.shared().expect("no MPI");
        for writes in [true, false] {
            let ended = thread::scope(|scope| {
                scope
                    .spawn(|| {
                        let _guards = match writes {
                            true => (Some(shared.write()), None),
                            false => (None, Some(shared.read())),
                        };
                        panic!("on purpose");
                    })
                    .join()
            });
            assert!(ended.is_err());
            assert!(shared.try_write().is_some(), "the lock is free");
        }
    });
}

#[test]
fn leaked_guards_are_released_with_the_shared_controller() {
    within(LIMIT, || {
        let mut ctrl = WindowController::local();
        for writes in [false, true] {
            let shared = ctrl.shared().expect("no MPI");
            thread::scope(|scope| {
                scope.spawn(|| match writes {
                    true => mem::forget(shared.write()),
                    false => mem::forget(shared.read()),
                });
            });
            assert!(shared.try_write().is_none(), "a thread has the lock");
            if writes {
                // Its guards are gone, too, when the controller is borrowed again.
                mem::forget(shared);
            } else {
                drop(shared);
            }
            assert!(ctrl.try_write().is_some());
            // What this thread had of the one before does not count.
            let shared = ctrl.shared().expect("no MPI");
            assert!(shared.try_write().is_some());
        }
    });
}

/// Also if the shared controller was leaked, and the controller is borrowed to read.
#[test]
fn a_leaked_guard_of_a_leaked_shared_controller_is_released() {
    within(LIMIT, || {
        let mut ctrl = WindowController::local();
        let shared = ctrl.shared().expect("no MPI");
        thread::scope(|scope| {
            scope.spawn(|| mem::forget(shared.write()));
        });
        mem::forget(shared);
        assert!(ctrl.read_timeout(LIMIT).is_ok());
    });
}

#[test]
fn collective_calls_and_shared_use_take_turns() {
    within(LIMIT, || {
        let ranks = WindowController::threads(2).expect("a valid number");
        let values = ranks.run(|mut ctrl| {
            let mut sum = 0;
            for round in 0..20 {
                let shared = ctrl.shared().expect("no MPI");
                thread::scope(|scope| {
                    scope.spawn(|| drop(shared.write()));
                    scope.spawn(|| drop(shared.read()));
                });
                drop(shared);
                sum += match ctrl.single_write() {
                    Access::Writer(fence) => fence.share(round),
                    Access::Excluded(fence) => fence.collect(),
                }
                .expect("all ranks come");
            }
            sum
        });
        assert_eq!(values, [190, 190]);
    });
}

/// A rank that has ended with a thread's lock is reported as one with its own.
#[test]
fn a_rank_that_ends_with_a_leaked_guard_leaves_nobody_waiting() {
    within(LIMIT, || {
        let ranks = WindowController::threads(2).expect("a valid number");
        ranks.run(|mut ctrl| {
            if ctrl.rank() == 0 {
                let shared = ctrl.shared().expect("no MPI");
                thread::scope(|scope| {
                    scope.spawn(|| mem::forget(shared.read()));
                });
                mem::forget(shared);
                // Dropping the controller releases it.
                return;
            }
            let written = ctrl.write_timeout(Duration::MAX);
            assert!(written.is_ok(), "{written:?}");
        });
    });
}
