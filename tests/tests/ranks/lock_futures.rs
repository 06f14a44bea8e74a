//! Locks as futures: among ranks that wait in calls, dropped at any moment, and in the order of their
//! first polls.

use std::fs;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use futures::future::join_all;
use mpi::traits::*;
use mpisync::{Counter, Mutex, Semaphore, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::rng::Rng;
use mpisync_tests::scratch::until;

use crate::guarded::{GUARDED, Guarded};

mpisync_tests::cases!(on [1, 2, 4]:
    lock_as_a_future,
    mutex_as_a_future,
    mutex_serves_futures_in_order,
    mutex_survives_dropped_futures,
    semaphore_as_a_future,
    semaphore_survives_dropped_futures,
    futures_take_no_memory,
);

// The same with each rank as a node of its own.
mpisync_tests::cases!(on [1, 2, 4] with [Environment(EACH_A_NODE)]:
    lock_as_a_future_over_nodes = lock_as_a_future,
    mutex_as_a_future_over_nodes = mutex_as_a_future,
    mutex_serves_futures_in_order_over_nodes = mutex_serves_futures_in_order,
    mutex_survives_dropped_futures_over_nodes = mutex_survives_dropped_futures,
    semaphore_as_a_future_over_nodes = semaphore_as_a_future,
    semaphore_survives_dropped_futures_over_nodes = semaphore_survives_dropped_futures,
    futures_take_no_memory_over_nodes = futures_take_no_memory,
);

const EACH_A_NODE: &[(&str, &str)] = &[("MPISYNC_NODE", "rank")];

/// Words of scratch memory behind those of `Guarded`.
const INSIDE: usize = GUARDED;
const DONE: usize = GUARDED + 1;
const LAST: usize = GUARDED + 2;
const COME: usize = GUARDED + 3;

/// Polls a future at most this number of times, with a waker that does nothing.
fn poll<F: Future>(future: F, times: u64) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    (0..times).find_map(|_| match future.as_mut().poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => {
            thread::yield_now();
            None
        }
    })
}

pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let polled = Pin::new(future).poll(&mut Context::from_waker(Waker::noop()));
    match polled {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// All ways to take the lock, with futures that are dropped or leaked at any moment.
fn lock_as_a_future(job: &Job) {
    const ROUNDS: u64 = 1_500;
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let guarded = Guarded {
        scratch: &job.scratch,
        first: 0,
    };
    let mut rng = Rng::new(job.rank as u64);
    let mut written = 0;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        // Over nodes with few cores a round takes long.
        if start.elapsed() > Duration::from_secs(10) {
            break;
        }
        let times = rng.below(40);
        match rng.below(8) {
            0 => {
                let _guard = block_on(ctrl.write_async()).unwrap();
                guarded.write();
                written += 1;
            }
            1 => {
                let _guard = block_on(ctrl.read_async()).unwrap();
                guarded.read();
            }
            2 | 3 => {
                if let Some(guard) = poll(ctrl.write_async(), times) {
                    let _guard = guard.unwrap();
                    guarded.write();
                    written += 1;
                }
            }
            4 => {
                if let Some(guard) = poll(ctrl.read_async(), times) {
                    let _guard = guard.unwrap();
                    guarded.read();
                }
            }
            5 => leak_a_future(&mut ctrl),
            6 => {
                let _guard = ctrl.write();
                guarded.write();
                written += 1;
            }
            _ => {
                let reads = (0..3).map(|_| ctrl.read_async());
                let _guards = block_on(join_all(reads));
                guarded.read();
            }
        }
    }
    job.scratch.word(DONE).fetch_add(written, SeqCst);
    // The future of the last round, too.
    drop(ctrl.write());
    job.scratch.meet(COME, job.size);
    assert_eq!(guarded.count(), job.scratch.word(DONE).load(SeqCst));
}

fn leak_a_future(ctrl: &mut WindowController) {
    let mut write = ctrl.write_async();
    if poll_once(&mut write).is_none() {
        std::mem::forget(write);
    }
}

fn mutex_as_a_future(job: &Job) {
    const EACH: u64 = 150;
    let mut mutex = Mutex::with_value(&job.world, 0_u64).unwrap();
    for round in 0..EACH {
        let mut value = match round % 3 {
            0 => mutex.lock(),
            _ => block_on(mutex.lock_async()).unwrap(),
        };
        assert_eq!(job.scratch.word(INSIDE).fetch_add(1, SeqCst), 0);
        *value += 1;
        job.scratch.word(INSIDE).fetch_sub(1, SeqCst);
    }
    job.world.barrier();
    assert_eq!(*mutex.lock(), EACH * job.size as u64);
    mutex.close().unwrap();
}

/// Ranks that wait as futures get the lock in the order in which they joined the queue.
fn mutex_serves_futures_in_order(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    let counter = Counter::<u64>::new(&job.world).unwrap();
    for round in 0..4 {
        let first = round % job.size;
        let place = (job.rank - first).rem_euclid(job.size) as u64;
        let (come, last) = (job.scratch.word(COME), job.scratch.word(LAST));
        if place == 0 {
            let guard = mutex.lock();
            come.store(1, SeqCst);
            until("the others to come", || {
                come.load(SeqCst) == job.size as u64
            });
            drop(guard);
        } else {
            until("those before", || come.load(SeqCst) == place);
            let mut lock = mutex.lock_async();
            assert!(poll_once(&mut lock).is_none(), "it is held");
            // The answer comes after the request of the future has come to the root's node.
            counter.next();
            come.fetch_add(1, SeqCst);
            // It is not polled for a while, and keeps its place.
            thread::sleep(Duration::from_millis(20));
            let guard = block_on(lock).unwrap();
            assert_eq!(last.fetch_add(1, SeqCst), place - 1, "round {round}");
            assert!(guard.ticket().is_some());
            drop(guard);
        }
        job.world.barrier();
        if place == 0 {
            come.store(0, SeqCst);
            last.store(0, SeqCst);
        }
        job.world.barrier();
    }
}

/// Thousands of futures are dropped, some of them after they were granted what they wanted.
fn mutex_survives_dropped_futures(job: &Job) {
    const ROUNDS: u64 = 3_000;
    let mut mutex = Mutex::with_value(&job.world, 0_u64).unwrap();
    let mut rng = Rng::new(job.rank as u64);
    let mut added = 0;
    for _ in 0..ROUNDS {
        let times = rng.below(5);
        if let Some(value) = poll(mutex.lock_async(), times) {
            *value.unwrap() += 1;
            added += 1;
        }
    }
    // In a queue of its own, so that the last futures are gone.
    *mutex.lock() += added << 32;
    job.scratch.meet(COME, job.size);
    let value = *mutex.lock();
    assert_eq!(value >> 32, value & u64::from(u32::MAX));
    job.world.barrier();
    mutex_serves_futures_in_order(job);
}

/// Several tasks of each rank, which wait for each other, too.
fn semaphore_as_a_future(job: &Job) {
    const TASKS: usize = 5;
    const ROUNDS: usize = 20;
    let permits = 3;
    let semaphore = Semaphore::new(&job.world, permits).unwrap();
    let inside = job.scratch.word(INSIDE);
    let task = async |number: usize| {
        for round in 0..ROUNDS {
            let count = 1 + (number + round) as u32 % permits;
            let permit = semaphore.acquire_many_async(count).await.unwrap();
            let before = inside.fetch_add(u64::from(count), SeqCst);
            assert!(before + u64::from(count) <= permits.into(), "{before}");
            // Gives the other tasks their turn while it has the permits.
            yield_to_others().await;
            inside.fetch_sub(u64::from(count), SeqCst);
            drop(permit);
        }
    };
    block_on(join_all((0..TASKS).map(task)));
    job.world.barrier();
    until("all permits to be back", || {
        semaphore.available() == permits
    });
}

async fn yield_to_others() {
    let mut has_yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn semaphore_survives_dropped_futures(job: &Job) {
    const ROUNDS: u64 = 2_000;
    let permits = 2;
    let semaphore = Semaphore::new(&job.world, permits).unwrap();
    let inside = job.scratch.word(INSIDE);
    let mut rng = Rng::new(job.rank as u64);
    for round in 0..ROUNDS {
        let count = 1 + rng.below(2) as u32;
        let (one, other) = (
            semaphore.acquire_many_async(count),
            semaphore.acquire_async(),
        );
        let mut both = (Box::pin(one), Box::pin(other));
        let mut has = None;
        for _ in 0..rng.below(6) {
            has = has.or_else(|| poll_once(&mut both.0));
            if has.is_none() {
                let _ = poll_once(&mut both.1);
                both.1 = Box::pin(semaphore.acquire_async());
            }
        }
        if let Some(permit) = has {
            let permit = permit.unwrap();
            let count = u64::from(permit.count());
            let before = inside.fetch_add(count, SeqCst);
            assert!(before + count <= permits.into(), "{before}");
            inside.fetch_sub(count, SeqCst);
        }
        drop(both);
        if round % 100 == 0 {
            let soon = Duration::from_secs(20);
            drop(semaphore.acquire_timeout(soon).unwrap());
        }
    }
    job.world.barrier();
    until("all permits to be back", || {
        semaphore.available() == permits
    });
}

/// The memory of this process in pages.
fn pages() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let resident = statm.split_whitespace().nth(1).unwrap();
    resident.parse().unwrap()
}

fn futures_take_no_memory(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let mut mutex = Mutex::new(&job.world).unwrap();
    let semaphore = Semaphore::new(&job.world, 1).unwrap();
    let mut rounds = |count: u64| {
        for round in 0..count {
            drop(poll(ctrl.write_async(), 2));
            drop(poll(ctrl.read_async(), 2));
            drop(poll(mutex.lock_async(), 2));
            drop(poll(semaphore.acquire_async(), 2));
            if round % 50 == 0 {
                // These wait for the other nodes, which have handled all messages before then.
                drop((ctrl.write(), mutex.lock(), semaphore.acquire()));
            }
        }
    };
    rounds(1_000);
    let before = pages();
    rounds(5_000);
    let grown = pages().saturating_sub(before);
    // 4 MiB; a hundred bytes for each future would be eight.
    assert!(grown < 1_024, "{grown} pages for 20,000 futures");
    job.world.barrier();
}
