//! A rank with tasks of a batch is killed, alone or in a worker of several.

use std::path::PathBuf;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use launcher::processes::is_running;
use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::*;
use mpisync::Batch;
use mpisync::batch::{BatchError, State, Summary};
use mpisync_tests::job::Job;

use super::objects::kill_busy_victim;
use super::{LONG, READY, await_death, die, ready, survived, victim, victim_dies};

mpisync_tests::cases!(on [2, 4] with [LastRankDies]:
    worker_with_a_task_dies = |job| worker_with_a_task_dies(job, false),
    worker_with_a_task_on_disk_dies = |job| worker_with_a_task_dies(job, true),
    last_of_all_dies = |job| one_of_all_dies(job, false),
    worker_with_several_tasks_dies = |job| worker_with_several_tasks_dies(job, false),
    worker_with_several_tasks_on_disk_dies = |job| worker_with_several_tasks_dies(job, true),
    worker_with_tasks_of_two_requests_dies,
    busy_worker_dies = |job| busy_worker_dies(job, 1, false),
    busy_worker_on_disk_dies = |job| busy_worker_dies(job, 1, true),
    last_try_of_a_dead_worker = |job| last_try_of_a_dead_worker(job, false),
);

mpisync_tests::cases!(on [2, 4] with [LastRankDies, OneNode]:
    first_of_a_worker_dies = |job| one_of_a_worker_dies(job, true, false),
    first_of_a_worker_on_disk_dies = |job| one_of_a_worker_dies(job, true, true),
    last_of_a_worker_dies = |job| one_of_a_worker_dies(job, false, false),
    last_of_a_worker_on_disk_dies = |job| one_of_a_worker_dies(job, false, true),
    first_of_a_worker_with_several_dies = |job| one_of_a_worker_with_several_dies(job, true, false),
    first_of_a_worker_with_several_on_disk_dies = |job| one_of_a_worker_with_several_dies(job, true, true),
    last_of_a_worker_with_several_dies = |job| one_of_a_worker_with_several_dies(job, false, false),
    last_of_a_worker_with_several_on_disk_dies = |job| one_of_a_worker_with_several_dies(job, false, true),
    first_of_all_dies = |job| one_of_all_dies(job, true),
    first_of_a_busy_worker_dies = |job| busy_worker_dies(job, 2, false),
    first_of_a_busy_worker_on_disk_dies = |job| busy_worker_dies(job, 2, true),
    last_try_of_a_dead_worker_on_disk = |job| last_try_of_a_dead_worker(job, true),
);

// Words of scratch memory.
const TOOK: usize = 10;
const RUNS: usize = 100;
const BY: usize = 1_000;

/// All ranks in reverse order or in order: then the victim is the first or the last of its worker.
fn line(job: &Job, is_victim_first: bool) -> SimpleCommunicator {
    let key = if is_victim_first { -job.rank } else { job.rank };
    job.world
        .split_by_color_with_key(Color::with_value(0), key)
        .unwrap()
}

fn made(job: &Job, comm: &SimpleCommunicator, each: i32, tasks: usize, on_disk: bool) -> Batch {
    let is_reversed = comm.rank() != job.rank;
    let root = if is_reversed { comm.size() - 1 } else { 0 };
    let builder = Batch::builder(comm)
        .worker_size(each)
        .tasks(tasks)
        .root(root);
    match on_disk {
        false => builder.build().unwrap(),
        true => {
            let path: PathBuf = job.file("batch_of_a_victim");
            builder.state_dir(path).durable(false).build().unwrap()
        }
    }
}

/// Continues until all tasks are done.
fn run_rest(job: &Job, batch: &mut Batch) {
    let start = Instant::now();
    loop {
        let summary = batch.for_each(|task, _| {
            job.scratch.word(RUNS + task.index()).fetch_add(1, SeqCst);
            Ok::<(), String>(())
        });
        if summary.unwrap().is_over() && batch.wait_all_timeout(LONG).unwrap().is_over() {
            return;
        }
        assert!(start.elapsed() < LONG, "{:?}", batch.summary());
    }
}

/// The counts when no task runs any more, for a rank whose worker has failed.
fn settled(batch: &Batch) -> Summary {
    let start = Instant::now();
    loop {
        let summary = batch.summary().unwrap();
        if summary.running == 0 {
            return summary;
        }
        assert!(start.elapsed() < LONG, "{summary}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn all_are_done(batch: &Batch) {
    for task in 0..batch.tasks() {
        assert_eq!(batch.state(task).unwrap(), State::Done, "task {task}");
    }
    if let Some(directory) = batch.directory() {
        assert_eq!(directory.summary().unwrap().done, batch.tasks() as u64);
    }
}

/// Each of 20 tasks has run to its end once.
fn each_has_run_once(job: &Job) {
    for task in 0..20 {
        assert_eq!(job.scratch.word(RUNS + task).load(SeqCst), 1, "task {task}");
    }
}

/// The victim dies when the others have reached the end, and wait for it.
fn dies_while_others_wait(job: &Job) -> ! {
    ready(job);
    thread::sleep(Duration::from_millis(100));
    die()
}

fn worker_with_a_task_dies(job: &Job, on_disk: bool) {
    let mut batch = made(job, &job.world, 1, 20, on_disk);
    if job.rank == victim(job) {
        let task = batch.next_task().unwrap().unwrap();
        job.scratch.word(TOOK).store(task.index() as u64, SeqCst);
        dies_while_others_wait(job);
    }
    job.scratch.wait_for(READY);
    run_rest(job, &mut batch);
    all_are_done(&batch);
    job.scratch.meet(TOOK + 1, job.size - 1);
    each_has_run_once(job);
    assert_eq!(job.scratch.word(TOOK).load(SeqCst), 0);
    survived(job)
}

/// Continues with several tasks at a time until all tasks are done.
fn run_rest_at_once(job: &Job, batch: &mut Batch) {
    let start = Instant::now();
    loop {
        while let Some(tasks) = batch.next_tasks(4).unwrap() {
            for task in tasks {
                if task.worker().rank() == 0 {
                    job.scratch.word(RUNS + task.index()).fetch_add(1, SeqCst);
                }
                task.done().unwrap();
            }
        }
        if batch.wait_all_timeout(LONG).unwrap().is_over() {
            return;
        }
        assert!(start.elapsed() < LONG, "{:?}", batch.summary());
    }
}

/// The victim holds tasks. The others do all that is left, each task once.
fn the_rest_runs_once(job: &Job, batch: &mut Batch) -> ! {
    job.scratch.wait_for(READY);
    run_rest_at_once(job, batch);
    all_are_done(batch);
    job.scratch.meet(TOOK + 1, job.size - 1);
    each_has_run_once(job);
    survived(job)
}

/// The victim has taken five tasks and ended two of them. The others do the three that it holds,
/// each once more.
fn worker_with_several_tasks_dies(job: &Job, on_disk: bool) {
    let mut batch = made(job, &job.world, 1, 20, on_disk);
    if job.rank == victim(job) {
        let mut tasks = batch.next_tasks(5).unwrap().unwrap();
        for place in [3, 1] {
            let task = tasks.remove(place);
            job.scratch.word(RUNS + task.index()).fetch_add(1, SeqCst);
            task.done().unwrap();
        }
        let held: Vec<usize> = tasks.iter().map(|task| task.index()).collect();
        assert_eq!(held, [0, 2, 4]);
        dies_while_others_wait(job);
    }
    the_rest_runs_once(job, &mut batch)
}

/// Two of the first tasks that the victim takes are done by another job already, so it takes two more.
/// The others do all that it has.
fn worker_with_tasks_of_two_requests_dies(job: &Job) {
    let mut batch = made(job, &job.world, 1, 20, true);
    if job.rank == victim(job) {
        for task in [1, 3] {
            let directory = batch.directory().unwrap();
            directory.set(task, State::Done).unwrap();
            job.scratch.word(RUNS + task).store(1, SeqCst);
        }
        let tasks = batch.next_tasks(5).unwrap().unwrap();
        let held: Vec<usize> = tasks.iter().map(|task| task.index()).collect();
        assert_eq!(held, [0, 2, 4, 5, 6]);
        dies_while_others_wait(job);
    }
    the_rest_runs_once(job, &mut batch)
}

/// Workers of two. One rank of a worker dies with three tasks, of which the other one then ends one.
fn one_of_a_worker_with_several_dies(job: &Job, is_first: bool, on_disk: bool) {
    let comm = line(job, is_first);
    let mut batch = made(job, &comm, 2, 20, on_disk);
    let victims = if is_first { 0 } else { comm.size() / 2 - 1 };
    let victim_there = if is_first { 0 } else { comm.size() - 1 };
    if batch.worker().number() != victims {
        job.scratch.wait_for(READY);
        run_rest_at_once(job, &mut batch);
        all_are_done(&batch);
        job.scratch.meet(TOOK, job.size - 2);
        each_has_run_once(job);
        survived(job)
    }
    let mut tasks = batch.next_tasks(3).unwrap().unwrap();
    if job.rank == victim(job) {
        ready(job);
        thread::sleep(Duration::from_millis(60));
        die();
    }
    await_death(job);
    let is_told = |error: BatchError| {
        let is_right = matches!(error, BatchError::RankDied { rank } if rank == victim_there);
        assert!(is_right, "{error:?}");
    };
    match tasks.remove(1).done() {
        Ok(()) if is_first => {}
        ended => is_told(ended.unwrap_err()),
    }
    drop(tasks);
    for _ in 0..2 {
        is_told(batch.next_tasks(3).map(drop).unwrap_err());
    }
    let summary = settled(&batch);
    if comm.size() == 2 {
        assert_eq!((summary.open, summary.total()), (20, 20));
    }
    survived(job)
}

/// Workers of two. The other rank of the victim's worker gets an error in each call, and the other
/// workers run its task.
fn one_of_a_worker_dies(job: &Job, is_first: bool, on_disk: bool) {
    let comm = line(job, is_first);
    let mut batch = made(job, &comm, 2, 20, on_disk);
    let victims = if is_first { 0 } else { comm.size() / 2 - 1 };
    let victim_there = if is_first { 0 } else { comm.size() - 1 };
    if batch.worker().number() != victims {
        job.scratch.wait_for(READY);
        run_rest(job, &mut batch);
        all_are_done(&batch);
        survived(job)
    }
    let task = batch.next_task().unwrap().unwrap();
    if job.rank == victim(job) {
        ready(job);
        thread::sleep(Duration::from_millis(60));
        die();
    }
    await_death(job);
    let is_told = |error: BatchError| match error {
        BatchError::RankDied { rank } => {
            assert_eq!(rank, victim_there);
            assert!(
                error.to_string().contains(&format!("rank {rank}")),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    };
    match task.done() {
        Ok(()) if is_first => {}
        outcome => is_told(outcome.unwrap_err()),
    }
    for _ in 0..2 {
        match batch.next_task() {
            // The death is found by a wait.
            Ok(Some(task)) if !is_first => is_told(task.done().unwrap_err()),
            Ok(None) if !is_first && comm.size() > 2 => {}
            other => is_told(other.map(drop).unwrap_err()),
        }
    }
    // No other worker is left to run them, or others do.
    let summary = settled(&batch);
    assert_eq!(summary.running, 0);
    if comm.size() == 2 {
        assert_eq!(summary.open, 20);
    } else {
        let start = Instant::now();
        while batch.summary().unwrap().done < 20 {
            assert!(start.elapsed() < LONG);
            thread::sleep(Duration::from_millis(2));
        }
    }
    survived(job)
}

/// One worker of all ranks: each of the others gets an error, or no more tasks once the first one
/// leaves.
fn one_of_all_dies(job: &Job, is_first: bool) {
    let comm = line(job, is_first);
    let mut batch = made(job, &comm, comm.size(), 5, false);
    let died = if is_first { 0 } else { comm.size() - 1 };
    batch.next_task().unwrap().unwrap().done().unwrap();
    let task = batch.next_task().unwrap().unwrap();
    victim_dies(job);
    let ended = task.done();
    let outcome = ended.and_then(|()| batch.next_task().map(drop));
    match outcome.unwrap_err() {
        BatchError::RankDied { rank } => assert_eq!(rank, died),
        BatchError::RankLeft { rank } => assert_eq!(rank, 0),
        other => panic!("{other:?}"),
    }
    let summary = settled(&batch);
    assert_eq!((summary.done, summary.open), (1, 4));
    drop(batch);
    survived(job)
}

/// A rank is killed at some moment. In the end all tasks are done, and no two workers had a task at
/// the same time.
fn busy_worker_dies(job: &Job, each: i32, on_disk: bool) {
    // Enough tasks that the others are still at work when the victim is killed.
    let tasks = if on_disk { 200 } else { 600 };
    let comm = line(job, each > 1);
    let mut batch = made(job, &comm, each, tasks, on_disk);
    let me = u64::from(std::process::id());
    if job.rank == victim(job) {
        ready(job);
    }
    kill_busy_victim(job);
    loop {
        let outcome = batch.for_each(|task, worker| {
            if worker.rank() == 0 {
                let by = job.scratch.word(BY + task.index());
                let before = by.swap(me, SeqCst);
                let is_free = before == 0 || !is_running(before as u32);
                assert!(is_free, "task {} is run by process {before}", task.index());
                thread::sleep(Duration::from_micros(500));
                job.scratch.word(RUNS + task.index()).fetch_add(1, SeqCst);
                by.store(0, SeqCst);
            }
            Ok::<(), String>(())
        });
        match outcome {
            Err(BatchError::RankDied { rank: 0 }) if each == 2 && batch.worker().number() == 0 => {
                survived(job)
            }
            Err(error) => panic!("{error}"),
            Ok(summary) => assert_eq!(summary.failed, 0),
        }
        let summary = batch.wait_all_timeout(LONG).unwrap();
        if summary.is_over() {
            break;
        }
    }
    // Unless no task was left, the victim was killed while it worked.
    await_death(job);
    all_are_done(&batch);
    let runs = |task| job.scratch.word(RUNS + task).load(SeqCst);
    let all: u64 = (0..tasks).map(runs).sum();
    assert!(
        (0..tasks).all(|task| runs(task) > 0),
        "a task was never run"
    );
    // At most one task ended on the victim without a record.
    assert!(all <= tasks as u64 + 1, "{all} runs of {tasks} tasks");
    survived(job)
}

/// The victim has the only try of a task.
fn last_try_of_a_dead_worker(job: &Job, on_disk: bool) {
    let builder = Batch::builder(&job.world).tasks(1).tries(1);
    let mut batch = match on_disk {
        false => builder.build().unwrap(),
        true => {
            let path = job.file("batch_last_try");
            builder.state_dir(path).durable(false).build().unwrap()
        }
    };
    if job.rank == victim(job) {
        let _task = batch.next_task().unwrap().unwrap();
        ready(job);
        thread::sleep(Duration::from_millis(50));
        die();
    }
    job.scratch.wait_for(READY);
    let summary = batch.for_each(|_, _| -> Result<(), String> { panic!("it has failed for good") });
    assert_eq!(summary.unwrap().failed, 1);
    if on_disk {
        let reason = batch.directory().unwrap().reason(0).unwrap();
        assert!(reason.contains("try 1 of 1"), "{reason}");
    }
    survived(job)
}
