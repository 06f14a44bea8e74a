//! Programs in which a rank fails or panics: what is printed, how the job ends, and when.

use std::error::Error;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use launcher::JobDirectory;
use mpisync::prelude::*;
use mpisync::{OnPanic, Universe};
use mpisync_tests::launch::{Ended, Launch};

mpisync_tests::cases!(tests on [2, 4] with [OneNode, BesideOthers]:
    error_while_others_wait_in_mpi,
    error_while_others_wait_in_a_collective_call,
    error_while_others_wait_for_a_lock,
    error_while_others_compute,
    error_beside_ranks_that_succeed,
    errors_of_all_ranks,
    error_is_printed_at_once,
    panic_while_others_wait_in_mpi,
    panic_while_others_wait_in_a_collective_call,
    panic_while_others_wait_for_a_lock,
    panic_while_others_compute,
    panic_beside_ranks_that_succeed,
    panic_of_a_task,
    panic_without_run_aborts,
    panic_without_run_waits_if_asked_to,
    grace_that_is_no_number,
);

mpisync_tests::cases!(tests on [1] with [OneNode, BesideOthers]:
    errors_of_all_ranks,
    panic_beside_ranks_that_succeed,
);

// The last rank of each goes wrong. The tests start these.
mpisync_tests::cases!(programs on []:
    error_in_mpi = || run(error, wait_in_mpi),
    error_in_call = || run(error, wait_in_call),
    error_in_lock = || run(error, wait_for_lock),
    error_in_computation = || run(error, compute),
    error_alone = || run(error, succeed),
    error_everywhere = || run(error, error),
    panic_in_mpi = || run(panics, wait_in_mpi),
    panic_in_call = || run(panics, wait_in_call),
    panic_in_lock = || run(panics, wait_for_lock),
    panic_in_computation = || run(panics, compute),
    panic_alone = || run(panics, succeed),
    panic_in_task,
    panic_of_universe = || without_run(|universe| universe),
    panic_of_universe_that_waits = || without_run(|universe| universe.on_panic(OnPanic::Wait)),
);

// Over several hosts, too.
mpisync_tests::cases!(processes on [2, 4]:
    rank_that_has_ended_serves_the_others,
);

/// What a rank does when all have made the objects.
struct Rank<'a> {
    world: &'a SimpleCommunicator,
    ctrl: &'static mut WindowController,
}

type Outcome = Result<(), Box<dyn Error>>;

/// Has the last rank do `wrong`, and the others something else.
fn run(wrong: fn(Rank<'_>) -> Outcome, others: fn(Rank<'_>) -> Outcome) -> ExitCode {
    mpisync::run(|world| {
        // Leaked, so that a lock stays with a rank that has failed.
        let ctrl = Box::leak(Box::new(mpisync::sync(world)?));
        let is_last = world.rank() == world.size() - 1;
        if is_last {
            mem::forget(ctrl.write());
        }
        world.barrier();
        let rank = Rank { world, ctrl };
        if is_last { wrong(rank) } else { others(rank) }
    })
}

/// The causes are printed once, whoever prints them.
fn error(rank: Rank<'_>) -> Outcome {
    let error = anyhow!("no such file").context("cannot open input");
    let rank = rank.world.rank();
    let outcome: anyhow::Result<()> = Err(error);
    Ok(outcome.with_context(|| format!("rank {rank} has no input"))?)
}

fn error_of(rank: usize) -> String {
    format!("rank {rank} failed: rank {rank} has no input: cannot open input: no such file\n")
}

fn panics(_: Rank<'_>) -> Outcome {
    panic!("no input")
}

/// In a call that no other rank enters.
fn wait_in_mpi(rank: Rank<'_>) -> Outcome {
    rank.world.barrier();
    Ok(())
}

fn wait_in_call(rank: Rank<'_>) -> Outcome {
    let on_last = rank.ctrl.on(rank.world.size() - 1)?;
    Ok(on_last
        .single_write()
        .run(|_| Ok::<(), CollectiveError>(()))?)
}

fn wait_for_lock(rank: Rank<'_>) -> Outcome {
    drop(rank.ctrl.write_timeout(Duration::MAX)?);
    Ok(())
}

fn compute(_: Rank<'_>) -> Outcome {
    thread::sleep(Duration::from_secs(60));
    Ok(())
}

fn succeed(_: Rank<'_>) -> Outcome {
    Ok(())
}

/// Each rank catches the panic that drops its task, and prints the reason for which it has failed.
fn panic_in_task() -> ExitCode {
    mpisync::run(|world| -> Result<(), Box<dyn Error>> {
        let mut ctrl = mpisync::sync(world)?;
        let directory = ctrl.is_master().then(|| JobDirectory::new("panic"));
        let directory = directory.transpose()?;
        let made = directory.as_ref().map(JobDirectory::path);
        let folder: Option<PathBuf> = match ctrl.single_write() {
            Access::Writer(fence) => fence.share(made.map(Path::to_owned)),
            Access::Excluded(fence) => fence.collect(),
        }?;
        let folder = folder.expect("the master has made it");
        let tasks = world.size() as usize;
        let batch = Batch::builder(world).tasks(tasks).state_dir(folder);
        let mut batch = batch.build()?;
        loop {
            let Some(task) = batch.next_task()? else {
                break;
            };
            let index = task.index();
            let caught = catch_unwind(AssertUnwindSafe(move || {
                let _task = task;
                panic!("no input for task {index}");
            }));
            assert!(caught.is_err());
            let directory = batch.directory().expect("it has one");
            let reason = directory.reason(index).unwrap_or_default();
            println!("task {index} has failed: {reason}");
        }
        // The directory goes with its rank.
        world.barrier();
        Ok(())
    })
}

/// The last rank panics, and the others end 2 seconds later.
fn without_run(prepare: fn(Universe) -> Universe) -> ExitCode {
    let universe = prepare(mpisync::initialize().expect("MPI is initialized once"));
    let world = universe.world();
    let _ctrl = mpisync::sync(&world).expect("a controller");
    assert_ne!(world.rank(), world.size() - 1, "no input");
    thread::sleep(Duration::from_secs(2));
    println!("computed");
    ExitCode::SUCCESS
}

/// Runs a program with this grace in seconds. Its job must have the exit code and print the text once.
#[track_caller]
fn ends(ranks: usize, program: &str, grace: &str, code: i32, text: &str) -> (Ended, Duration) {
    ends_with(ranks, program, grace, &[code], text)
}

/// The same with one of these codes.
#[track_caller]
fn ends_with(
    ranks: usize,
    program: &str,
    grace: &str,
    codes: &[i32],
    text: &str,
) -> (Ended, Duration) {
    let start = Instant::now();
    let ended = Launch::new(ranks, [format!("run::{program}")])
        .envs(&[("MPISYNC_GRACE", grace)])
        .limit(Duration::from_secs(30))
        .beside_others()
        .run();
    let report = ended.report();
    let ended_with = ended.status.unwrap_or_else(|| panic!("{report}")).code();
    let is_expected = ended_with.is_some_and(|code| codes.contains(&code));
    assert!(is_expected, "{ended_with:?}, not {codes:?}: {report}");
    assert_eq!(ended.output.matches(text).count(), 1, "{report}");
    (ended, start.elapsed())
}

/// Whether a rank has said that it aborts the job.
fn has_aborted(ended: &Ended) -> bool {
    ended.output.contains(" aborts the job: ")
}

/// The other ranks do not come to their end.
#[track_caller]
fn aborts(ranks: usize, program: &str, code: i32, text: &str) {
    let (ended, took) = ends(ranks, program, "1", code, text);
    assert!(has_aborted(&ended), "{}", ended.report());
    assert!(took >= Duration::from_secs(1), "{took:?} of a grace of 1 s");
}

/// The other ranks learn of the failure and fail, too, or the job is aborted. The launcher returns the code of any rank.
#[track_caller]
fn ends_or_aborts(ranks: usize, program: &str, code: i32, text: &str) {
    ends_with(ranks, program, "1", &[code, 1], text);
}

/// The other ranks come to their end: no grace passes.
#[track_caller]
fn ends_at_once(ranks: usize, program: &str, code: i32, text: &str) -> Ended {
    let (ended, _) = ends(ranks, program, "inf", code, text);
    assert!(!has_aborted(&ended), "{}", ended.report());
    ended
}

fn panic_of(rank: usize) -> String {
    format!("rank {rank} panicked at {}:", file!())
}

fn error_while_others_wait_in_mpi(ranks: usize) {
    aborts(ranks, "error_in_mpi", 1, &error_of(ranks - 1));
}

fn error_while_others_wait_in_a_collective_call(ranks: usize) {
    ends_or_aborts(ranks, "error_in_call", 1, &error_of(ranks - 1));
}

fn error_while_others_wait_for_a_lock(ranks: usize) {
    ends_or_aborts(ranks, "error_in_lock", 1, &error_of(ranks - 1));
}

fn error_while_others_compute(ranks: usize) {
    aborts(ranks, "error_in_computation", 1, &error_of(ranks - 1));
}

fn error_beside_ranks_that_succeed(ranks: usize) {
    ends_at_once(ranks, "error_alone", 1, &error_of(ranks - 1));
}

fn errors_of_all_ranks(ranks: usize) {
    let ended = ends_at_once(ranks, "error_everywhere", 1, &error_of(0));
    for rank in 1..ranks {
        let printed = ended.output.matches(&error_of(rank)).count();
        assert_eq!(printed, 1, "{}", ended.report());
    }
}

fn error_is_printed_at_once(ranks: usize) {
    let launch = Launch::new(ranks, ["run::error_in_mpi"]).envs(&[("MPISYNC_GRACE", "inf")]);
    let mut running = launch.beside_others().start();
    let error = error_of(ranks - 1);
    let is_printed = running.wait_for_line(error.trim_end(), Duration::from_secs(20));
    assert!(is_printed && !running.is_over(), "{}", running.output());
}

fn panic_while_others_wait_in_mpi(ranks: usize) {
    aborts(ranks, "panic_in_mpi", 101, &panic_of(ranks - 1));
}

fn panic_while_others_wait_in_a_collective_call(ranks: usize) {
    ends_or_aborts(ranks, "panic_in_call", 101, &panic_of(ranks - 1));
}

fn panic_while_others_wait_for_a_lock(ranks: usize) {
    ends_or_aborts(ranks, "panic_in_lock", 101, &panic_of(ranks - 1));
}

fn panic_while_others_compute(ranks: usize) {
    aborts(ranks, "panic_in_computation", 101, &panic_of(ranks - 1));
}

fn panic_beside_ranks_that_succeed(ranks: usize) {
    ends_at_once(ranks, "panic_alone", 101, &panic_of(ranks - 1));
}

fn panic_of_a_task(ranks: usize) {
    let text = "task 0 has failed: no input for task 0\n";
    let ended = ends_at_once(ranks, "panic_in_task", 0, text);
    for rank in 1..ranks {
        let text = format!("task {rank} has failed: no input for task {rank}\n");
        assert!(ended.output.contains(&text), "{}", ended.report());
    }
}

fn panic_without_run_aborts(ranks: usize) {
    aborts(ranks, "panic_of_universe", 101, "no input");
}

fn panic_without_run_waits_if_asked_to(ranks: usize) {
    let program = "panic_of_universe_that_waits";
    let (ended, _) = ends(ranks, program, "0.1", 101, "no input");
    assert!(!has_aborted(&ended), "{}", ended.report());
    let computed = ended.output.matches("computed").count();
    assert_eq!(computed, ranks - 1, "{}", ended.report());
}

fn grace_that_is_no_number(ranks: usize) {
    let text = "MPISYNC_GRACE is \"soon\", which is not a number of seconds; 5s is used";
    let (ended, _) = ends(ranks, "error_in_mpi", "soon", 1, text);
    assert!(has_aborted(&ended), "{}", ended.report());
}

/// Rank 0, which has the lock's state and leads its node, waits at its end while the others write.
fn rank_that_has_ended_serves_the_others() {
    let code = mpisync::run(|world| -> Result<(), Box<dyn Error>> {
        let builder = |name| WindowController::builder(world).name(name);
        let mut ctrl = builder("progress").build()?;
        let unpolled = world.duplicate();
        let unpolled = WindowController::builder(&unpolled).progress_thread(false);
        let mut unpolled = unpolled.build()?;
        let mut sum = Mutex::with_value(world, 0_u64)?;
        world.barrier();
        if world.rank() == 0 {
            // Kept, as by a program that leaves its objects in static variables.
            mem::forget((ctrl, unpolled, sum));
            return Ok(());
        }
        thread::sleep(Duration::from_millis(200));
        for _ in 0..100 {
            drop(ctrl.write_timeout(Duration::from_secs(20))?);
            drop(unpolled.write_timeout(Duration::from_secs(20))?);
            *sum.lock() += 1;
        }
        Ok(())
    });
    assert_eq!(code, ExitCode::SUCCESS);
}
