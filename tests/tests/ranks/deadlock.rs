//! Ranks that wait for each other: one reports it, or all get an error. Programs that only contend
//! are never taken for that.

mod hosts;
mod parts;

use std::io::Write;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use mpi::traits::*;
use mpisync::{
    Barrier, ChannelError, Condvar, LockError, Mutex, OnDeadlock, RemoteChannel, Semaphore, Turn,
    WindowController, lock_all, lock_all_timeout, on_deadlock,
};
use mpisync_tests::job::Job;
use mpisync_tests::launch::{Ended, Launch};

// Jobs that the tests below start.
mpisync_tests::cases!(on []:
    crossed_locks,
    reader_and_writer_crossed,
    guard_and_barrier,
    guard_and_fence,
    full_ring,
    permits,
    two_communicators,
    ring_of_all,
);

mpisync_tests::cases!(tests on [2] with [OneNode, BesideOthers]:
    reports_crossed_locks = |ranks| is_found("crossed_locks", ranks, &["`lock` of mutex \"a\"", "`lock` of mutex \"b\""]),
    reports_a_reader_and_a_writer = |ranks| is_found("reader_and_writer_crossed", ranks, &["`write` of controller \"a\"", "`write` of controller \"b\""]),
    reports_a_barrier_under_a_guard = |ranks| is_found("guard_and_barrier", ranks, &["`wait` of barrier", "`lock` of mutex \"a\""]),
    reports_a_fence_under_a_guard = |ranks| is_found("guard_and_fence", ranks, &["of controller \"b\"", "`lock` of mutex \"a\""]),
    reports_permits = |ranks| is_found("permits", ranks, &["`acquire` of semaphore"]),
    reports_two_communicators = |ranks| is_found("two_communicators", ranks, &["`lock` of mutex \"a\"", "`lock` of mutex \"b\""]),
    reports_nothing_if_off,
);

mpisync_tests::cases!(tests on [3] with [OneNode, BesideOthers]:
    reports_full_channels = |ranks| is_found("full_ring", ranks, &["`put` of channel"]),
    reports_a_long_cycle = |ranks| is_found("ring_of_all", ranks, &["`lock` of mutex"]),
);

mpisync_tests::cases!(on [2, 4] with [OwnJob, OneNode, Environment(&[("MPISYNC_DEADLOCK", "error")])]:
    contention_is_no_deadlock,
    time_limits_are_no_deadlock,
    one_that_computes_is_no_deadlock,
);

mpisync_tests::cases!(on [2, 3, 4]:
    all_locks_in_any_order,
    all_locks_or_none,
);

// Words of scratch memory.
const MET: usize = 0;
const PRESENT: usize = 1;

fn mutex(job: &Job, name: &str) -> Mutex {
    Mutex::builder(&job.world).name(name).build().unwrap()
}

fn controller(job: &Job, name: &str) -> WindowController {
    let builder = WindowController::builder(&job.world);
    builder.name(name).build().unwrap()
}

/// The end of a wait that is a part of a deadlock: this rank leaves its call with the error. One whose
/// wait has ended because others have left goes on.
#[track_caller]
fn ends<T>(outcome: Result<T, LockError>) {
    match outcome {
        Ok(_) => tell("went on"),
        Err(error @ LockError::Deadlock { .. }) => tell(&error.to_string()),
        Err(error) => panic!("{error}"),
    }
}

/// Writes a line at once, so that those of several ranks do not mix.
fn tell(outcome: &str) {
    let line = format!("outcome: {outcome}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

const FOREVER: Duration = Duration::MAX;

/// The two ranks of a case on one node.
const BOTH: [i32; 2] = [0, 1];

/// Of two objects, the one that this rank takes first, and the one that it wants then: on the second
/// rank the other way round. None on other ranks.
fn crossed<'a, T>(
    job: &Job,
    [first, second]: [i32; 2],
    a: &'a mut T,
    b: &'a mut T,
) -> Option<(&'a mut T, &'a mut T)> {
    match job.rank {
        rank if rank == first => Some((a, b)),
        rank if rank == second => Some((b, a)),
        _ => None,
    }
}

/// Waits until both of two ranks have what they take first.
fn meet(job: &Job) {
    job.scratch.meet(MET, 2);
}

fn crossed_locks(job: &Job) {
    cross(job, BOTH, mutex(job, "a"), mutex(job, "b"));
}

/// One rank takes `a`, and the other one `b`. Then each of them wants the other mutex.
fn cross(job: &Job, ranks: [i32; 2], mut a: Mutex, mut b: Mutex) {
    let Some((mine, theirs)) = crossed(job, ranks, &mut a, &mut b) else {
        return;
    };
    let _guard = mine.lock();
    meet(job);
    ends(theirs.lock_timeout(FOREVER));
}

fn reader_and_writer_crossed(job: &Job) {
    cross_reading(job, BOTH, controller(job, "a"), controller(job, "b"));
}

/// Each rank reads one controller, and then wants to write to the other one.
fn cross_reading(job: &Job, ranks: [i32; 2], mut a: WindowController, mut b: WindowController) {
    let Some((mine, theirs)) = crossed(job, ranks, &mut a, &mut b) else {
        return;
    };
    let _guard = mine.read();
    meet(job);
    ends(theirs.write_timeout(FOREVER));
}

fn guard_and_barrier(job: &Job) {
    let barrier = Barrier::new(&job.world).unwrap();
    let mut a = mutex(job, "a");
    if job.rank == 0 {
        let _guard = a.lock();
        job.scratch.meet(MET, job.size);
        ends(barrier.wait_timeout(FOREVER).map_err(|error| match error {
            mpisync::sync::BarrierError::Lock(error) => error,
            error => panic!("{error}"),
        }));
    } else {
        job.scratch.meet(MET, job.size);
        ends(a.lock_timeout(FOREVER));
    }
}

fn guard_and_fence(job: &Job) {
    let mut b = controller(job, "b");
    let mut a = mutex(job, "a");
    if job.rank == 0 {
        job.scratch.meet(MET, job.size);
        ends(a.lock_timeout(FOREVER));
    } else {
        let _guard = a.lock();
        job.scratch.meet(MET, job.size);
        // Rank 0 is the writer.
        let mpisync::Access::Excluded(fence) = b.single_write() else {
            panic!("the other rank writes");
        };
        let collected = fence.collect_timeout::<u32>(FOREVER);
        ends(collected.map_err(|error| match error {
            mpisync::CollectiveError::Lock(error) => error,
            error => panic!("{error}"),
        }));
    }
}

fn full_ring(job: &Job) {
    // Each rank is the only consumer of its own channel, and puts into that of the next one.
    let mut ends_of_all: Vec<_> = (0..job.size)
        .map(|rank| {
            let channel = RemoteChannel::<u64>::new(&job.world, 2).unwrap();
            let (producer, consumer) = channel.split();
            let next = (job.rank + 1) % job.size;
            (
                (rank == next).then_some(producer),
                (rank == job.rank).then_some(consumer),
            )
        })
        .collect();
    let next = ((job.rank + 1) % job.size) as usize;
    let producer = ends_of_all[next].0.take().unwrap();
    job.scratch.meet(MET, job.size);
    let outcome = (0..3).try_for_each(|message| producer.put(message));
    match outcome.map_err(|error| error.reason) {
        Ok(()) => tell("went on"),
        Err(error @ ChannelError::Deadlock { .. }) => tell(&error.to_string()),
        // The consumers of a rank that has left first.
        Err(ChannelError::Closed) => tell("went on"),
        Err(error) => panic!("{error}"),
    }
}

fn permits(job: &Job) {
    // Each has one of two permits, and wants both.
    let semaphore = Semaphore::new(&job.world, 2).unwrap();
    let _one = semaphore.acquire();
    job.scratch.meet(MET, job.size);
    match semaphore.acquire_timeout(FOREVER) {
        Ok(_) => tell("went on"),
        Err(mpisync::sync::SemaphoreError::Lock(error)) => ends::<()>(Err(error)),
        Err(error) => panic!("{error}"),
    }
}

fn two_communicators(job: &Job) {
    let other = job.world.duplicate();
    let b = Mutex::builder(&other).name("b").build().unwrap();
    cross(job, BOTH, mutex(job, "a"), b);
}

/// Each rank has a lock and wants that of the next one.
fn ring_of_all(job: &Job) {
    let mut all: Vec<Mutex> = (0..job.size)
        .map(|rank| mutex(job, &rank.to_string()))
        .collect();
    let mine = job.rank as usize;
    let next = (mine + 1) % all.len();
    let [mine, next] = all.get_disjoint_mut([mine, next]).unwrap();
    let _guard = mine.lock();
    job.scratch.meet(MET, job.size);
    ends(next.lock_timeout(FOREVER));
}

/// Runs a case with this setting, for at most some seconds.
fn run(case: &str, ranks: usize, setting: &str, seconds: u64) -> Ended {
    launch(case, ranks, setting)
        .limit(Duration::from_secs(seconds))
        .run()
}

fn launch<'a>(case: &str, ranks: usize, setting: &'a str) -> Launch<'a> {
    Launch::new(ranks, [format!("deadlock::{case}")])
        .envs(&[("MPISYNC_DEADLOCK", setting), ("MPISYNC_WATCHDOG", "0")])
        .beside_others()
}

/// Runs a case that stands for ever until there is a report, and some seconds more.
fn run_until_reported(case: &str, ranks: usize) -> Ended {
    let limit = Instant::now() + Duration::from_secs(40);
    let mut job = launch(case, ranks, "report").start();
    while !job.output().contains(REPORT) && !job.is_over() && Instant::now() < limit {
        thread::sleep(Duration::from_millis(20));
    }
    // A second report would come with the next search, about as soon as the first one.
    job.finish(AGAIN)
}

/// Within this time a deadlock that is reported again would be.
const AGAIN: Duration = Duration::from_secs(3);

const REPORT: &str = "mpisync: deadlock: these ranks wait for each other";
const OUTCOME: &str = "outcome: deadlock: these ranks wait for each other";

/// Checks that the case, with all ranks, is found.
fn is_found(case: &str, ranks: usize, waits: &[&str]) {
    is_found_among(case, ranks, ranks, 1, waits);
}

/// Checks a case in which `members` ranks wait for each other. It is reported once. With `error` it
/// ends soon, and at least `least_errors` of these ranks get the error.
fn is_found_among(case: &str, ranks: usize, members: usize, least_errors: usize, waits: &[&str]) {
    let start = Instant::now();
    let ended = run(case, ranks, "error", 60);
    let time = start.elapsed();
    assert!(ended.succeeded(), "{}", ended.report());
    assert!(
        time < Duration::from_secs(20),
        "{time:?} {}",
        ended.report()
    );
    let errors = ended.output.matches(OUTCOME).count();
    let went_on = ended.output.matches("outcome: went on").count();
    assert_eq!(errors + went_on, members, "{}", ended.report());
    assert!(errors >= least_errors, "{}", ended.report());
    let place = "tests/tests/ranks/deadlock";
    let error = ended.output.lines().find(|line| line.contains(OUTCOME));
    for part in waits.iter().chain([&place]) {
        assert!(error.unwrap().contains(part), "{}", ended.report());
    }

    // Without the error it stands for ever, and says so once.
    let ended = run_until_reported(case, ranks);
    assert!(!ended.succeeded(), "{}", ended.report());
    assert_eq!(
        ended.output.matches(REPORT).count(),
        1,
        "{}",
        ended.report()
    );
    let lines = ended
        .output
        .lines()
        .filter(|line| line.starts_with("mpisync:   rank "));
    assert_eq!(lines.count(), members, "{}", ended.report());
    for part in waits {
        assert!(ended.output.contains(part), "{}", ended.report());
    }
}

fn reports_nothing_if_off(ranks: usize) {
    let ended = run("crossed_locks", ranks, "off", 5);
    assert!(!ended.succeeded(), "{}", ended.report());
    assert!(!ended.output.contains("mpisync: "), "{}", ended.report());
}

/// How long the programs below run: several times as long as it takes to find a deadlock.
const LONG: Duration = Duration::from_secs(5);

/// All objects, in orders in which none waits for ever, with holders that take their time.
fn contention_is_no_deadlock(job: &Job) {
    on_deadlock(OnDeadlock::Error);
    let (mut a, mut b) = (mutex(job, "a"), mutex(job, "b"));
    let mut ctrl = controller(job, "ctrl");
    let barrier = Barrier::new(&job.world).unwrap();
    let mut turn = Turn::new(&job.world).unwrap();
    let semaphore = Semaphore::new(&job.world, 2).unwrap();
    let condvar = Condvar::new(&job.world).unwrap();
    let channel = RemoteChannel::<u64>::new(&job.world, 1).unwrap();
    let start = Instant::now();
    let nap = |millis| thread::sleep(Duration::from_millis(millis));
    let mut round = 0;
    while job.scratch.word(PRESENT).load(SeqCst) == 0 {
        round += 1;
        let slow = round % job.size == job.rank;
        {
            let _a = a.lock();
            let _b = b.lock();
            let _write = ctrl.write();
            nap(if slow { 700 } else { 1 });
        }
        {
            let _read = ctrl.read();
            let _permit = semaphore.acquire();
            nap(if slow { 300 } else { 1 });
        }
        // Those who wait for a slow rank are woken by it, and the messages of one are taken by the next.
        if slow {
            nap(300);
            for _ in 1..job.size {
                channel.put(round as u64).unwrap();
            }
            let mut woken = 0;
            while woken < job.size - 1 {
                let _a = a.lock();
                woken += condvar.notify_all() as i32;
            }
        } else {
            assert_eq!(channel.take(), Some(round as u64));
            let guard = a.lock();
            drop(condvar.wait(guard));
        }
        turn.each(|rank| nap(if rank == 0 { 200 } else { 1 }));
        let sum = mpisync_sum(&mut ctrl, round);
        assert_eq!(sum, round as u64);
        barrier.wait();
        if job.rank == 0 && start.elapsed() > LONG {
            job.scratch.raise(PRESENT);
        }
        barrier.wait();
    }
}

fn mpisync_sum(ctrl: &mut WindowController, round: i32) -> u64 {
    let shared = ctrl.single_write().run(|_| {
        thread::sleep(Duration::from_millis(100));
        Ok::<u64, mpisync::CollectiveError>(round as u64)
    });
    shared.unwrap()
}

/// Crossed locks that a time limit ends.
fn time_limits_are_no_deadlock(job: &Job) {
    let (mut a, mut b) = (mutex(job, "a"), mutex(job, "b"));
    let (first, second) = match job.rank % 2 {
        0 => (&mut a, &mut b),
        _ => (&mut b, &mut a),
    };
    if job.rank < 2 {
        let guard = first.lock();
        job.scratch.meet(MET, 2);
        if job.rank == 0 {
            let error = second.lock_timeout(Duration::from_secs(4)).unwrap_err();
            assert!(matches!(error, LockError::Timeout { .. }), "{error}");
            let text = error.to_string();
            assert!(
                text.contains("(taken at tests/tests/ranks/deadlock.rs:"),
                "{text}"
            );
            assert!(text.contains(", seen for "), "{text}");
        } else {
            drop(second.lock());
        }
        drop(guard);
    }
}

/// A rank that computes holds what others wait for in a row.
fn one_that_computes_is_no_deadlock(job: &Job) {
    let (mut a, mut b) = (mutex(job, "a"), mutex(job, "b"));
    let barrier = Barrier::new(&job.world).unwrap();
    match job.rank {
        0 => {
            let _a = a.lock();
            job.scratch.meet(MET, job.size);
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(3) {
                std::hint::spin_loop();
            }
        }
        1 => {
            let _b = b.lock();
            job.scratch.meet(MET, job.size);
            drop(a.lock());
        }
        _ => {
            job.scratch.meet(MET, job.size);
            drop(b.lock());
        }
    }
    barrier.wait();
}

/// Ranks that name locks, of two communicators, in different orders.
fn all_locks_in_any_order(job: &Job) {
    let other = job.world.duplicate();
    let mut a = Mutex::with_value(&job.world, 0u64).unwrap();
    let mut b = Mutex::with_value(&other, 0u64).unwrap();
    let mut ctrl = controller(job, "ctrl");
    let rounds = 300;
    job.scratch.meet(MET, job.size);
    for round in 0..rounds {
        match (round + job.rank) % 4 {
            0 => {
                let (mut a, mut b) = lock_all((&mut a, &mut b));
                (*a, *b) = (*a + 1, *b + 1);
            }
            1 => {
                let (mut b, _write, mut a) = lock_all((&mut b, &mut ctrl, &mut a));
                (*a, *b) = (*a + 1, *b + 1);
            }
            2 => {
                let (_read, mut a, mut b) = lock_all((&ctrl, &mut a, &mut b));
                (*a, *b) = (*a + 1, *b + 1);
            }
            _ => {
                let (mut a, _read, mut b) = lock_all((&mut a, &ctrl, &mut b));
                (*a, *b) = (*a + 1, *b + 1);
            }
        }
    }
    Barrier::new(&job.world).unwrap().wait();
    let all = u64::try_from(rounds * job.size).unwrap();
    let (a, b) = lock_all((&mut a, &mut b));
    assert_eq!((*a, *b), (all, all));
}

/// A call that times out leaves no lock behind.
fn all_locks_or_none(job: &Job) {
    let (mut a, mut b) = (mutex(job, "a"), mutex(job, "b"));
    let barrier = Barrier::new(&job.world).unwrap();
    match job.rank {
        0 => {
            let _guard = b.lock();
            barrier.wait();
            barrier.wait();
        }
        1 => {
            barrier.wait();
            let waited = Duration::from_millis(50);
            let error = lock_all_timeout((&mut b, &mut a), waited).unwrap_err();
            let report = Default::default();
            assert_eq!(error, LockError::Timeout { waited, report });
            assert!(a.try_lock().is_some());
            barrier.wait();
        }
        _ => {
            barrier.wait();
            barrier.wait();
        }
    }
    barrier.wait();
    if job.rank == job.size - 1 {
        let (_a, _b) = lock_all((&mut a, &mut b));
    }
}
