//! A rank is killed while others wait for its locks as futures, or while it waits as a future.

use std::fmt::{Debug, Display};
use std::thread;
use std::time::Duration;

use futures::executor::block_on;
use mpisync::{LockError, Mutex, Semaphore, WindowController};
use mpisync_tests::job::Job;

use super::{LONG, assert_holder_died, kill_waiting_victim, lock_works, ready, survived, victim};

mpisync_tests::cases!(on [2, 4] with [LastRankDies]:
    holder_dies_for_futures,
    rank_with_futures_dies,
);

mpisync_tests::cases!(on [2, 4] with [LastRankDies, Environment(&[("MPISYNC_NODE", "rank")])]:
    node_is_lost_for_futures,
);

/// Objects of which the victim has all, and dies.
fn left_by_the_victim(job: &Job) -> (WindowController, Mutex, Semaphore) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let mut mutex = Mutex::new(&job.world).unwrap();
    let semaphore = Semaphore::new(&job.world, 2).unwrap();
    if job.rank == victim(job) {
        let _held = (semaphore.acquire_many(2), mutex.lock(), ctrl.write());
        ready(job);
        loop {
            thread::park();
        }
    }
    if job.rank == 0 {
        kill_waiting_victim(job);
    } else {
        super::await_death(job);
    }
    (ctrl, mutex, semaphore)
}

/// What it may have half changed is an error of the futures; permits pass to the next rank.
fn holder_dies_for_futures(job: &Job) {
    let (mut ctrl, mut mutex, semaphore) = left_by_the_victim(job);
    assert_holder_died(job, block_on(ctrl.write_async()).map(drop));
    assert_holder_died(job, block_on(ctrl.read_async()).map(drop));
    assert_holder_died(job, block_on(mutex.lock_async()).map(drop));
    let permits = block_on(semaphore.acquire_many_async(2)).unwrap();
    drop(permits);
    survived(job)
}

/// The victim, which is alone on its node, has all of them.
fn node_is_lost_for_futures(job: &Job) {
    let (mut ctrl, mut mutex, semaphore) = left_by_the_victim(job);
    assert_node_lost(block_on(ctrl.write_async()).map(drop));
    assert_node_lost(block_on(ctrl.read_async()).map(drop));
    assert_node_lost(block_on(mutex.lock_async()).map(drop));
    assert_node_lost(block_on(semaphore.acquire_many_async(2)).map(drop));
    survived(job)
}

fn assert_node_lost<E: Debug + Display>(outcome: Result<(), E>) {
    let error = outcome.expect_err("a rank of the lost node has it");
    let text = error.to_string();
    let is_lost = text.contains("leader of its host") || text.contains("has not answered");
    assert!(is_lost, "{text}: {error:?}");
}

/// It waits in all queues, as a future that nobody polls, and is passed over.
fn rank_with_futures_dies(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let mut mutex = Mutex::new(&job.world).unwrap();
    let semaphore = Semaphore::new(&job.world, 1).unwrap();
    let is_far = ctrl.nodes() > 1;
    if job.rank == victim(job) {
        job.scratch.wait_for(HELD);
        let futures = async {
            let write = ctrl.write_async();
            let (lock, acquire) = (mutex.lock_async(), semaphore.acquire_async());
            let ready = async { ready(job) };
            futures::join!(write, lock, acquire, ready)
        };
        let _ = block_on(futures);
        unreachable!("rank 0 has all of them");
    }
    if job.rank == 0 {
        let held = (ctrl.write(), mutex.lock(), semaphore.acquire());
        job.scratch.raise(HELD);
        kill_waiting_victim(job);
        drop(held);
    } else {
        super::await_death(job);
    }
    for _ in 0..20 {
        drop(semaphore.acquire_timeout(LONG).unwrap());
        match mutex.lock_timeout(LONG) {
            Ok(guard) => drop(guard),
            // A rank of another node may have been granted the lock by then.
            lost if is_far => assert_holder_died(job, lost.map(drop)),
            Err(error) => panic!("{error}"),
        }
    }
    lock_works(job, &mut ctrl);
    let soon: Result<(), LockError> = ctrl.write_timeout(Duration::from_secs(20)).map(drop);
    assert_eq!(soon, Ok(()));
    survived(job)
}

/// A word of scratch memory.
const HELD: usize = 50;
