//! The futures of locks under executors, with threads as ranks.

use crate::common::{LIMIT, ranks, within};
use crate::polling::{poll_once, poll_until_ready};
use futures::executor::{LocalPool, block_on};
use futures::future::join_all;
use futures::join;
use futures::task::LocalSpawnExt;
use mpisync::prelude::*;
use mpisync::sync::SemaphoreError;
use std::cell::{Cell, RefCell};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::Barrier as ThreadBarrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::yield_now();
    }
}

/// Never drops the controller. Its memory stays reachable, so that checkers find no leak.
fn leak(ctrl: WindowController) {
    static LEAKED: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());
    let ctrl = Box::into_raw(Box::new(ctrl));
    let mut leaked = LEAKED.lock().expect("none panics with it");
    leaked.push(ctrl.addr());
}

/// Who is in the lock.
#[derive(Default)]
struct Inside {
    readers: AtomicU32,
    writers: AtomicU32,
    writes: AtomicU32,
}

impl Inside {
    fn read(&self) {
        self.readers.fetch_add(1, Ordering::SeqCst);
        assert_eq!(
            self.writers.load(Ordering::SeqCst),
            0,
            "a reader beside a writer"
        );
        thread::yield_now();
        self.readers.fetch_sub(1, Ordering::SeqCst);
    }

    fn write(&self) {
        assert_eq!(
            self.writers.fetch_add(1, Ordering::SeqCst),
            0,
            "two writers"
        );
        assert_eq!(
            self.readers.load(Ordering::SeqCst),
            0,
            "a writer beside a reader"
        );
        thread::yield_now();
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.writers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Every way to take the lock, with futures that are dropped at any moment and some that are leaked.
#[test]
fn futures_beside_other_calls_keep_readers_and_writers_apart() {
    const ROUNDS: u32 = 2_000;
    within(LIMIT, || {
        let inside = &Inside::default();
        let written = ranks(3).run(|mut ctrl| {
            let mut random = 0x9e37_79b9_u32.wrapping_mul(ctrl.rank() as u32 + 1);
            let mut below = |limit: u32| {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (random >> 16) % limit
            };
            let mut written = 0;
            for _ in 0..ROUNDS {
                match below(9) {
                    0 => {
                        let guard = block_on(ctrl.write_async()).expect("no rank dies");
                        inside.write();
                        written += 1;
                        drop(guard);
                    }
                    1 => {
                        let guard = block_on(ctrl.read_async()).expect("no rank dies");
                        inside.read();
                        drop(guard);
                    }
                    2 | 3 => {
                        let mut write = ctrl.write_async();
                        for _ in 0..below(6) {
                            if let Poll::Ready(guard) = poll_once(&mut write) {
                                let _guard = guard.expect("no rank dies");
                                inside.write();
                                written += 1;
                                break;
                            }
                        }
                    }
                    4 => {
                        let (mut one, mut other) = (ctrl.read_async(), ctrl.read_async());
                        let mut guards = Vec::new();
                        let (mut has_one, mut has_other) = (false, false);
                        for _ in 0..below(6) {
                            if !has_one && let Poll::Ready(guard) = poll_once(&mut one) {
                                guards.push(guard.expect("no rank dies"));
                                has_one = true;
                            }
                            if !has_other && let Poll::Ready(guard) = poll_once(&mut other) {
                                guards.push(guard.expect("no rank dies"));
                                has_other = true;
                            }
                        }
                        if !guards.is_empty() {
                            inside.read();
                        }
                    }
                    5 => {
                        let mut write = ctrl.write_async();
                        if poll_once(&mut write).is_pending() {
                            mem::forget(write);
                        }
                    }
                    6 => {
                        let mut read = ctrl.read_async();
                        if poll_once(&mut read).is_pending() {
                            // A call in between uses the same slot.
                            drop(ctrl.read());
                            drop(poll_until_ready(&mut read).expect("no rank dies"));
                        }
                    }
                    7 => {
                        let _guard = ctrl.write();
                        inside.write();
                        written += 1;
                    }
                    _ => {
                        let _guard = ctrl.read();
                        inside.read();
                    }
                }
            }
            written
        });
        assert_eq!(
            inside.writes.load(Ordering::SeqCst),
            written.iter().sum::<u32>()
        );
    });
}

#[test]
fn tasks_of_one_rank_read_together_while_they_wait_for_another_rank() {
    within(LIMIT, || {
        let written = Arc::new(AtomicBool::new(false));
        let writes = ThreadBarrier::new(2);
        ranks(2).run(|mut ctrl| {
            if ctrl.rank() == 0 {
                let _writing = ctrl.write();
                writes.wait();
                thread::sleep(Duration::from_millis(20));
                written.store(true, Ordering::SeqCst);
                return;
            }
            writes.wait();
            let ctrl = Rc::new(ctrl);
            let mut pool = LocalPool::new();
            for _ in 0..5 {
                let (ctrl, written) = (Rc::clone(&ctrl), Arc::clone(&written));
                let task = async move {
                    let _reading = ctrl.read_async().await.expect("no rank dies");
                    assert!(written.load(Ordering::SeqCst), "a reader beside a writer");
                };
                pool.spawner().spawn_local(task).expect("the pool is there");
            }
            pool.run();
            assert_eq!(Rc::strong_count(&ctrl), 1);
        });
    });
}

/// An upgrade in between ends no wait of a future that is alive.
#[test]
fn a_future_that_reads_outlives_an_upgrade() {
    within(LIMIT, || {
        let writes = ThreadBarrier::new(2);
        let written = AtomicBool::new(false);
        ranks(2).run(|mut ctrl| {
            if ctrl.rank() == 0 {
                let writing = ctrl.write();
                writes.wait();
                writes.wait();
                drop(writing);
                writes.wait();
                drop(ctrl.write());
                written.store(true, Ordering::SeqCst);
                return;
            }
            writes.wait();
            let (mut one, mut other) = (ctrl.read_async(), ctrl.read_async());
            assert!(poll_once(&mut one).is_pending() && poll_once(&mut other).is_pending());
            writes.wait();
            let writing = ctrl.read().upgrade().expect("there is no other guard");
            // Inside the write lock.
            drop(poll_until_ready(&mut one).expect("no rank dies"));
            drop(writing);
            let reading = poll_until_ready(&mut ctrl.read_async()).expect("no rank dies");
            writes.wait();
            thread::sleep(Duration::from_millis(5));
            assert!(!written.load(Ordering::SeqCst), "a writer beside a reader");
            drop(reading);
            drop(other);
            until(|| written.load(Ordering::SeqCst));
        });
    });
}

/// What a leaked future and a leaked guard of the same rank hold is not waited for.
#[test]
fn a_future_does_not_wait_for_what_its_rank_has_leaked() {
    within(LIMIT, || {
        ranks(2).run(|mut ctrl| {
            for _ in 0..200 {
                let mut write = ctrl.write_async();
                let _ = poll_once(&mut write).map(mem::forget);
                mem::forget(write);
                mem::forget(poll_until_ready(&mut ctrl.read_async()));
                drop(block_on(ctrl.write_async()).expect("no rank dies"));
                let mut read = ctrl.read_async();
                let _ = poll_once(&mut read).map(mem::forget);
                mem::forget(read);
                drop(ctrl.write());
            }
        });
    });
}

/// A task whose waker panics ends, and its rank waits no longer.
#[test]
fn a_waker_that_panics_ends_the_wait() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("it does not wake");
        }
    }
    within(LIMIT, || {
        let holds = ThreadBarrier::new(2);
        ranks(2).run(|mut ctrl| {
            if ctrl.rank() == 0 {
                let writing = ctrl.write();
                holds.wait();
                holds.wait();
                drop(writing);
                drop(ctrl.write());
                return;
            }
            holds.wait();
            let waker = Waker::from(Arc::new(Panics));
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let mut write = ctrl.write_async();
                Pin::new(&mut write)
                    .poll(&mut Context::from_waker(&waker))
                    .is_ready()
            }));
            assert!(panicked.is_err());
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let mut read = ctrl.read_async();
                Pin::new(&mut read)
                    .poll(&mut Context::from_waker(&waker))
                    .is_ready()
            }));
            assert!(panicked.is_err());
            holds.wait();
            drop(ctrl.write());
        });
    });
}

#[tokio::test]
async fn tokio_tasks_take_a_semaphore_in_order() {
    let licences = Rc::new(Semaphore::local(2).expect("a valid number"));
    let order = Rc::new(RefCell::new(Vec::new()));
    let at_once = Rc::new(Cell::new((0_u32, 0_u32)));
    let tasks = LocalSet::new();
    for task in 0..20 {
        let (licences, order, at_once) = (licences.clone(), order.clone(), at_once.clone());
        tasks.spawn_local(async move {
            let permit = licences.acquire_async().await.expect("no rank dies");
            order.borrow_mut().push(task);
            let (now, most) = at_once.get();
            at_once.set((now + 1, most.max(now + 1)));
            tokio::time::sleep(Duration::from_millis(2)).await;
            let (now, most) = at_once.get();
            at_once.set((now - 1, most));
            drop(permit);
        });
    }
    tasks.await;
    assert_eq!(*order.borrow(), (0..20).collect::<Vec<_>>());
    assert_eq!(at_once.get(), (0, 2));
    assert_eq!(licences.available(), 2);
}

#[test]
fn a_dropped_future_of_a_semaphore_gives_back_what_it_got() {
    let licences = Semaphore::local(3).expect("a valid number");
    let held = licences.acquire_many(3);
    let mut first = licences.acquire_many_async(2);
    let mut second = licences.acquire_async();
    let mut third = licences.acquire_many_async(3);
    for future in [&mut first, &mut second, &mut third] {
        assert!(poll_once(future).is_pending());
    }
    drop(second);
    drop(held);
    // It is granted, and nobody has taken it up.
    drop(first);
    let permits = poll_until_ready(&mut third).expect("no rank dies");
    assert_eq!(licences.available(), 0);
    drop(permits);
    assert_eq!(licences.available(), 3);
}

#[test]
fn a_call_of_a_semaphore_in_between_takes_the_place_of_a_future() {
    let licences = Semaphore::local_unbounded(1).expect("a valid number");
    let mut many = licences.acquire_many_async(2);
    assert!(poll_once(&mut many).is_pending());
    // The future is first in the queue, and waits for more than there is.
    let soon = Duration::from_secs(20);
    let permit = licences.acquire_timeout(soon).expect("one is free");
    assert!(poll_once(&mut many).is_pending());
    licences.release(1).expect("it is unbounded");
    drop(permit);
    // It is granted now. The call would wait for its own rank if the future kept what it was granted.
    let permits = licences
        .acquire_many_timeout(2, soon)
        .expect("two are free");
    assert!(poll_once(&mut many).is_pending());
    drop(permits);
    let permits = poll_until_ready(&mut many).expect("no rank dies");
    assert_eq!((permits.count(), licences.available()), (2, 0));
}

#[test]
fn what_a_semaphore_cannot_have_is_an_error_of_its_future() {
    let licences = Semaphore::local(2).expect("a valid number");
    let error = block_on(licences.acquire_many_async(3)).err();
    assert_eq!(error, Some(SemaphoreError::TooMany { asked: 3, most: 2 }));
    let none = block_on(licences.acquire_many_async(0)).expect("it does not wait");
    assert_eq!(none.count(), 0);
}

#[test]
fn a_mutex_of_one_process_is_locked_as_a_future() {
    let mut total = Mutex::local_with(0_u64);
    for _ in 0..100 {
        *block_on(total.lock_async()).expect("no rank dies") += 1;
        drop(total.lock_async());
        mem::forget(total.lock_async());
    }
    let mut lock = total.lock_async();
    mem::forget(poll_until_ready(&mut lock));
    drop(lock);
    assert_eq!(*total.lock(), 100);
}

#[test]
fn a_future_that_is_dropped_lets_the_others_in() {
    const ROUNDS: u32 = 3_000;
    within(LIMIT, || {
        let inside = &Inside::default();
        let is_over = AtomicBool::new(false);
        let holds = ThreadBarrier::new(2);
        ranks(2).run(|mut ctrl| {
            if ctrl.rank() == 0 {
                holds.wait();
                let start = Instant::now();
                for _ in 0..ROUNDS {
                    let _guard = ctrl.write();
                    inside.write();
                }
                is_over.store(true, Ordering::SeqCst);
                assert!(start.elapsed() < LIMIT / 2);
                return;
            }
            let mut dropped = 0;
            holds.wait();
            while !is_over.load(Ordering::SeqCst) {
                let mut write = ctrl.write_async();
                dropped += u32::from(poll_once(&mut write).is_pending());
                drop(write);
                let mut read = ctrl.read_async();
                dropped += u32::from(poll_once(&mut read).is_pending());
            }
            assert!(dropped > 0, "none had to wait");
        });
        assert_eq!(inside.writes.load(Ordering::SeqCst), ROUNDS);
    });
}

/// A writer that waits as a future is not passed over for good by ranks that write in a loop.
#[test]
fn a_future_gets_its_turn_among_ranks_that_write_all_the_time() {
    within(LIMIT, || {
        let is_over = AtomicBool::new(false);
        let writes = AtomicU32::new(0);
        let most = ranks(3).run(|mut ctrl| {
            if ctrl.rank() > 0 {
                while !is_over.load(Ordering::SeqCst) {
                    let _guard = ctrl.write();
                    writes.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(Duration::from_micros(100));
                }
                return 0;
            }
            let mut most = 0;
            for _ in 0..50 {
                let before = writes.load(Ordering::SeqCst);
                drop(block_on(ctrl.write_async()).expect("no rank dies"));
                most = most.max(writes.load(Ordering::SeqCst) - before);
            }
            is_over.store(true, Ordering::SeqCst);
            most
        });
        assert!(most[0] < 20_000, "{} writers passed it over", most[0]);
    });
}

#[test]
fn a_holder_that_has_ended_is_an_error_of_the_future() {
    within(LIMIT, || {
        let holds = ThreadBarrier::new(2);
        let errors = ranks(2).run(|mut ctrl| {
            if ctrl.rank() == 0 {
                mem::forget(ctrl.write());
                leak(ctrl);
                holds.wait();
                return None;
            }
            holds.wait();
            let written = block_on(ctrl.write_async()).err();
            assert_eq!(block_on(ctrl.read_async()).err(), written);
            written
        });
        assert_eq!(errors[1], Some(LockError::HolderEnded { rank: 0 }));
    });
}

#[test]
fn a_rank_waits_for_two_locks_at_a_time() {
    within(LIMIT, || {
        let holds = ThreadBarrier::new(2);
        let [first, second] = [ranks(2), ranks(2)].map(IntoIterator::into_iter);
        thread::scope(|scope| {
            for (one, other) in first.zip(second) {
                let holds = &holds;
                scope.spawn(move || {
                    let (mut one, mut other) = (one.controller(), other.controller());
                    if one.rank() == 0 {
                        let (has_one, has_other) = (one.write(), other.write());
                        holds.wait();
                        thread::sleep(Duration::from_millis(10));
                        drop(has_other);
                        holds.wait();
                        drop(has_one);
                        return;
                    }
                    holds.wait();
                    let order = RefCell::new(Vec::new());
                    block_on(async {
                        let first = async {
                            let _writing = one.write_async().await.expect("no rank dies");
                            order.borrow_mut().push("one");
                        };
                        let second = async {
                            let _writing = other.write_async().await.expect("no rank dies");
                            order.borrow_mut().push("other");
                            holds.wait();
                        };
                        join!(first, second)
                    });
                    assert_eq!(*order.borrow(), ["other", "one"]);
                });
            }
        });
    });
}

#[test]
fn a_future_goes_from_one_task_to_another() {
    within(LIMIT, || {
        let holds = ThreadBarrier::new(2);
        ranks(2).run(|mut ctrl| {
            if ctrl.rank() == 0 {
                let _writing = ctrl.write();
                holds.wait();
                holds.wait();
                thread::sleep(Duration::from_millis(5));
                return;
            }
            holds.wait();
            let mut write = ctrl.write_async();
            // For nobody, until it sleeps; then for a task that only its waker polls.
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(5) {
                assert!(poll_once(&mut write).is_pending());
            }
            holds.wait();
            drop(block_on(write).expect("no rank dies"));
        });
    });
}

#[test]
fn a_future_that_was_ready_is_not_polled_again() {
    let ctrl = WindowController::local();
    let mut read = ctrl.read_async();
    drop(poll_once(&mut read));
    let again = catch_unwind(AssertUnwindSafe(|| poll_once(&mut read).is_ready()));
    assert!(again.is_err());
    drop(join_all([ctrl.read_async()]));
}
