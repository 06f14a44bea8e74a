//! Tasks that end otherwise than done: errors, panics, dropped or forgotten tasks, ranks that
//! leave.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use mpi::traits::*;
use mpisync::Batch;
use mpisync::batch::{BatchError, State};
use mpisync_tests::job::Job;
use mpisync_tests::panics::quietly;

use super::{run_all, sizes, states, sum};

mpisync_tests::cases!(on [1, 2, 3, 4]:
    for_each,
    for_each_waits_for_others,
    tasks_that_panic,
    tasks_that_are_forgotten,
    reasons_that_are_long,
    only_first_rank_ends_tasks,
    last_rank_leaves,
    first_rank_leaves,
    one_task_for_each,
    closes_with_a_task_in_hand,
);

/// With a state directory of this name, or without one if it is empty.
fn made(job: &Job, each: i32, tasks: usize, name: &str) -> Batch {
    let builder = Batch::builder(&job.world).worker_size(each).tasks(tasks);
    match name {
        "" => builder.build().unwrap(),
        name => {
            let path = job.file(&format!("{name}-{each}"));
            builder.state_dir(path).durable(false).build().unwrap()
        }
    }
}

/// Which tasks fail or panic, and on which rank of a worker of `size` ranks.
fn fails(index: usize, rank: i32, size: i32) -> bool {
    index % 4 == 1 && rank == index as i32 % size
}

fn panics(index: usize, rank: i32, size: i32) -> bool {
    index % 4 == 2 && rank == (index as i32 / 4) % size
}

/// A task that panics has this reason, or one that begins so.
fn ends_as_it_should(batch: &Batch, panic: impl Fn(usize) -> String) {
    for (index, state) in states(batch).into_iter().enumerate() {
        let reason = batch
            .directory()
            .and_then(|directory| directory.reason(index));
        let has_directory = batch.directory().is_some();
        let (right, why) = match index % 4 {
            1 => (State::Failed, Some(format!("task {index} cannot be done"))),
            2 => (State::Failed, Some(panic(index))),
            _ => (State::Done, None),
        };
        assert_eq!(state, right, "task {index}");
        let why = why.filter(|_| has_directory);
        let begins = reason.as_deref().unwrap_or_default();
        let begins = begins.starts_with(why.as_deref().unwrap_or_default());
        assert!(begins && reason.is_some() == why.is_some(), "{reason:?}");
    }
}

fn for_each(job: &Job) {
    for each in sizes(job) {
        for name in ["", "batch_for_each"] {
            let mut batch = made(job, each, 24, name);
            let mut mine = 0;
            let summary = quietly(|| {
                batch.for_each(|task, worker| {
                    mine += usize::from(worker.rank() == 0);
                    let index = task.index();
                    assert!(
                        !panics(index, worker.rank(), worker.size()),
                        "task {index} has panicked"
                    );
                    if fails(index, worker.rank(), worker.size()) {
                        return Err(format!("task {index} cannot be done"));
                    }
                    Ok(())
                })
            })
            .unwrap();
            assert_eq!(
                (summary.done, summary.failed, summary.total()),
                (12, 12, 24)
            );
            assert_eq!(sum(job, mine), 24);
            ends_as_it_should(&batch, |index| format!("task {index} has panicked"));
            job.world.barrier();
        }
    }
}

/// A task that is opened again is run by a worker that had none left.
fn for_each_waits_for_others(job: &Job) {
    const TAKEN: usize = 0;
    let mut batch = Batch::builder(&job.world).tasks(1).build().unwrap();
    let mut mine = 0;
    if job.rank == 0 {
        let task = batch.next_task().unwrap().unwrap();
        job.scratch.raise(TAKEN);
        if job.size > 1 {
            thread::sleep(Duration::from_millis(60));
        }
        drop(task);
        // Gives the others time to take it.
        thread::sleep(Duration::from_millis(60));
    } else {
        job.scratch.wait_for(TAKEN);
    }
    let summary = batch.for_each(|_, _| {
        mine += 1;
        Ok::<(), String>(())
    });
    assert_eq!(summary.unwrap().done, 1);
    assert_eq!(sum(job, mine), 1);
    assert!(job.size == 1 || job.rank > 0 || mine == 0 || batch.size() > 1);
}

/// The panic drops the task on its way to the code that catches it.
fn tasks_that_panic(job: &Job) {
    for each in sizes(job) {
        for name in ["", "batch_tasks_that_panic"] {
            let mut batch = made(job, each, 24, name);
            quietly(|| {
                while let Some(task) = batch.next_task().unwrap() {
                    let (index, worker) = (task.index(), task.worker());
                    let fails = fails(index, worker.rank(), worker.size());
                    let panics = panics(index, worker.rank(), worker.size());
                    let outcome = catch_unwind(AssertUnwindSafe(move || {
                        assert!(!panics, "task {index} has panicked");
                        if fails {
                            return task.failed(format_args!("task {index} cannot be done"));
                        }
                        task.done()
                    }));
                    assert_eq!(outcome.is_err(), panics);
                    if let Ok(ended) = outcome {
                        ended.unwrap();
                    }
                }
            });
            let _ = batch.wait_all().unwrap();
            job.world.barrier();
            // Nobody has set a hook for the message.
            ends_as_it_should(&batch, |_| "a panic; its rank".to_owned());
        }
    }
}

/// On one rank of the worker, in turn, and on all.
fn tasks_that_are_forgotten(job: &Job) {
    for each in sizes(job) {
        for name in ["", "batch_tasks_that_are_forgotten"] {
            let mut batch = made(job, each, 3, name);
            let worker = batch.worker().number();
            // Workers of other ranks only check that the same worker gets the task again.
            if worker == 0 {
                for forgetful in 0..=each {
                    let rank = batch.worker().rank();
                    let task = batch.next_task().unwrap().unwrap();
                    assert_eq!(task.index(), 0);
                    if rank == forgetful || forgetful == each {
                        std::mem::forget(task);
                    } else {
                        task.done().unwrap();
                    }
                }
                for dropping in 0..each {
                    let task = batch.next_task().unwrap().unwrap();
                    assert_eq!((task.index(), task.was()), (0, State::Open));
                    if task.worker().rank() == dropping {
                        match dropping {
                            0 => drop(task),
                            _ => task.reopen().unwrap(),
                        }
                    } else {
                        task.done().unwrap()
                    }
                }
            }
            job.world.barrier();
            run_all(&mut batch);
            assert_eq!(batch.wait_all().unwrap().done, 3);
            job.world.barrier();
        }
    }
}

/// They are cut in the middle where they do not fit, and between characters.
fn reasons_that_are_long(job: &Job) {
    let mut batch = made(job, job.size, 2, "batch_reasons_that_are_long");
    let last = job.size - 1;
    let mut ends = 0;
    while let Some(task) = batch.next_task().unwrap() {
        ends += 1;
        match job.rank == last {
            true => task.failed("é".repeat(10_000)).unwrap(),
            false => task.done().unwrap(),
        }
    }
    assert_eq!(ends, 2);
    job.world.barrier();
    for task in 0..2 {
        let reason = batch.directory().unwrap().reason(task).unwrap();
        let fits = 400..=20_000;
        let reason = reason.replacen(" … ", "", 1);
        assert!(
            fits.contains(&reason.len()) && reason.chars().all(|char| char == 'é'),
            "{} bytes",
            reason.len()
        );
    }
}

/// As the loop of pshmem has it: only the first rank of a worker says what became of the task.
fn only_first_rank_ends_tasks(job: &Job) {
    for each in sizes(job) {
        let mut batch = made(job, each, 6, "batch_only_first_rank_ends_tasks");
        let dropped: Vec<i32> = batch.worker().members()[1..].to_vec();
        let mut had = 0;
        while let Some(task) = batch.next_task().unwrap() {
            had += 1;
            let name = task.name();
            if task.worker().rank() > 0 {
                drop(task);
            } else if each == 1 {
                task.done().unwrap();
            } else {
                let error = task.done().unwrap_err();
                let BatchError::Dropped { task, ranks } = &error else {
                    panic!("{error:?}")
                };
                assert_eq!((task, ranks), (&name, &dropped));
                assert!(
                    error.to_string().contains(&format!("task {name} ")),
                    "{error}"
                );
            }
        }
        assert_eq!(sum(job, had), 6 * each as usize);
        let summary = batch.wait_all().unwrap();
        let failed = if each == 1 { 0 } else { 6 };
        assert_eq!((summary.failed, summary.done), (failed, 6 - failed));
        let reason = batch.directory().unwrap().reason(0);
        assert_eq!(
            reason.is_some_and(|reason| reason.contains("dropped")),
            each > 1
        );
        job.world.barrier();
    }
}

/// What the others are told when a rank of their worker takes no part any more, whenever they ask.
fn is_told(job: &Job, outcome: Result<(), BatchError>, left: i32) {
    match outcome {
        // The first rank may have made one more call than the others, and have left.
        Err(BatchError::RankLeft { rank }) => {
            assert!(rank == left || rank == 0 && job.rank != 0, "rank {rank}");
        }
        Err(BatchError::OtherRank { rank: 0, found }) if job.rank != 0 => {
            assert!(
                found.contains(&format!("rank {left} of this worker")),
                "{found}"
            );
        }
        other => panic!("{other:?}"),
    }
}

fn last_rank_leaves(job: &Job) {
    if job.size == 1 {
        return;
    }
    let last = job.size - 1;
    let mut batch = made(job, job.size, 10, "");
    for _ in 0..3 {
        batch.next_task().unwrap().unwrap().done().unwrap();
    }
    if job.rank == last {
        drop(batch);
    } else {
        let mut told = 0;
        let mut ran = 0;
        while told < 3 {
            // It may leave before the first rank looks, or while that waits for it.
            let outcome = match batch.next_task() {
                Ok(Some(task)) => {
                    ran += 1;
                    task.done()
                }
                Ok(None) => panic!("there are tasks left"),
                Err(error) => Err(error),
            };
            if outcome.is_err() {
                is_told(job, outcome, last);
                told += 1;
            }
        }
        assert!(ran <= 3, "{ran} tasks without it");
        let summary = batch.summary().unwrap();
        assert_eq!((summary.done, summary.total()), (3, 10));
        drop(batch);
    }
    job.world.barrier();
}

fn first_rank_leaves(job: &Job) {
    if job.size == 1 {
        return;
    }
    let mut batch = made(job, job.size, 10, "");
    batch.next_task().unwrap().unwrap().done().unwrap();
    if job.rank == 0 {
        drop(batch);
    } else {
        for _ in 0..3 {
            let outcome = batch.next_task().map(drop);
            is_told(job, outcome, 0);
        }
        let summary = batch.summary().unwrap();
        assert_eq!((summary.done, summary.open), (1, 9));
    }
    job.world.barrier();
}

/// Each worker takes one task, ends it and leaves, some of its ranks earlier than others.
fn one_task_for_each(job: &Job) {
    for each in sizes(job) {
        let looks_on = Batch::builder(&job.world).tasks(1).build().unwrap();
        let mut batch = made(job, each, job.size as usize, "batch_one_task_for_each");
        let directory = job.file(&format!("batch_one_task_for_each-{each}"));
        let rank = batch.worker().rank();
        let task = batch.next_task().unwrap().unwrap();
        if rank > 1 {
            thread::sleep(Duration::from_millis(30));
        }
        task.done().unwrap();
        drop(batch);
        job.world.barrier();
        let options = mpisync::batch::directory::Options::default();
        let found = mpisync::batch::directory::Directory::open(directory, options).unwrap();
        let summary = found.summary().unwrap();
        assert_eq!(summary.done, (job.size / each) as u64, "{summary}");
        drop(looks_on);
        job.world.barrier();
    }
}

fn closes_with_a_task_in_hand(job: &Job) {
    for each in sizes(job) {
        let name = "batch_closes_with_a_task_in_hand";
        for ends in ["drop", "forget", "fail"] {
            let mut batch = made(job, each, job.size as usize, name);
            let task = batch.next_task().unwrap().unwrap();
            match ends {
                "drop" => drop(task),
                "forget" => std::mem::forget(task),
                _ => {
                    let dropped = quietly(|| {
                        catch_unwind(AssertUnwindSafe(move || {
                            let _task = task;
                            panic!("at the end")
                        }))
                    });
                    let _: Box<_> = dropped.unwrap_err();
                }
            }
            batch.close().unwrap();
        }
        let batch = made(job, each, job.size as usize, name);
        let summary = batch.summary().unwrap();
        let failed = (job.size / each) as u64;
        assert_eq!(
            (summary.failed, summary.open),
            (failed, job.size as u64 - failed),
            "{each}"
        );
        job.world.barrier();
    }
}
