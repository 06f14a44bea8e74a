//! A rank is killed; the others get an error or continue, but do not hang.
//!
//! The victim is the last rank. The survivors cannot finalize MPI: each reports its verdict to the
//! test and exits.

pub mod batches;
pub mod channels;
pub mod creation;
pub mod futures;
pub mod going_on;
pub mod leader;
pub mod objects;
pub mod parts;
pub mod poison;
pub mod regions;
pub mod survivors;
pub mod threads;

use std::fmt::Debug;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use launcher::processes::is_running;
use mpisync::{Access, CollectiveError, LockError, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::launch::Launch;
use mpisync_tests::panics::expect_panic;
use mpisync_tests::scratch::{Scratch, until};
use mpisync_tests::signals::{Signal, die, send};

mpisync_tests::cases!(on [2, 4] with [LastRankDies]:
    reader_dies,
    writer_dies,
    writer_dies_while_others_wait,
    writer_dies_in_nested_guard,
    waiting_writer_dies,
    waiting_reader_dies,
    writer_that_waits_for_readers_dies,
    writer_of_a_fence_dies,
    writer_of_a_fence_never_comes,
    excluded_rank_dies,
    excluded_rank_never_comes,
    rank_dies_in_collective_call,
    idle_rank_dies,
);

/// Far more than the time to notice a death.
const LONG: Duration = Duration::from_secs(20);

// Words of scratch memory.
const PROCESS: usize = 0;
const READY: usize = 1;
const LEAVING: usize = 2;
const COUNT: usize = 3;

fn victim(job: &Job) -> i32 {
    job.size - 1
}

/// The victim publishes its process, and that it is ready.
fn ready(job: &Job) {
    ready_in(&job.scratch);
}

/// [`ready`] on any thread.
fn ready_in(scratch: &Scratch) {
    let process = std::process::id();
    scratch.word(PROCESS).store(process.into(), SeqCst);
    scratch.raise(READY);
}

fn victim_process(job: &Job) -> u32 {
    job.scratch.wait_for(READY);
    job.scratch.word(PROCESS).load(SeqCst) as u32
}

fn await_death(job: &Job) {
    let process = victim_process(job);
    until("the victim to die", || !is_running(process));
}

/// The victim dies here, and the others know.
fn victim_dies(job: &Job) {
    if job.rank == victim(job) {
        ready(job);
        die();
    }
    await_death(job);
}

/// Kills the victim after it has had time to begin its wait.
fn kill_waiting_victim(job: &Job) {
    let process = victim_process(job);
    thread::sleep(Duration::from_millis(100));
    send(process.into(), Signal::KILL).expect("it waits");
    await_death(job);
}

/// Reports success, waits for the other survivors, because the launcher may end them when the first
/// one exits, and exits.
fn survived(job: &Job) -> ! {
    survived_with(job, job.size - 1)
}

/// [`survived`] if this number of ranks survive.
fn survived_with(job: &Job, survivors: i32) -> ! {
    job.tell("survived");
    job.scratch.meet(LEAVING, survivors);
    job.leave()
}

/// Runs a case in which two ranks die. All others have to survive.
fn two_die(ranks: usize, case: &str, environment: &[(&str, &str)]) {
    let ended = Launch::new(ranks, [format!("death::{case}")])
        .envs(environment)
        .survive_deaths()
        .limit(Duration::from_secs(30))
        .run();
    let verdicts: Vec<_> = ended.verdicts.iter().flatten().collect();
    let report = || format!("{environment:?} {}", ended.report());
    assert_eq!(verdicts, vec!["survived"; ranks - 2], "{}", report());
}

/// The lock still works among the survivors: each of them enters many times, alone.
fn lock_works(job: &Job, ctrl: &mut WindowController) {
    use_lock(job, ctrl).expect("all get in");
    until("all survivors", || {
        job.scratch.word(COUNT).load(SeqCst) == 500 * (job.size as u64 - 1)
    });
}

fn use_lock(job: &Job, ctrl: &mut WindowController) -> Result<(), LockError> {
    let count = job.scratch.word(COUNT);
    for _ in 0..500 {
        drop(ctrl.read_timeout(LONG)?);
        let _guard = ctrl.write_timeout(LONG)?;
        count.store(count.load(SeqCst) + 1, SeqCst);
    }
    Ok(())
}

fn assert_holder_died<T: Debug>(job: &Job, outcome: Result<T, LockError>) {
    match outcome {
        Err(error @ LockError::HolderDied { rank }) => {
            assert_eq!(rank, victim(job));
            assert!(
                error.to_string().contains(&format!("rank {rank}")),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// A dead writer may have left its data half-written: every call for the lock reports so, every
/// time.
fn lock_is_lost(job: &Job, ctrl: &mut WindowController) {
    for timeout in [LONG, Duration::MAX] {
        assert_holder_died(job, ctrl.read_timeout(timeout).map(drop));
        assert_holder_died(job, ctrl.write_timeout(timeout).map(drop));
    }
    assert!(ctrl.try_read().is_none());
    assert!(ctrl.try_write().is_none());
    let expected = format!("rank {}", victim(job));
    let words = expect_panic(|| drop(ctrl.read()));
    assert!(words.contains(&expected), "{words}");
    let words = expect_panic(|| drop(ctrl.write()));
    assert!(words.contains(&expected), "{words}");
    let written = ctrl.single_write_timeout(LONG).and_then(Access::writer);
    match written.map(drop) {
        Err(CollectiveError::RankDied { rank }) => assert_eq!(rank, victim(job)),
        Err(CollectiveError::Lock(error)) => assert_holder_died(job, Err::<(), _>(error)),
        Err(_) if job.rank != ctrl.master() => {}
        other => panic!("{other:?}"),
    }
}

fn reader_dies(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == victim(job) {
        let _guard = ctrl.read();
        ready(job);
        die();
    }
    await_death(job);
    lock_works(job, &mut ctrl);
    survived(job)
}

fn writer_dies(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == victim(job) {
        let _guard = ctrl.write();
        ready(job);
        die();
    }
    await_death(job);
    lock_is_lost(job, &mut ctrl);
    survived(job)
}

/// The others are waiting, with and without a limit.
fn writer_dies_while_others_wait(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == victim(job) {
        let _guard = ctrl.write();
        ready(job);
        thread::sleep(Duration::from_millis(100));
        die();
    }
    victim_process(job);
    match job.rank % 3 {
        0 => assert_holder_died(job, ctrl.write_timeout(Duration::MAX).map(drop)),
        1 => assert_holder_died(job, ctrl.read_timeout(Duration::MAX).map(drop)),
        _ => {
            let words = expect_panic(|| drop(ctrl.write()));
            assert!(words.contains(&format!("rank {}", victim(job))), "{words}");
        }
    }
    lock_is_lost(job, &mut ctrl);
    survived(job)
}

fn writer_dies_in_nested_guard(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == victim(job) {
        let mut outer = ctrl.write();
        let inner = outer.write();
        let _reading = inner.read();
        ready(job);
        die();
    }
    await_death(job);
    lock_is_lost(job, &mut ctrl);
    survived(job)
}

/// Whether the lock may be lost by a death.
#[derive(PartialEq)]
enum Lost {
    Never,
    /// Over several nodes a rank that is next on its node may be mistaken for a writer.
    OverNodes,
}

/// The victim dies while it waits for a lock that rank 0 holds.
fn waiting_victim_dies(
    job: &Job,
    hold: fn(&mut WindowController, meanwhile: &dyn Fn()),
    want: fn(&mut WindowController),
    lost: Lost,
) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == 0 {
        hold(&mut ctrl, &|| {
            job.scratch.raise(10);
            kill_waiting_victim(job);
        });
    } else {
        job.scratch.wait_for(10);
        if job.rank == victim(job) {
            ready(job);
            want(&mut ctrl);
            unreachable!("rank 0 holds its guard until this rank is dead");
        }
    }
    if lost == Lost::OverNodes && ctrl.nodes() > 1 {
        if let Err(error) = use_lock(job, &mut ctrl) {
            assert_holder_died::<()>(job, Err(error));
        }
    } else {
        lock_works(job, &mut ctrl);
    }
    survived(job)
}

fn hold_write(ctrl: &mut WindowController, meanwhile: &dyn Fn()) {
    let _guard = ctrl.write();
    meanwhile();
}

fn hold_read(ctrl: &mut WindowController, meanwhile: &dyn Fn()) {
    let _guard = ctrl.read();
    meanwhile();
}

fn waiting_writer_dies(job: &Job) {
    waiting_victim_dies(job, hold_write, |ctrl| drop(ctrl.write()), Lost::OverNodes);
}

fn waiting_reader_dies(job: &Job) {
    waiting_victim_dies(job, hold_write, |ctrl| drop(ctrl.read()), Lost::Never);
}

/// The victim is next, and waits for rank 0 to stop reading. It has written nothing.
fn writer_that_waits_for_readers_dies(job: &Job) {
    waiting_victim_dies(job, hold_read, |ctrl| drop(ctrl.write()), Lost::OverNodes);
}

fn assert_rank_died<T: Debug>(job: &Job, outcome: Result<T, CollectiveError>) {
    let error = outcome.expect_err("a rank is dead");
    let rank = match error {
        CollectiveError::RankDied { rank } | CollectiveError::WriterFailed { rank, .. } => rank,
        CollectiveError::Lock(LockError::HolderDied { rank }) => rank,
        other => panic!("{other:?}"),
    };
    assert_eq!(rank, victim(job));
    assert!(
        error.to_string().contains(&format!("rank {rank}")),
        "{error}"
    );
}

/// Begins a fenced call at the same place of the source on all ranks.
fn access(ctrl: &mut WindowController, writer: i32) -> Result<Access<'_>, CollectiveError> {
    ctrl.on(writer)?.single_write_timeout(Duration::MAX)
}

/// A fence on the victim, for the survivors; each rank uses one of the ways to collect.
fn collect(job: &Job, ctrl: &mut WindowController) -> Result<i32, CollectiveError> {
    match access(ctrl, victim(job))? {
        Access::Writer(_) => panic!("the victim is the writer"),
        Access::Excluded(fence) => match job.rank % 4 {
            0 => fence.collect(),
            1 => fence
                .collect_vec()
                .map(|items: Vec<i32>| items.len() as i32),
            2 => fence.collect_timeout(LONG),
            _ => fence.wait().map(|()| 0),
        },
    }
}

fn writer_of_a_fence_dies(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == victim(job) {
        let _access = access(&mut ctrl, job.rank).unwrap();
        ready(job);
        thread::sleep(Duration::from_millis(if job.size % 2 == 0 {
            0
        } else {
            100
        }));
        die();
    }
    assert_rank_died(job, collect(job, &mut ctrl));
    // Again: no rank hangs in the following fences.
    assert_rank_died(job, collect(job, &mut ctrl));
    survived(job)
}

fn writer_of_a_fence_never_comes(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == victim(job) {
        ready(job);
        thread::sleep(Duration::from_millis(100));
        die();
    }
    victim_process(job);
    assert_rank_died(job, collect(job, &mut ctrl));
    survived(job)
}

/// A fence on rank 0, in which one of the others is missing. The value may or may not arrive, but
/// the survivors must not hang. Later fences must be errors.
fn share(ctrl: &mut WindowController, words: usize) -> Result<usize, CollectiveError> {
    match access(ctrl, 0)? {
        Access::Writer(fence) => fence.share(vec![1_u8; words]).map(|value| value.len()),
        Access::Excluded(fence) => fence.collect::<Vec<u8>>().map(|value| value.len()),
    }
}

fn shares_or_tells(job: &Job, ctrl: &mut WindowController) {
    for words in [1, 10_000_000, 1, 100_000, 1] {
        match share(ctrl, words) {
            Ok(length) => assert_eq!(length, words),
            Err(error) => assert_rank_died(job, Err::<(), _>(error)),
        }
    }
    lock_works(job, ctrl);
}

fn excluded_rank_dies(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.rank == victim(job) {
        let Ok(Access::Excluded(fence)) = access(&mut ctrl, 0) else {
            panic!("rank 0 is the writer");
        };
        ready(job);
        let _ = fence.collect_timeout::<Vec<u8>>(Duration::ZERO);
        die();
    }
    shares_or_tells(job, &mut ctrl);
    survived(job)
}

fn excluded_rank_never_comes(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    victim_dies(job);
    shares_or_tells(job, &mut ctrl);
    survived(job)
}

#[mpisync::collective]
fn step(ctrl: &mut WindowController, die_in_it: bool) -> Result<i32, CollectiveError> {
    if die_in_it {
        die();
    }
    Ok(ctrl.rank())
}

fn rank_dies_in_collective_call(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    assert_eq!(step(&mut ctrl, false).unwrap(), job.rank);
    assert_rank_died(job, step(&mut ctrl, job.rank == victim(job)));
    assert_rank_died(job, step(&mut ctrl, false));
    lock_works(job, &mut ctrl);
    survived(job)
}

/// The death of a rank that holds nothing loses nothing, and calls that need all ranks report it.
fn idle_rank_dies(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    drop(ctrl.write());
    drop(ctrl.read());
    victim_dies(job);
    lock_works(job, &mut ctrl);
    assert_rank_died(job, step(&mut ctrl, false));
    assert_rank_died(job, ctrl.close());
    survived(job)
}
