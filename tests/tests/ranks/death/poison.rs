//! A rank dies with a lock, and the others take it over.

use std::fs;
use std::io::{BufRead, Write};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use mpi::traits::CommunicatorCollectives;
use mpisync::guarded::AppendFile;
use mpisync::ndarray::Ix1;
use mpisync::sync::SemaphoreError;
use mpisync::{Condvar, Guarded, LockError, Mutex, Region, Semaphore, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

use super::objects::kill_busy_victim;
use super::{
    COUNT, LONG, PROCESS, READY, assert_holder_died, await_death, die, lock_works, ready, survived,
    survived_with, two_die, victim,
};

mpisync_tests::cases!(on [2, 4, 6] with [LastRankDies]:
    survivors_clear_the_poison_at_the_same_time,
    survivors_repair_what_is_half_written,
    survivors_clear_a_mutex_at_the_same_time,
    region_is_taken_over,
    file_is_taken_over,
);
mpisync_tests::cases!(on [2, 4] with [LastRankDies]:
    writer_dies_at_any_moment,
    user_of_a_mutex_dies_at_any_moment,
    user_of_permits_dies_at_any_moment,
    waiter_for_a_condition_dies_at_any_moment,
);
mpisync_tests::cases!(on []: the_rank_that_took_over_dies, the_rank_that_took_a_mutex_over_dies);
mpisync_tests::cases!(tests on [4] with [OneNode]:
    two_die_after_each_other = |ranks| two_die(ranks, "poison::the_rank_that_took_over_dies", &[]),
    two_die_with_a_mutex = |ranks| two_die(ranks, "poison::the_rank_that_took_a_mutex_over_dies", &[]),
);

// Words of scratch memory.
const MET: usize = 10;
const CLEARED: usize = 11;
const FIRST: usize = 12;
const SECOND: usize = 13;
const INSIDE: usize = 14;
const NEXT_DIES: usize = 15;
const DONE: usize = 16;

/// Each of the survivors gets the error, and one of them clears the poison.
fn survivors_clear_the_poison_at_the_same_time(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    assert!(!ctrl.clear_poison().unwrap(), "nobody has died");
    assert!(ctrl.take_over().unwrap().is_none());
    job.world.barrier();
    if job.rank == victim(job) {
        let _guard = ctrl.write();
        ready(job);
        die();
    }
    await_death(job);
    for _ in 0..2 {
        assert_holder_died(job, ctrl.read_timeout(LONG).map(drop));
        assert_holder_died(job, ctrl.write_timeout(LONG).map(drop));
    }
    job.scratch.meet(MET, job.size - 1);
    let has_cleared = ctrl.clear_poison().unwrap();
    job.scratch
        .word(CLEARED)
        .fetch_add(has_cleared.into(), SeqCst);
    lock_works(job, &mut ctrl);
    assert_eq!(job.scratch.word(CLEARED).load(SeqCst), 1);
    assert!(!ctrl.clear_poison().unwrap());
    survived(job)
}

/// Nobody sees what the victim has left before it is repaired.
fn survivors_repair_what_is_half_written(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let (first, second) = (job.scratch.word(FIRST), job.scratch.word(SECOND));
    if job.rank == victim(job) {
        let _guard = ctrl.write();
        first.store(1, SeqCst);
        ready(job);
        die();
    }
    job.scratch.wait_for(READY);
    for _ in 0..100 {
        loop {
            match ctrl.read_timeout(LONG) {
                Ok(_guard) => {
                    assert_eq!(first.load(SeqCst), second.load(SeqCst), "half written");
                    break;
                }
                error => assert_holder_died(job, error.map(drop)),
            }
            if let Some(guard) = ctrl.take_over().unwrap() {
                assert_eq!(guard.rank(), job.rank);
                job.scratch.word(CLEARED).fetch_add(1, SeqCst);
                assert_eq!(job.scratch.word(INSIDE).fetch_add(1, SeqCst), 0);
                thread::sleep(Duration::from_millis(50));
                second.store(1, SeqCst);
                job.scratch.word(INSIDE).fetch_sub(1, SeqCst);
            }
        }
    }
    assert_eq!(job.scratch.word(CLEARED).load(SeqCst), 1);
    lock_works(job, &mut ctrl);
    survived(job)
}

fn survivors_clear_a_mutex_at_the_same_time(job: &Job) {
    let mut mutex = Mutex::with_value(&job.world, [0_u64; 2]).unwrap();
    assert!(!mutex.clear_poison().unwrap(), "nobody has died");
    assert!(mutex.take_over().unwrap().is_none());
    job.world.barrier();
    if job.rank == victim(job) {
        let mut pair = mutex.lock();
        pair[0] = 1;
        ready(job);
        die();
    }
    await_death(job);
    assert_holder_died(job, mutex.lock_timeout(LONG).map(drop));
    job.scratch.meet(MET, job.size - 1);
    if job.rank % 2 == 0 {
        if let Some(mut pair) = mutex.take_over().unwrap() {
            assert_eq!(pair[1], 0);
            *pair = [1, 1];
            job.scratch.word(CLEARED).fetch_add(1, SeqCst);
        }
    } else if mutex.clear_poison().unwrap() {
        job.scratch.word(CLEARED).fetch_add(1, SeqCst);
    }
    for _ in 0..200 {
        let mut pair = mutex.lock_timeout(LONG).unwrap();
        assert_eq!(job.scratch.word(INSIDE).fetch_add(1, SeqCst), 0);
        pair[1] += 1;
        job.scratch.word(INSIDE).fetch_sub(1, SeqCst);
    }
    job.scratch.meet(DONE, job.size - 1);
    let pair = mutex.lock_timeout(LONG).unwrap();
    assert!(pair[1] >= 200 * (job.size as u64 - 1));
    assert_eq!(job.scratch.word(CLEARED).load(SeqCst), 1);
    drop(pair);
    survived(job)
}

fn region_is_taken_over(job: &Job) {
    const ITEMS: usize = 100_000;
    let mut region = Region::<u64, Ix1>::new(&job.world, [ITEMS]).unwrap();
    assert_eq!(region.clear_poison().unwrap(), None);
    job.world.barrier();
    if job.rank == victim(job) {
        let mut items = region.write();
        items.slice_mut(mpisync::ndarray::s![..ITEMS / 2]).fill(1);
        ready(job);
        die();
    }
    await_death(job);
    assert_holder_died(job, region.read_timeout(LONG).map(drop));
    job.scratch.meet(MET, job.size - 1);
    let taken = if job.rank % 2 == 0 {
        let taken = region.take_over().unwrap();
        taken.map(drop).map(|()| 0..ITEMS)
    } else {
        region.clear_poison().unwrap()
    };
    if let Some(range) = taken {
        assert_eq!(range, 0..ITEMS);
        job.scratch.word(CLEARED).fetch_add(1, SeqCst);
    }
    // All copies are the same, and all their parts are of one time.
    let sum = region.read_timeout(LONG).unwrap().sum();
    let sums = job.scratch.word(FIRST);
    let _ = sums.compare_exchange(0, sum + 1, SeqCst, SeqCst);
    assert_eq!(sums.load(SeqCst), sum + 1, "the copies differ");
    job.scratch.meet(DONE, job.size - 1);
    assert_eq!(job.scratch.word(CLEARED).load(SeqCst), 1);
    for _ in 0..20 {
        region.write_timeout(LONG).unwrap()[0] += 1;
    }
    survived(job)
}

fn file_is_taken_over(job: &Job) {
    let path = job.file("lines.txt");
    let mut file = Guarded::new(&job.world, AppendFile::new(&path)).unwrap();
    assert!(!file.clear_poison().unwrap());
    job.world.barrier();
    if job.rank == victim(job) {
        let _: Result<(), _> = file.write(|lines| {
            write!(lines, "half a li")?;
            lines.flush()?;
            ready(job);
            die()
        });
    }
    await_death(job);
    let read = file.read_timeout(LONG, |lines| Ok(lines.lines().count()));
    assert!(read.unwrap_err().to_string().contains("died"));
    job.scratch.meet(MET, job.size - 1);
    let repaired = file.take_over(|lines| writeln!(lines, "ne")).unwrap();
    if repaired.is_some() {
        job.scratch.word(CLEARED).fetch_add(1, SeqCst);
    }
    file.write(|lines| writeln!(lines, "rank {}", job.rank))
        .unwrap();
    job.scratch.meet(DONE, job.size - 1);
    assert_eq!(job.scratch.word(CLEARED).load(SeqCst), 1);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("half a line\n"), "{text}");
    assert_eq!(text.lines().count() as i32, job.size, "{text}");
    survived(job)
}

/// The victim dies somewhere in a loop of writes, in which the others take part: it waits, writes,
/// or comes or goes. They go on, and only the death of a rank that writes is an error.
fn writer_dies_at_any_moment(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == victim(job) {
        ready(job);
        loop {
            drop(ctrl.write());
        }
    }
    kill_busy_victim(job);
    let mut after = 0;
    while after < 200 {
        match write_alone(job, &mut ctrl) {
            Ok(()) => after += u32::from(is_dead(job)),
            error => {
                assert_holder_died(job, error);
                ctrl.clear_poison().unwrap();
            }
        }
    }
    await_death(job);
    // The others may still clear the poison.
    job.scratch.meet(MET, job.size - 1);
    for _ in 0..100 {
        write_alone(job, &mut ctrl).unwrap();
        drop(ctrl.read_timeout(LONG).unwrap());
    }
    survived(job)
}

fn write_alone(job: &Job, ctrl: &mut WindowController) -> Result<(), LockError> {
    let _guard = ctrl.write_timeout(LONG)?;
    assert_eq!(job.scratch.word(INSIDE).fetch_add(1, SeqCst), 0, "alone");
    job.scratch.word(INSIDE).fetch_sub(1, SeqCst);
    Ok(())
}

fn is_dead(job: &Job) -> bool {
    let process = job.scratch.word(PROCESS).load(SeqCst);
    process != 0 && !launcher::processes::is_running(process as u32)
}

/// The mutex is rebuilt if the victim dies in the middle of a change.
fn user_of_a_mutex_dies_at_any_moment(job: &Job) {
    let mut mutex = Mutex::with_value(&job.world, 0_u64).unwrap();
    if job.rank == victim(job) {
        ready(job);
        loop {
            drop(mutex.lock());
        }
    }
    kill_busy_victim(job);
    let mut after = 0;
    while after < 200 {
        match mutex.lock_timeout(LONG) {
            Ok(mut value) => {
                assert_eq!(job.scratch.word(INSIDE).fetch_add(1, SeqCst), 0, "alone");
                *value += 1;
                job.scratch.word(INSIDE).fetch_sub(1, SeqCst);
                after += u32::from(is_dead(job));
            }
            error => {
                assert_holder_died(job, error.map(drop));
                mutex.clear_poison().unwrap();
            }
        }
    }
    survived(job)
}

fn user_of_permits_dies_at_any_moment(job: &Job) {
    const PERMITS: u32 = 3;
    let semaphore = Semaphore::new(&job.world, PERMITS).unwrap();
    if job.rank == victim(job) {
        ready(job);
        for count in (1..=PERMITS).cycle() {
            drop(semaphore.acquire_many(count));
        }
    }
    kill_busy_victim(job);
    let mut after = 0;
    while after < 200 {
        let count = 1 + after % PERMITS;
        match semaphore.acquire_many_timeout(count, LONG) {
            Ok(_permits) => {
                let before = job.scratch.word(INSIDE).fetch_add(count.into(), SeqCst);
                assert!(before + u64::from(count) <= PERMITS.into(), "too many");
                job.scratch.word(INSIDE).fetch_sub(count.into(), SeqCst);
                after += u32::from(is_dead(job));
            }
            Err(SemaphoreError::Lock(error)) => {
                assert_holder_died(job, Err::<(), _>(error));
                semaphore.clear_poison().unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    job.scratch.meet(MET, job.size - 1);
    until("all permits to be free", || {
        semaphore.available() == PERMITS
    });
    survived(job)
}

fn waiter_for_a_condition_dies_at_any_moment(job: &Job) {
    let mut mutex = Mutex::with_value(&job.world, 0_u64).unwrap();
    let condition = Condvar::new(&job.world).unwrap();
    let soon = Duration::from_micros(1);
    if job.rank == victim(job) {
        ready(job);
        loop {
            let guard = mutex.lock();
            let _ = condition.wait_timeout(guard, soon);
        }
    }
    kill_busy_victim(job);
    let mut after = 0;
    while after < 200 {
        let waited = mutex
            .lock_timeout(LONG)
            .and_then(|guard| condition.wait_timeout(guard, soon).map(drop));
        after += u32::from(is_dead(job));
        match waited {
            Ok(()) | Err(LockError::Timeout { .. }) => {}
            error => {
                assert_holder_died(job, error);
                mutex.clear_poison().unwrap();
                condition.clear_poison().unwrap();
            }
        }
    }
    job.scratch.word(COUNT).fetch_add(1, SeqCst);
    survived(job)
}

/// The last but one: it takes over, and dies with the lock.
fn heir(job: &Job) -> i32 {
    job.size - 2
}

fn the_rank_that_took_over_dies(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == victim(job) {
        let _guard = ctrl.write();
        ready(job);
        die();
    }
    await_death(job);
    if job.rank == heir(job) {
        assert_holder_died(job, ctrl.write_timeout(LONG).map(drop));
        let _guard = ctrl.take_over().unwrap().expect("nobody else does");
        job.scratch.raise(NEXT_DIES);
        die();
    }
    job.scratch.wait_for(NEXT_DIES);
    until("the second death", || {
        matches!(
            ctrl.write_timeout(LONG).map(drop),
            Err(LockError::HolderDied { rank }) if rank == heir(job)
        )
    });
    job.scratch.meet(MET, job.size - 2);
    let has_cleared = ctrl.clear_poison().unwrap();
    job.scratch
        .word(CLEARED)
        .fetch_add(has_cleared.into(), SeqCst);
    for _ in 0..100 {
        write_alone(job, &mut ctrl).unwrap();
        drop(ctrl.read_timeout(LONG).unwrap());
    }
    assert_eq!(job.scratch.word(CLEARED).load(SeqCst), 1);
    survived_with(job, job.size - 2)
}

fn the_rank_that_took_a_mutex_over_dies(job: &Job) {
    let mut mutex = Mutex::with_value(&job.world, 0_u64).unwrap();
    if job.rank == victim(job) {
        let _guard = mutex.lock();
        ready(job);
        die();
    }
    await_death(job);
    if job.rank == heir(job) {
        assert_holder_died(job, mutex.lock_timeout(LONG).map(drop));
        let _guard = mutex.take_over().unwrap().expect("nobody else does");
        job.scratch.raise(NEXT_DIES);
        die();
    }
    job.scratch.wait_for(NEXT_DIES);
    until("the second death", || {
        matches!(
            mutex.lock_timeout(LONG).map(drop),
            Err(LockError::HolderDied { rank }) if rank == heir(job)
        )
    });
    job.scratch.meet(MET, job.size - 2);
    let has_cleared = mutex.clear_poison().unwrap();
    job.scratch
        .word(CLEARED)
        .fetch_add(has_cleared.into(), SeqCst);
    for _ in 0..100 {
        *mutex.lock_timeout(LONG).unwrap() += 1;
    }
    assert_eq!(job.scratch.word(CLEARED).load(SeqCst), 1);
    survived_with(job, job.size - 2)
}
