//! Deadlocks over several hosts, and waits over hosts that only look like one for a while.

mod objects;

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::*;
use mpisync::sync::{BarrierError, SemaphoreError};
use mpisync::{
    Access, Barrier, CollectiveError, LockError, Mutex, Semaphore, WindowController, lock_all,
};
use mpisync_tests::job::Job;

use super::{
    FOREVER, MET, PRESENT, contention_is_no_deadlock, cross, cross_reading, crossed, ends,
    is_found_among, meet, tell,
};

// Jobs that the tests below start.
mpisync_tests::cases!(on []:
    mutexes,
    controllers,
    reader_and_writer,
    one_root,
    barrier,
    fence,
    collective,
    permits,
    two_communicators,
    three_over_two_hosts,
);

mpisync_tests::cases!(tests on [4] with [SeveralNodes, BesideOthers]:
    reports_mutexes = |ranks| is_found_on_hosts("hosts::mutexes", ranks, 2, &["`lock` of mutex \"a\"", "`lock` of mutex \"b\"", "which took it at"]),
    reports_controllers = |ranks| is_found_on_hosts("hosts::controllers", ranks, 2, &["`write` of controller \"a\"", "`write` of controller \"b\"", "which took it at"]),
    reports_a_reader_and_a_writer = |ranks| is_found_on_hosts("hosts::reader_and_writer", ranks, 2, &["`write` of controller \"a\"", "`write` of controller \"b\""]),
    reports_ranks_of_one_host_with_locks_of_another = |ranks| is_found_on_hosts("hosts::one_root", ranks, 2, &["`lock` of mutex \"a\"", "`lock` of mutex \"b\""]),
    reports_a_barrier_under_a_guard = |ranks| is_found_on_hosts("hosts::barrier", ranks, 2, &["`wait` of barrier", "`lock` of mutex \"a\""]),
    reports_a_fence_under_a_guard = |ranks| is_found_on_hosts("hosts::fence", ranks, 2, &["`collect` of controller \"b\"", "`lock` of mutex \"a\""]),
    reports_a_collective_call_under_a_guard = |ranks| is_found_on_hosts("hosts::collective", ranks, 2, &["of controller \"b\"", "`lock` of mutex \"a\""]),
    reports_permits = |ranks| is_found_on_hosts("hosts::permits", ranks, 2, &["`acquire` of semaphore"]),
    reports_two_communicators = |ranks| is_found_on_hosts("hosts::two_communicators", ranks, 2, &["`lock` of mutex \"a\"", "`lock` of mutex \"b\""]),
    reports_a_circle_that_enters_a_host_twice = |ranks| is_found_on_hosts("ring_of_all", ranks, ranks, &["`lock` of mutex"]),
    reports_a_circle_over_a_wait_of_one_host = |ranks| is_found_on_hosts("hosts::three_over_two_hosts", ranks, 3, &["`lock` of mutex \"a\"", "`write` of controller \"ctrl\""]),
);

mpisync_tests::cases!(on [4] with [SeveralNodes, OwnJob, Environment(&[("MPISYNC_DEADLOCK", "error")])]:
    contention = contention_is_no_deadlock,
    time_limits,
    one_that_computes,
    locks_that_cross_for_short,
);

/// Checks that the case is found, and that all ranks that wait for each other get the error.
pub(super) fn is_found_on_hosts(case: &str, ranks: usize, members: usize, waits: &[&str]) {
    is_found_among(case, ranks, members, members, waits);
}

/// The host of each rank, by its lowest rank.
fn host_of(job: &Job) -> Vec<i32> {
    let node = job.world.split_shared(job.rank);
    let mut leader = job.rank;
    node.process_at_rank(0).broadcast_into(&mut leader);
    let mut all = vec![0; job.size as usize];
    job.world.all_gather_into(&leader, &mut all);
    all
}

/// The ranks on the host of rank 0, or on the others.
pub(super) fn ranks_on_first_host(job: &Job, is_first: bool) -> Vec<i32> {
    let hosts = host_of(job);
    let ranks = 0..job.size;
    ranks
        .filter(|rank| (hosts[*rank as usize] == hosts[0]) == is_first)
        .collect()
}

/// Two ranks on two hosts: the last one of the first host, and the first one of the other.
pub(super) fn two(job: &Job) -> [i32; 2] {
    let (here, there) = (
        ranks_on_first_host(job, true),
        ranks_on_first_host(job, false),
    );
    [here[here.len() - 1], there[0]]
}

/// Whether this rank is the first one of two, and their own communicator, in which that has the rank 0.
fn pair(job: &Job) -> Option<(bool, SimpleCommunicator)> {
    let [first, second] = two(job);
    let is_in = job.rank == first || job.rank == second;
    let color = if is_in {
        Color::with_value(1)
    } else {
        Color::undefined()
    };
    let key = i32::from(job.rank == second);
    let pair = job.world.split_by_color_with_key(color, key)?;
    Some((job.rank == first, pair))
}

fn mutex_on(world: &SimpleCommunicator, name: &str, root: i32) -> Mutex {
    let builder = Mutex::builder(world).name(name).root(root);
    builder.build().unwrap()
}

fn controller_on(world: &SimpleCommunicator, name: &str, root: i32) -> WindowController {
    let builder = WindowController::builder(world).name(name).master(root);
    builder.build().unwrap()
}

/// Mutexes of two hosts: each rank has that of the other one's host.
fn mutexes(job: &Job) {
    let [first, second] = two(job);
    let (a, b) = (
        mutex_on(&job.world, "a", second),
        mutex_on(&job.world, "b", first),
    );
    cross(job, [first, second], a, b);
}

fn controllers(job: &Job) {
    let ranks = two(job);
    let [first, _] = ranks;
    let (mut a, mut b) = (
        controller_on(&job.world, "a", first),
        controller_on(&job.world, "b", first),
    );
    let Some((mine, theirs)) = crossed(job, ranks, &mut a, &mut b) else {
        return;
    };
    let _guard = mine.write();
    meet(job);
    ends(theirs.write_timeout(FOREVER));
}

fn reader_and_writer(job: &Job) {
    let [first, second] = two(job);
    let (a, b) = (
        controller_on(&job.world, "a", first),
        controller_on(&job.world, "b", second),
    );
    cross_reading(job, [first, second], a, b);
}

/// Both ranks are on one host, and the locks on the other one.
fn one_root(job: &Job) {
    let (here, there) = (
        ranks_on_first_host(job, true),
        ranks_on_first_host(job, false),
    );
    let (a, b) = (
        mutex_on(&job.world, "a", here[0]),
        mutex_on(&job.world, "b", here[0]),
    );
    cross(job, [there[0], there[1]], a, b);
}

fn barrier(job: &Job) {
    let Some((is_first, pair)) = pair(job) else {
        return;
    };
    let barrier = Barrier::new(&pair).unwrap();
    let mut a = mutex_on(&pair, "a", 0);
    if is_first {
        let _guard = a.lock();
        meet(job);
        ends(barrier.wait_timeout(FOREVER).map_err(|error| match error {
            BarrierError::Lock(error) => error,
            error => panic!("{error}"),
        }));
    } else {
        meet(job);
        ends(a.lock_timeout(FOREVER));
    }
}

fn lock_error(error: CollectiveError) -> LockError {
    match error {
        CollectiveError::Lock(error) => error,
        error => panic!("{error}"),
    }
}

fn fence(job: &Job) {
    let Some((is_first, pair)) = pair(job) else {
        return;
    };
    let mut b = controller_on(&pair, "b", 0);
    let mut a = mutex_on(&pair, "a", 0);
    if is_first {
        meet(job);
        ends(a.lock_timeout(FOREVER));
    } else {
        let _guard = a.lock();
        meet(job);
        // The other rank is the writer.
        let Access::Excluded(fence) = b.single_write() else {
            panic!("the other rank writes");
        };
        let collected = fence.collect_timeout::<u32>(FOREVER);
        ends(collected.map_err(lock_error));
    }
}

#[mpisync::collective]
fn together(ctrl: &mut WindowController) -> Result<(), CollectiveError> {
    assert_eq!(ctrl.size(), 2);
    Ok(())
}

fn collective(job: &Job) {
    let Some((is_first, pair)) = pair(job) else {
        return;
    };
    let mut b = controller_on(&pair, "b", 0);
    let mut a = mutex_on(&pair, "a", 1);
    if is_first {
        let _guard = a.lock();
        meet(job);
        ends(together(&mut b).map_err(lock_error));
    } else {
        meet(job);
        ends(a.lock_timeout(FOREVER));
    }
}

fn permits(job: &Job) {
    let Some((_, pair)) = pair(job) else {
        return;
    };
    // Each has one of two permits, and wants both.
    let semaphore = Semaphore::new(&pair, 2).unwrap();
    let _one = semaphore.acquire();
    meet(job);
    match semaphore.acquire_timeout(FOREVER) {
        Ok(_) => tell("went on"),
        Err(SemaphoreError::Lock(error)) => ends::<()>(Err(error)),
        Err(error) => panic!("{error}"),
    }
}

fn two_communicators(job: &Job) {
    let other = job.world.duplicate();
    let (a, b) = (mutex_on(&job.world, "a", 0), mutex_on(&other, "b", 0));
    cross(job, two(job), a, b);
}

/// A rank waits for another one of its host that is in line for the lock of a rank of the other host,
/// and that one waits for the first.
fn three_over_two_hosts(job: &Job) {
    let (here, there) = (
        ranks_on_first_host(job, true),
        ranks_on_first_host(job, false),
    );
    let (mut a, mut ctrl) = (
        mutex_on(&job.world, "a", 0),
        controller_on(&job.world, "ctrl", 0),
    );
    let local = job.world.split_shared(job.rank);
    let mut b = mutex_on(&local, "b", 0);
    let ready = || job.scratch.meet(MET, 3);
    if job.rank == here[0] {
        let _guard = a.lock();
        ready();
        ends(b.lock_timeout(FOREVER));
    } else if job.rank == here[1] {
        let _guard = b.lock();
        ready();
        ends(ctrl.write_timeout(FOREVER));
    } else if job.rank == there[0] {
        let _guard = ctrl.write();
        ready();
        ends(a.lock_timeout(FOREVER));
    }
}

/// Crossed locks that a time limit ends.
fn time_limits(job: &Job) {
    let [first, second] = two(job);
    let (mut a, mut b) = (
        mutex_on(&job.world, "a", first),
        controller_on(&job.world, "b", first),
    );
    if job.rank == first {
        let guard = a.lock();
        meet(job);
        let error = b.write_timeout(Duration::from_secs(5)).unwrap_err();
        assert!(matches!(error, LockError::Timeout { .. }), "{error}");
        drop(guard);
    } else if job.rank == second {
        let guard = b.write();
        meet(job);
        drop(a.lock());
        drop(guard);
    }
}

/// A rank that computes has what others of both hosts wait for in a row.
fn one_that_computes(job: &Job) {
    let [first, second] = two(job);
    let (mut a, mut b) = (
        mutex_on(&job.world, "a", first),
        controller_on(&job.world, "b", second),
    );
    let barrier = Barrier::new(&job.world).unwrap();
    if job.rank == first {
        let _a = a.lock();
        job.scratch.meet(MET, job.size);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            std::hint::spin_loop();
        }
    } else if job.rank == second {
        let _b = b.write();
        job.scratch.meet(MET, job.size);
        drop(a.lock());
    } else {
        job.scratch.meet(MET, job.size);
        drop(b.read());
    }
    barrier.wait();
}

/// Locks and a barrier that all ranks want at all times, in an order in which each wait ends.
fn locks_that_cross_for_short(job: &Job) {
    let [first, second] = two(job);
    let (mut a, mut b) = (
        mutex_on(&job.world, "a", first),
        mutex_on(&job.world, "b", second),
    );
    let barrier = Barrier::new(&job.world).unwrap();
    let start = Instant::now();
    let mut round = 0;
    while job.scratch.word(PRESENT).load(SeqCst) == 0 {
        round += 1;
        let has_time = round % job.size == job.rank;
        let nap = Duration::from_millis(if has_time { 1500 } else { 1 });
        let guards = lock_all((&mut a, &mut b));
        thread::sleep(nap);
        drop(guards);
        barrier.wait();
        if job.rank == 0 && start.elapsed() > Duration::from_secs(12) {
            job.scratch.raise(PRESENT);
        }
        barrier.wait();
    }
}
