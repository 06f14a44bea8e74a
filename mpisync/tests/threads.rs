//! Ranks that are threads of one process, as tests of a user's functions have them.

mod common;

use common::{LIMIT, ranks, within};
use futures::executor::block_on;
use mpisync::prelude::*;
use mpisync::{OnDeadlock, ThreadRanks};
use std::cell::Cell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Barrier as ThreadBarrier;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Never drops the controller. Its memory stays reachable, so that checkers find no leak.
fn leak(ctrl: WindowController) {
    static LEAKED: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());
    let ctrl = Box::into_raw(Box::new(ctrl));
    let mut leaked = LEAKED.lock().expect("none panics with it");
    leaked.push(ctrl.addr());
}

/// Shared by threads, with a rule of its own for who may touch it.
struct Unprotected(Cell<u32>);

// SAFETY: the tests touch it under a write lock, whose correctness they test.
unsafe impl Sync for Unprotected {}

#[test]
fn one_thread_writes_at_a_time() {
    const ROUNDS: u32 = 2000;
    within(LIMIT, || {
        for size in [1, 2, 3, 8] {
            let count = Unprotected(Cell::new(0));
            let count = &count;
            let seen = ranks(size).run(|mut ctrl| {
                for _ in 0..ROUNDS {
                    let _writing = ctrl.write();
                    count.0.set(count.0.get() + 1);
                }
                let _reading = ctrl.read();
                ctrl.rank()
            });
            assert_eq!(count.0.get(), ROUNDS * size as u32);
            assert_eq!(seen, (0..size as i32).collect::<Vec<_>>());
        }
    });
}

#[test]
fn all_threads_get_the_value_of_the_one_that_writes() {
    within(LIMIT, || {
        for length in [0, 10, 500, 1_000_000] {
            let values = ranks(4).run(|mut ctrl| {
                (0..20_u8).fold(Vec::new(), |_, round| {
                    match ctrl.single_write() {
                        Access::Writer(fence) => fence.share(vec![round; length]),
                        Access::Excluded(fence) => fence.collect(),
                    }
                    .expect("all ranks come")
                })
            });
            assert_eq!(values, vec![vec![19; length]; 4]);
        }
    });
}

#[test]
fn an_error_in_a_collective_call_is_the_same_on_all() {
    #[mpisync::collective]
    fn check(ctrl: &mut WindowController) -> Result<i32, Box<dyn std::error::Error>> {
        if ctrl.rank() == 2 {
            return Err("no input".into());
        }
        Ok(ctrl.rank())
    }
    within(LIMIT, || {
        let texts = ranks(3).run(|mut ctrl| {
            let error = check(&mut ctrl).expect_err("one rank fails");
            ctrl.close().expect("all ranks come");
            error.to_string()
        });
        assert!(texts[0].contains("rank 2"), "{texts:?}");
        assert!(texts[0].contains("no input"), "{texts:?}");
        assert_eq!(texts[0], texts[1]);
        assert!(texts[2].contains("no input"), "{texts:?}");
    });
}

#[test]
fn a_thread_that_panics_has_ended_for_the_others_and_its_panic_goes_on() {
    within(LIMIT, || {
        let errors = std::sync::Mutex::new(Vec::new());
        let run = || {
            ranks(3).run(|mut ctrl| {
                if ctrl.rank() == 1 {
                    panic!("this rank has no input");
                }
                let call = match ctrl.on(1).expect("it is a rank").single_write() {
                    Access::Writer(fence) => fence.share(0),
                    Access::Excluded(fence) => fence.collect(),
                };
                let error = call.expect_err("the writer does not come");
                errors.lock().expect("none panics with it").push(error);
                panic!("a panic that follows");
            })
        };
        let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("a rank panics");
        let text = panic.downcast_ref::<&str>();
        assert_eq!(text, Some(&"this rank has no input"));
        let errors = errors.into_inner().expect("none panics with it");
        assert_eq!(errors.len(), 2);
        for error in errors {
            let ended = CollectiveError::RankEnded {
                rank: 1,
                panicked: true,
            };
            assert_eq!(error.to_string(), ended.to_string());
        }
    });
}

#[test]
fn a_rank_without_a_thread_and_one_whose_controller_is_leaked_have_ended() {
    within(LIMIT, || {
        for leaks in [false, true] {
            let mut ranks = ranks(2).into_iter();
            let (first, second) = (ranks.next().expect("two"), ranks.next().expect("two"));
            assert_eq!((first.rank(), second.rank()), (0, 1));
            if leaks {
                let other = thread::spawn(|| leak(second.controller()));
                other.join().expect("it does not panic");
            } else {
                drop(second);
            }
            let mut ctrl = first.controller();
            let call = match ctrl.on(1).expect("it is a rank").single_write() {
                Access::Writer(fence) => fence.share(0),
                Access::Excluded(fence) => fence.collect(),
            };
            let error = call.expect_err("the writer does not come");
            let is_ended = matches!(error, CollectiveError::RankEnded { rank: 1, .. });
            assert!(is_ended, "{error}");
        }
    });
}

#[test]
fn a_lock_that_a_thread_has_taken_to_its_end_is_an_error_for_the_others() {
    within(LIMIT, || {
        let started = ThreadBarrier::new(2);
        let errors = ranks(2).run(|mut ctrl| {
            if ctrl.rank() == 0 {
                let writing = ctrl.write();
                mem::forget(writing);
                leak(ctrl);
                started.wait();
                return None;
            }
            started.wait();
            ctrl.write_timeout(Duration::MAX).err()
        });
        let error = errors[1].as_ref().expect("the holder has ended");
        let is_ended = matches!(error, LockError::HolderEnded { rank: 0 });
        assert!(is_ended, "{error}");
    });
}

#[test]
fn threads_that_wait_for_each_other_are_found() {
    within(LIMIT, || {
        mpisync::on_deadlock(OnDeadlock::Error);
        let both_hold = ThreadBarrier::new(2);
        let start = Instant::now();
        let [first, second] = [ranks(2), ranks(2)].map(IntoIterator::into_iter);
        let outcomes: Vec<Option<LockError>> = thread::scope(|scope| {
            let threads: Vec<_> = first
                .zip(second)
                .map(|ranks| {
                    let both_hold = &both_hold;
                    scope.spawn(move || {
                        let (mut one, mut other) = (ranks.0.controller(), ranks.1.controller());
                        if one.rank() == 1 {
                            mem::swap(&mut one, &mut other);
                        }
                        let _has_one = one.write();
                        both_hold.wait();
                        other.write_timeout(Duration::MAX).err()
                    })
                })
                .collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
            threads.into_iter().map(join).collect()
        });
        let deadlocks = outcomes.iter().flatten();
        let deadlocks = deadlocks.filter(|error| matches!(error, LockError::Deadlock { .. }));
        assert!(deadlocks.count() >= 1, "{outcomes:?}");
        assert!(start.elapsed() < Duration::from_secs(20));
    });
}

#[test]
fn a_thread_that_waits_long_is_in_no_deadlock() {
    within(LIMIT, || {
        mpisync::on_deadlock(OnDeadlock::Error);
        let holds = ThreadBarrier::new(3);
        let errors = ranks(3).run(|mut ctrl| {
            if ctrl.rank() == 0 {
                let _writing = ctrl.write();
                holds.wait();
                thread::sleep(Duration::from_secs(3));
                return None;
            }
            holds.wait();
            ctrl.write_timeout(Duration::MAX).err()
        });
        assert!(errors.iter().all(Option::is_none), "{errors:?}");
    });
}

/// Rank 0 has a future that waits for rank 1, which waits for rank 0: but rank 0 can go on.
#[test]
fn a_rank_with_a_future_is_in_no_deadlock() {
    within(LIMIT, || {
        mpisync::on_deadlock(OnDeadlock::Error);
        let both_hold = ThreadBarrier::new(2);
        let [first, second] = [ranks(2), ranks(2)].map(IntoIterator::into_iter);
        thread::scope(|scope| {
            for (one, other) in first.zip(second) {
                let both_hold = &both_hold;
                scope.spawn(move || {
                    let (mut one, mut other) = (one.controller(), other.controller());
                    if one.rank() == 1 {
                        let _has_other = other.write();
                        both_hold.wait();
                        let waited = one.write_timeout(Duration::MAX).map(drop);
                        assert_eq!(waited, Ok(()));
                        return;
                    }
                    let has_one = one.write();
                    both_hold.wait();
                    let mut write = other.write_async();
                    let start = Instant::now();
                    while start.elapsed() < Duration::from_secs(3) {
                        let nobody = &mut Context::from_waker(Waker::noop());
                        assert!(Pin::new(&mut write).poll(nobody).is_pending());
                        thread::sleep(Duration::from_millis(1));
                    }
                    drop(has_one);
                    drop(block_on(write).expect("it is no deadlock"));
                });
            }
        });
    });
}

#[test]
fn a_wait_of_a_thread_says_for_whom() {
    within(LIMIT, || {
        let holds = ThreadBarrier::new(2);
        let reports = ranks(2).run(|mut ctrl| {
            if ctrl.rank() == 0 {
                let _writing = ctrl.write();
                holds.wait();
                holds.wait();
                return None;
            }
            holds.wait();
            let limit = Duration::from_millis(100);
            let error = ctrl.write_timeout(limit).err();
            holds.wait();
            error
        });
        let text = reports[1].as_ref().expect("a timeout").to_string();
        assert!(text.contains("rank 0"), "{text}");
        assert!(text.contains("taken at"), "{text}");
        assert!(text.contains("something else than mpisync"), "{text}");
    });
}

#[test]
fn the_panic_that_goes_on_is_the_one_that_the_others_saw() {
    /// A value that takes its time to be dropped.
    struct Slow;

    impl Drop for Slow {
        fn drop(&mut self) {
            thread::sleep(Duration::from_millis(500));
        }
    }

    within(LIMIT, || {
        let run = || {
            ranks(4).run(|ctrl| {
                // It is dropped after the controller.
                let _slow = (ctrl.rank() == 3).then_some(Slow);
                let mut ctrl = ctrl;
                assert!(ctrl.rank() != 3, "the cause");
                match ctrl.on(3).expect("it is a rank").single_write() {
                    Access::Writer(fence) => fence.share(0),
                    Access::Excluded(fence) => fence.collect(),
                }
                .expect("the writer comes")
            })
        };
        let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("a rank panics");
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"the cause"));
    });
}

#[test]
fn as_many_threads_as_there_may_be_lock_and_share() {
    within(LIMIT, || {
        let values = ranks(ThreadRanks::MAX_THREADS).run(|mut ctrl| {
            drop(ctrl.write());
            match ctrl.single_write() {
                Access::Writer(fence) => fence.share(7),
                Access::Excluded(fence) => fence.collect(),
            }
            .expect("all ranks come")
        });
        assert_eq!(values, [7; ThreadRanks::MAX_THREADS]);
    });
}

#[test]
fn a_number_of_threads_that_is_none_is_an_error() {
    for threads in [0, ThreadRanks::MAX_THREADS + 1] {
        let error = WindowController::threads(threads).expect_err("an invalid number");
        assert!(error.to_string().contains("1 to 1024"), "{error}");
    }
}
