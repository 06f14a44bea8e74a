//! Several tasks at a time: ends in any order, the votes of a worker, and limits.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use mpi::traits::*;
use mpisync::batch::directory::{Directory, DirectoryError, Options};
use mpisync::batch::{BatchError, State};
use mpisync::{Batch, Task};
use mpisync_tests::job::Job;

use super::{run_all, sizes, states, sum};

mpisync_tests::cases!(on [1, 2, 3, 4]:
    several_at_a_time_run_once,
    votes_are_counted_for_each,
    reasons_of_several,
    no_tasks_at_a_time_are_an_error,
    an_error_comes_after_several,
    several_are_dropped_with_the_batch,
);

mpisync_tests::cases!(on [2, 4]:
    no_tasks_on_one_rank_are_an_error,
    several_late_tasks_are_taken_over,
    several_late_tasks_on_disk_are_taken_over,
);

// Words of scratch memory.
const HELD: usize = 1_000;
const DONE: usize = 1_001;

fn made(job: &Job, each: i32, tasks: usize, path: Option<&Path>) -> Batch {
    let builder = Batch::builder(&job.world).worker_size(each).tasks(tasks);
    match path {
        Some(path) => builder.state_dir(path).durable(false).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

fn numbers(tasks: &[Task<'_>]) -> Vec<u64> {
    tasks.iter().map(|task| task.index() as u64).collect()
}

/// All ranks of the worker have the same tasks in the same order.
fn are_those_of_the_worker(tasks: &[Task<'_>]) {
    let mine = numbers(tasks);
    let mut of_first = mine.clone();
    let comm = tasks[0].worker().comm();
    comm.process_at_rank(0).broadcast_into(&mut of_first[..]);
    assert_eq!(mine, of_first);
}

/// The tasks in an order that differs between the ranks of a worker.
fn shuffled(tasks: Vec<Task<'_>>) -> Vec<Task<'_>> {
    let mut tasks = tasks;
    let rank = tasks[0].worker().rank() as usize;
    let middle = rank % tasks.len();
    tasks.rotate_left(middle);
    if rank % 2 == 1 {
        tasks.reverse();
    }
    tasks
}

fn several_at_a_time_run_once(job: &Job) {
    const TASKS: usize = 40;
    for each in sizes(job) {
        for (most, is_on_disk) in [
            (1, true),
            (3, false),
            (3, true),
            (16, false),
            (16, true),
            (usize::MAX, false),
        ] {
            let path = job.file(&format!("batch_several-{each}-{most}"));
            let path = is_on_disk.then_some(&*path);
            let mut batch = made(job, each, TASKS, path);
            while let Some(tasks) = batch.next_tasks(most).unwrap() {
                assert!(!tasks.is_empty() && tasks.len() <= most);
                are_those_of_the_worker(&tasks);
                for task in &tasks {
                    let state = task.batch().state(task.index()).unwrap();
                    assert_eq!((task.was(), state), (State::Open, State::Running));
                    job.scratch.word(task.index()).fetch_add(1, SeqCst);
                }
                for task in shuffled(tasks) {
                    task.done().unwrap();
                }
            }
            batch.wait_all().unwrap().all_done().unwrap();
            job.world.barrier();
            for task in 0..TASKS {
                assert_eq!(job.scratch.word(task).load(SeqCst), each as u64);
            }
            if let Some(path) = path {
                let directory = Directory::open(path, Options::default()).unwrap();
                assert_eq!(directory.summary().unwrap().done, TASKS as u64);
            }
            job.clear_scratch();
        }
    }
}

/// A worker of all ranks. On the last one a task fails, one is reopened at first and one is dropped at
/// first; the first rank is done with all, in another order.
fn votes_are_counted_for_each(job: &Job) {
    let last = job.size - 1;
    for is_on_disk in [false, true] {
        let path = job.file("batch_votes_for_each");
        let mut batch = made(job, job.size, 8, is_on_disk.then_some(&*path));
        let mut dropped = 0;
        for round in 0.. {
            let Some(tasks) = batch.next_tasks(6).unwrap() else {
                break;
            };
            let right: &[u64] = match round {
                0 => &[0, 1, 2, 3, 4, 5],
                1 => &[3, 6, 7],
                _ => panic!("a third round"),
            };
            assert_eq!(numbers(&tasks), right);
            for task in shuffled(tasks) {
                match (task.index(), job.rank == last, round) {
                    (1, true, _) => task.failed("no such input").unwrap(),
                    (3, true, 0) => task.reopen().unwrap(),
                    (5, true, _) if job.size > 1 => drop(task),
                    (5, ..) if job.rank == 0 && job.size > 1 => {
                        let error = task.done().unwrap_err();
                        let BatchError::Dropped { task, ranks } = &error else {
                            panic!("{error:?}");
                        };
                        assert_eq!((task.as_str(), &ranks[..]), ("5", &[last][..]));
                        dropped += 1;
                    }
                    _ => task.done().unwrap(),
                }
            }
        }
        assert_eq!(dropped, i32::from(job.rank == 0 && job.size > 1));
        job.world.barrier();
        let mut right = [State::Done; 8];
        right[1] = State::Failed;
        if job.size > 1 {
            right[5] = State::Failed;
        }
        assert_eq!(states(&batch), right);
        if is_on_disk {
            let reason = batch.directory().unwrap().reason(1);
            assert_eq!(reason.as_deref(), Some("no such input"));
        }
        job.world.barrier();
    }
}

/// All tasks fail on the last rank of a worker: the reasons are those of their tasks, and shorter if
/// the worker has many at a time.
fn reasons_of_several(job: &Job) {
    let long = "x".repeat(600);
    for (most, kept) in [(1, 480), (16, 480), (17, 448), (200, 24)] {
        let path = job.file(&format!("batch_reasons-{most}"));
        let mut batch = made(job, job.size, most, Some(&path));
        let tasks = batch.next_tasks(most).unwrap().unwrap();
        assert_eq!(tasks.len(), most);
        for task in shuffled(tasks) {
            let name = task.name();
            match job.rank == job.size - 1 {
                true => task.failed(format_args!("{name} {long} {name}")).unwrap(),
                false => task.done().unwrap(),
            }
        }
        job.world.barrier();
        let directory = batch.directory().unwrap();
        for task in 0..most {
            let name = batch.name(task).unwrap();
            let reason = directory.reason(task).unwrap();
            let (begins, ends) = (format!("{name} xx"), format!("x {name}"));
            let is_its_own = reason.starts_with(&begins) && reason.ends_with(&ends);
            assert!(is_its_own, "{reason} of {name}");
            let all = 600 + 2 * (name.len() + 1);
            // A message to another node has the whole text.
            let is_whole = reason.len() == all;
            assert!(is_whole || job.size > 1 && reason.len() == kept, "{reason}");
        }
        job.world.barrier();
    }
}

fn no_tasks_at_a_time_are_an_error(job: &Job) {
    for each in sizes(job) {
        let mut batch = made(job, each, 10, None);
        for _ in 0..2 {
            let error = batch.next_tasks(0).unwrap_err();
            assert!(matches!(error, BatchError::ZeroTasks), "{error:?}");
        }
        let leads = batch.worker().rank() == 0;
        let mine = run_all(&mut batch).len();
        assert_eq!(sum(job, if leads { mine } else { 0 }), 10);
    }
}

/// The last rank of a worker asks for none: it gets an error and no tasks, and the others go on.
fn no_tasks_on_one_rank_are_an_error(job: &Job) {
    let last = job.size - 1;
    let mut batch = made(job, job.size, 4, None);
    let asked = if job.rank == last { 0 } else { 3 };
    match batch.next_tasks(asked) {
        Err(BatchError::ZeroTasks) => assert_eq!(job.rank, last),
        Ok(Some(tasks)) => {
            assert_eq!(numbers(&tasks), [0, 1, 2]);
            for task in tasks {
                match task.done() {
                    Err(BatchError::Dropped { ranks, .. }) => {
                        assert_eq!((job.rank, &ranks[..]), (0, &[last][..]));
                    }
                    ended => {
                        assert_ne!(job.rank, 0);
                        ended.unwrap();
                    }
                }
            }
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(run_all(&mut batch), [3]);
    let summary = batch.wait_all().unwrap();
    assert_eq!((summary.done, summary.failed), (1, 3));
}

/// A worker of all ranks has claimed two tasks when the third one is found to be corrupt.
fn an_error_comes_after_several(job: &Job) {
    let path = job.file("batch_error_after");
    let builder = Batch::builder(&job.world).worker_size(job.size).tasks(6);
    let builder = builder.state_dir(&path).durable(false).strict(true);
    let mut batch = builder.build().unwrap();
    if job.rank == 0 {
        std::fs::write(path.join("2").join("state"), "PERHAPS\n").unwrap();
    }
    job.world.barrier();
    let tasks = batch.next_tasks(4).unwrap().unwrap();
    assert_eq!(numbers(&tasks), [0, 1]);
    for task in shuffled(tasks) {
        task.done().unwrap();
    }
    match batch.next_tasks(4).unwrap_err() {
        BatchError::Directory(DirectoryError::UnknownState { .. }) => assert_eq!(job.rank, 0),
        BatchError::OtherRank { rank: 0, found } => {
            assert!(job.rank > 0 && found.contains("PERHAPS"), "{found}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(run_all(&mut batch), [3, 4, 5]);
    let summary = batch.wait_all().unwrap();
    assert_eq!((summary.done, summary.invalid), (5, 1));
}

/// The first worker leaves with tasks that have not ended.
fn several_are_dropped_with_the_batch(job: &Job) {
    for is_on_disk in [false, true] {
        let path = job.file("batch_several_dropped");
        let mut batch = made(job, 1, 30, is_on_disk.then_some(&*path));
        let mut mine = HashSet::new();
        if job.rank == 0 {
            let mut tasks = batch.next_tasks(5).unwrap().unwrap();
            tasks.remove(1).done().unwrap();
            mine.insert(1);
            std::mem::forget(tasks);
        }
        job.world.barrier();
        if job.rank == 0 && job.size > 1 {
            drop(batch);
            job.world.barrier();
        } else {
            if job.size > 1 {
                job.world.barrier();
            }
            while let Some(tasks) = batch.next_tasks(4).unwrap() {
                mine.extend(numbers(&tasks));
                tasks.into_iter().for_each(|task| task.done().unwrap());
            }
            batch.wait_all().unwrap().all_done().unwrap();
        }
        assert_eq!(sum(job, mine.len()), 30);
    }
}

const LIMIT: Duration = Duration::from_millis(300);
const STALE: Duration = Duration::from_millis(1000);

/// The first worker has three tasks, ends one of them in time, and the others too late. Other workers
/// do these.
fn take_over(job: &Job, path: Option<&Path>) {
    let builder = Batch::builder(&job.world).tasks(3);
    let builder = builder.tries(2).task_timeout(LIMIT);
    let mut batch = match path {
        Some(path) => builder
            .state_dir(path)
            .durable(false)
            .stale_after(STALE)
            .build(),
        None => builder.build(),
    }
    .unwrap();
    if job.rank == 0 {
        let mut tasks = batch.next_tasks(3).unwrap().unwrap();
        tasks.remove(1).done().unwrap();
        job.scratch.raise(HELD);
        job.scratch.wait_for(DONE);
        for task in tasks {
            match task.done().unwrap_err() {
                BatchError::Overdue { took, limit, .. } => {
                    assert_eq!(limit, LIMIT);
                    assert!(took >= LIMIT, "{took:?}");
                }
                other => panic!("{other:?}"),
            }
        }
    } else {
        job.scratch.wait_for(HELD);
        let summary = batch.for_each(|task, _| {
            assert_eq!(task.attempt(), Some(2));
            job.scratch.word(task.index()).fetch_add(1, SeqCst);
            Ok::<(), String>(())
        });
        summary.unwrap().all_done().unwrap();
        job.scratch.raise(DONE);
    }
    job.world.barrier();
    let runs: Vec<u64> = (0..3)
        .map(|task| job.scratch.word(task).load(SeqCst))
        .collect();
    assert_eq!(runs, [1, 0, 1]);
    assert_eq!(states(&batch), [State::Done; 3]);
    job.world.barrier();
}

fn several_late_tasks_are_taken_over(job: &Job) {
    take_over(job, None);
}

fn several_late_tasks_on_disk_are_taken_over(job: &Job) {
    take_over(job, Some(&job.file("batch_several_late")));
}
