//! A rank dies whose threads share an object.

use std::thread;
use std::time::Duration;

use mpi::traits::CommunicatorCollectives;
use mpisync::{Mutex, Semaphore, WindowController};
use mpisync_tests::job::Job;

use super::{
    LONG, assert_holder_died, await_death, die, lock_works, ready, ready_in, survived, victim,
};

use crate::shared::{THREADS, on_threads};

mpisync_tests::cases!(on [2, 4] with [LastRankDies]:
    thread_that_writes_dies = |job| thread_dies(job, true),
    thread_that_reads_dies = |job| thread_dies(job, false),
    thread_that_waits_dies,
    thread_with_a_mutex_and_a_permit_dies,
);

// A word of scratch memory.
const MET: usize = 9;

fn controller(job: &Job) -> WindowController {
    let builder = WindowController::builder(&job.world).threads(THREADS);
    builder.build().unwrap()
}

/// The victim dies while one of its threads has the lock. Each thread of the others gets the error if that was to
/// write. Then one of them repairs the lock.
fn thread_dies(job: &Job, writes: bool) {
    let mut ctrl = controller(job);
    job.world.barrier();
    let shared = ctrl.shared().unwrap();
    let scratch = &job.scratch;
    if job.rank == victim(job) {
        thread::scope(|scope| {
            // This thread has the lock, too, or waits for it.
            let _reading = (!writes).then(|| shared.read());
            scope.spawn(|| {
                let _guards = match writes {
                    true => (Some(shared.write()), None),
                    false => (None, Some(shared.read())),
                };
                ready_in(scratch);
                die();
            });
            drop(shared.read());
        });
        unreachable!("a thread of this rank has killed it");
    }
    await_death(job);
    let outcomes = on_threads(|thread| match thread {
        0 => shared.write_timeout(LONG).map(drop),
        _ => shared.read_timeout(LONG).map(drop),
    });
    for outcome in outcomes {
        match writes {
            true => assert_holder_died(job, outcome),
            false => assert_eq!(outcome, Ok(())),
        }
    }
    drop(shared);
    // All have got the error before one of them repairs the lock.
    scratch.meet(MET, job.size - 1);
    assert!(ctrl.clear_poison().is_ok());
    lock_works(job, &mut ctrl);
    survived(job)
}

/// The victim dies while some of its threads wait to write and others to read.
fn thread_that_waits_dies(job: &Job) {
    let mut ctrl = controller(job);
    job.world.barrier();
    let shared = ctrl.shared().unwrap();
    let writing = (job.rank == 0).then(|| shared.write());
    job.world.barrier();
    if job.rank == victim(job) {
        thread::scope(|scope| {
            for number in 0..4 {
                let shared = &shared;
                scope.spawn(move || match number % 2 {
                    0 => drop(shared.write()),
                    _ => drop(shared.read()),
                });
            }
            // They wait.
            thread::sleep(Duration::from_millis(100));
            ready(job);
            die();
        });
    }
    await_death(job);
    drop(writing);
    drop(shared);
    lock_works(job, &mut ctrl);
    survived(job)
}

/// The victim dies while one of its threads has a mutex and all permits, for which others of its threads wait. Each
/// thread of the other ranks gets the error of the mutex, and then the permits.
fn thread_with_a_mutex_and_a_permit_dies(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    let mut semaphore = Semaphore::new(&job.world, 2).unwrap();
    let shared = mutex.shared().unwrap();
    let permits = semaphore.shared().unwrap();
    let scratch = &job.scratch;
    job.world.barrier();
    if job.rank == victim(job) {
        thread::scope(|scope| {
            scope.spawn(|| {
                let _guards = (shared.lock(), permits.acquire_many(2));
                // The others wait.
                thread::sleep(Duration::from_millis(100));
                ready_in(scratch);
                die();
            });
            scope.spawn(|| drop(shared.lock()));
            drop(permits.acquire());
        });
        unreachable!("a thread of this rank has killed it");
    }
    await_death(job);
    let outcomes = on_threads(|_| {
        let locked = shared.lock_timeout(LONG).map(drop);
        (locked, permits.acquire_many_timeout(2, LONG).map(drop))
    });
    for (locked, acquired) in outcomes {
        assert_holder_died(job, locked);
        assert_eq!(acquired, Ok(()));
    }
    drop(shared);
    job.scratch.meet(MET, job.size - 1);
    assert!(mutex.clear_poison().is_ok());
    assert_eq!(mutex.lock_timeout(LONG).map(drop), Ok(()));
    survived(job)
}
