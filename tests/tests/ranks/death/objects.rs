//! A rank is killed that holds or waits for a mutex, a semaphore or a similar object.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use mpisync::sync::{BarrierError, LatchError, OnceError, SemaphoreError, TurnError};
use mpisync::{Barrier, Condvar, Latch, LockError, Mutex, OnceShared, Semaphore, Turn};
use mpisync_tests::job::Job;
use mpisync_tests::panics::expect_panic;
use mpisync_tests::scratch::until;
use mpisync_tests::signals::{Signal, send};

use super::{
    COUNT, LONG, PROCESS, READY, assert_holder_died, await_death, die, kill_waiting_victim, ready,
    survived, victim,
};

mpisync_tests::cases!(on [2, 4] with [LastRankDies]:
    holder_of_everything_dies,
    idle_rank_with_objects_dies,
    waiter_for_a_mutex_dies,
    user_of_a_mutex_dies,
    user_of_permits_dies,
    waiter_for_a_condition_dies,
    rank_that_a_latch_needs_dies,
    rank_that_has_counted_down_dies,
);

/// An object that it may have half changed is lost, and its waiters get an error; the others pass
/// to the next rank.
fn holder_of_everything_dies(job: &Job) {
    let mut mutex = Mutex::with_value(&job.world, 0u64).unwrap();
    let semaphore = Semaphore::new(&job.world, 3).unwrap();
    let tried = Semaphore::new(&job.world, 1).unwrap();
    let once = OnceShared::<u64>::new(&job.world).unwrap();
    let mut turn = Turn::new(&job.world).unwrap();
    let barrier = Barrier::new(&job.world).unwrap();
    barrier.wait();
    if job.rank == victim(job) {
        let _guard = mutex.lock();
        let _permits = (semaphore.acquire_many(2), semaphore.acquire());
        let _tried = tried.acquire();
        let _mine = turn.take();
        once.get_or_init(|| {
            ready(job);
            die()
        });
    }
    drop(turn.take_timeout(LONG).unwrap());
    job.scratch.wait_for(READY);
    // A rank that never waits finds out, too.
    until("the permit to come back", || tried.try_acquire().is_some());
    for limit in [LONG, Duration::MAX] {
        assert_holder_died(job, mutex.lock_timeout(limit).map(drop));
    }
    for words in [
        expect_panic(|| drop(mutex.lock())),
        expect_panic(|| drop(mutex.try_lock())),
    ] {
        assert!(words.contains(&format!("rank {}", victim(job))), "{words}");
    }
    for count in [1, 3, 2] {
        let permits = semaphore.acquire_many_timeout(count, LONG).unwrap();
        assert_eq!(permits.count(), count);
    }
    let value = once.get_or_try_init_timeout(LONG, || {
        job.scratch.word(COUNT).fetch_add(1, SeqCst);
        Ok::<u64, OnceError>(17)
    });
    assert_eq!(value, Ok(&17));
    assert_eq!(job.scratch.word(COUNT).load(SeqCst), 1);
    turn_is_lost(job, &mut turn);
    barrier_is_lost(job, &barrier);
    survived(job)
}

/// It has arrived at the barrier and not had its turn: that round of the barrier is complete, and
/// the others have their first turn.
fn idle_rank_with_objects_dies(job: &Job) {
    let mut turn = Turn::new(&job.world).unwrap();
    let barrier = Barrier::new(&job.world).unwrap();
    if job.rank == victim(job) {
        assert!(!barrier.try_wait());
        ready(job);
        die();
    }
    await_death(job);
    thread::sleep(Duration::from_millis(300));
    barrier.wait_timeout(LONG).unwrap();
    barrier_is_lost(job, &barrier);
    drop(turn.take_timeout(LONG).unwrap());
    turn_is_lost(job, &mut turn);
    survived(job)
}

/// A rank that dies in the queue is skipped, at any position. A rank of another node may have been
/// granted the lock by then: then its effects are unknown.
fn waiter_for_a_mutex_dies(job: &Job) {
    let mut mutex = Mutex::new(&job.world).unwrap();
    let is_far = mpisync::sync(&job.world).unwrap().nodes() > 1;
    if job.rank == 0 {
        let guard = mutex.lock();
        job.scratch.raise(5);
        kill_waiting_victim(job);
        // Others are behind it by now.
        thread::sleep(Duration::from_millis(50));
        drop(guard);
    } else {
        job.scratch.wait_for(5);
        if job.rank == victim(job) {
            ready(job);
            let _guard = mutex.lock();
            unreachable!("rank 0 has it until this rank is dead");
        }
        job.scratch.wait_for(READY);
        thread::sleep(Duration::from_millis(30));
    }
    for _ in 0..100 {
        match mutex.lock_timeout(LONG) {
            Ok(guard) => drop(guard),
            lost if is_far => return lost_and_survived(job, lost.map(drop)),
            Err(error) => panic!("{error}"),
        }
    }
    survived(job)
}

fn lost_and_survived(job: &Job, lost: Result<(), LockError>) {
    assert_holder_died(job, lost);
    survived(job)
}

/// Kills the victim at some moment of its loop.
pub(super) fn kill_busy_victim(job: &Job) {
    if job.rank == 0 {
        let (is_ready, process) = (job.scratch.word(READY), job.scratch.word(PROCESS));
        thread::spawn(move || {
            until("the victim", || is_ready.load(SeqCst) != 0);
            thread::sleep(Duration::from_millis(60));
            send(process.load(SeqCst), Signal::KILL).expect("it waits");
        });
    }
}

/// The others continue or get an error; if they continue, the value is that of a whole section.
fn user_of_a_mutex_dies(job: &Job) {
    let mut mutex = Mutex::with_value(&job.world, [0u64; 2]).unwrap();
    if job.rank == victim(job) {
        ready(job);
        loop {
            let mut pair = mutex.lock();
            pair[0] += 1;
            pair[1] += 1;
        }
    }
    kill_busy_victim(job);
    let mut after = 0;
    while after < 50 {
        match mutex.lock_timeout(LONG) {
            Ok(pair) => assert_eq!(pair[0], pair[1], "a torn value"),
            error => {
                assert_holder_died(job, error.map(drop));
                break;
            }
        }
        after += u32::from(job.scratch.word(PROCESS).load(SeqCst) != 0 && is_dead(job));
    }
    await_death(job);
    survived(job)
}

fn is_dead(job: &Job) -> bool {
    let process = job.scratch.word(PROCESS).load(SeqCst);
    !launcher::processes::is_running(process as u32)
}

/// Its permits are released, unless it died where it is unknown whether it had any; then the others
/// get an error.
fn user_of_permits_dies(job: &Job) {
    let semaphore = Semaphore::new(&job.world, 2).unwrap();
    if job.rank == victim(job) {
        ready(job);
        for count in (1..=2).cycle() {
            drop(semaphore.acquire_many(count));
        }
    }
    kill_busy_victim(job);
    let mut after = 0;
    while after < 20 {
        match semaphore.acquire_many_timeout(2, LONG) {
            Ok(permits) => drop(permits),
            Err(SemaphoreError::Lock(error)) => {
                assert_holder_died(job, Err::<(), _>(error));
                break;
            }
            Err(error) => panic!("{error}"),
        }
        after += u32::from(job.scratch.word(PROCESS).load(SeqCst) != 0 && is_dead(job));
    }
    await_death(job);
    survived(job)
}

/// A wake-up goes to the next living rank.
fn waiter_for_a_condition_dies(job: &Job) {
    let mut mutex = Mutex::with_value(&job.world, 0u64).unwrap();
    let condition = Condvar::new(&job.world).unwrap();
    if job.rank == victim(job) {
        let guard = mutex.lock();
        ready(job);
        let _guard = condition.wait(guard);
        unreachable!("nobody wakes it while it lives");
    }
    let (come, others) = (job.scratch.word(COUNT), job.size as u64 - 2);
    if job.rank != 0 {
        job.scratch.wait_for(READY);
        let guard = mutex.lock();
        come.fetch_add(1, SeqCst);
        let guard = condition.wait_timeout(guard, LONG).unwrap();
        assert_eq!(*guard.0, 1);
        drop(guard);
        survived(job)
    }
    kill_waiting_victim(job);
    until("the others to wait", || come.load(SeqCst) == others);
    // The node of the dead rank first has to find out and notify the others.
    thread::sleep(Duration::from_secs(2));
    *mutex.lock() = 1;
    assert_eq!(u64::from(condition.notify(others as u32)), others);
    assert_eq!(condition.notify_all(), 0);
    survived(job)
}

/// A latch that needs it is lost; another one opens without it.
fn rank_that_a_latch_needs_dies(job: &Job) {
    let (rank, size) = (victim(job), job.size as u64);
    let latch = Latch::new(&job.world, size).unwrap();
    let without = Latch::new(&job.world, size - 1).unwrap();
    if job.rank == rank {
        ready(job);
        latch.wait();
        unreachable!("it has not counted down itself");
    }
    if job.rank == 0 {
        kill_waiting_victim(job);
    }
    latch.count_down(1).unwrap();
    for limit in [LONG, Duration::MAX] {
        let error = latch.wait_timeout(limit).unwrap_err();
        assert_eq!(error, LatchError::RankDied { rank });
    }
    let words = expect_panic(|| latch.wait());
    assert!(words.contains(&format!("rank {rank}")), "{words}");
    assert!(!latch.is_open());
    without.count_down(1).unwrap();
    without.wait_timeout(LONG).unwrap();
    survived(job)
}

/// Its count stays. A latch that needs more counts from it is lost once all others wait.
fn rank_that_has_counted_down_dies(job: &Job) {
    let (rank, size) = (victim(job), job.size as u64);
    let latch = Latch::new(&job.world, size).unwrap();
    let twice = Latch::new(&job.world, 2 * size).unwrap();
    twice.count_down(1).unwrap();
    latch.count_down(1).unwrap();
    if job.rank == rank {
        ready(job);
        die();
    }
    await_death(job);
    latch.wait_timeout(LONG).unwrap();
    twice.count_down(1).unwrap();
    let error = twice.wait_timeout(Duration::MAX).unwrap_err();
    assert_eq!(error, LatchError::RankDied { rank });
    survived(job)
}

fn turn_is_lost(job: &Job, turn: &mut Turn) {
    let rank = victim(job);
    for _ in 0..2 {
        let error = turn.take_timeout(LONG).unwrap_err();
        assert_eq!(error, TurnError::RankDied { rank });
    }
    assert!(turn.try_take().is_none());
}

fn barrier_is_lost(job: &Job, barrier: &Barrier) {
    let rank = victim(job);
    for _ in 0..2 {
        let error = barrier.wait_timeout(LONG).unwrap_err();
        assert_eq!(error, BarrierError::RankDied { rank });
    }
    assert!(!barrier.try_wait());
    let words = expect_panic(|| barrier.wait());
    assert!(words.contains(&format!("rank {rank}")), "{words}");
    // Not mistaken for the end of MPI.
    assert!(!matches!(
        barrier.wait_timeout(LONG),
        Err(BarrierError::Lock(LockError::Finalized))
    ));
}
