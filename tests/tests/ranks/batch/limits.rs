//! Tries and time limits of tasks, and tasks of jobs that may be dead.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use mpi::traits::*;
use mpisync::batch::directory::{Directory, Options};
use mpisync::batch::{Again, BatchError, State};
use mpisync::{Batch, CreateError};
use mpisync_tests::job::Job;

use super::{run_all, sizes, states, sum};

mpisync_tests::cases!(on [1, 2, 3, 4]:
    tasks_that_fail_are_tried_again,
    tries_of_an_earlier_job_count,
    task_of_a_dead_job_of_another_host,
    limits_that_cannot_be,
);

mpisync_tests::cases!(on [2, 4]:
    late_task_is_taken_over,
    late_task_on_disk_is_taken_over,
    late_task_without_a_try_left,
);

// Words of scratch memory.
const RUNS: usize = 0;
const HELD: usize = 100;
const DONE: usize = 101;

/// The number of tasks of which one in three fails.
const TASKS: usize = 12;
const TRIES: u32 = 3;

fn fails(task: usize) -> bool {
    task % 3 == 1
}

fn made(job: &Job, each: i32, path: Option<&Path>) -> Batch {
    let builder = Batch::builder(&job.world).worker_size(each);
    let builder = builder.tasks(TASKS).tries(TRIES);
    match path {
        Some(path) => builder.state_dir(path).durable(false).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

fn tasks_that_fail_are_tried_again(job: &Job) {
    for each in sizes(job) {
        for is_on_disk in [false, true] {
            let path = job.file(&format!("batch_tries-{each}"));
            let mut batch = made(job, each, is_on_disk.then_some(&*path));
            let failed = Again {
                failed: true,
                ..Again::default()
            };
            let summary = batch.for_each_with(failed, |task, worker| {
                let attempt = task.attempt().expect("tries are counted");
                if worker.rank() == 0 {
                    let runs = job.scratch.word(RUNS + task.index());
                    assert_eq!(runs.fetch_add(1, SeqCst) + 1, u64::from(attempt));
                }
                // One rank of the worker fails, and the last task at first only.
                let is_last = task.index() == TASKS - 1;
                let fails = fails(task.index()) || is_last && attempt < 2;
                match fails && worker.rank() == worker.size() - 1 {
                    true => Err(format!("task {} fails", task.index())),
                    false => Ok(()),
                }
            });
            let summary = summary.unwrap();
            assert_eq!((summary.failed, summary.done), (4, 8));
            job.world.barrier();
            for (task, state) in states(&batch).into_iter().enumerate() {
                let (right, runs) = match task {
                    _ if fails(task) => (State::Failed, u64::from(TRIES)),
                    _ if task == TASKS - 1 => (State::Done, 2),
                    _ => (State::Done, 1),
                };
                assert_eq!(state, right, "task {task}");
                assert_eq!(job.scratch.word(RUNS + task).load(SeqCst), runs);
            }
            if is_on_disk {
                let directory = batch.directory().unwrap();
                let reason = directory.reason(1).unwrap();
                assert_eq!(reason, "task 1 fails (try 3 of 3)");
                assert_eq!((directory.tries(1), directory.tries(0)), (3, 1));
            }
            job.clear_scratch();
        }
    }
}

/// Every task fails once, and the batch is made again.
fn tries_of_an_earlier_job_count(job: &Job) {
    for each in sizes(job) {
        let path = job.file(&format!("batch_tries_earlier-{each}"));
        let mut first = made(job, each, Some(&path));
        let task = first.next_task().unwrap().unwrap();
        task.failed("it always does").unwrap();
        job.world.barrier();
        drop(first);
        job.world.barrier();
        let mut second = made(job, each, Some(&path));
        let mut mine = 0;
        let summary = second.for_each(|_, _| {
            mine += 1;
            Err("it always does")
        });
        assert_eq!(summary.unwrap().failed, TASKS as u64);
        let leads = second.worker().rank() == 0;
        let all = sum(job, if leads { mine } else { 0 });
        let workers = second.n_workers() as usize;
        assert_eq!(workers + all, TASKS * TRIES as usize);
        job.world.barrier();
    }
}

fn limits_that_cannot_be(job: &Job) {
    let builder = Batch::builder(&job.world).tasks(1).tries(0);
    let error = builder.build().unwrap_err();
    let is_right = matches!(error, BatchError::Create(CreateError::TaskLimit { .. }));
    assert!(is_right, "{error:?}");
    if job.size > 1 {
        let tries = if job.rank == 0 { 2 } else { 3 };
        let builder = Batch::builder(&job.world).tasks(1).tries(tries);
        assert!(builder.build().is_err(), "they differ");
    }
}

const LIMIT: Duration = Duration::from_millis(300);
const STALE: Duration = Duration::from_millis(1000);

/// The first worker has the only task for too long, and another one does it.
fn take_over(job: &Job, path: Option<PathBuf>, tries: u32) -> State {
    let builder = Batch::builder(&job.world).worker_size(1).tasks(1);
    let builder = builder.tries(tries).task_timeout(LIMIT);
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
        let task = batch.next_task().unwrap().unwrap();
        job.scratch.raise(HELD);
        job.scratch.wait_for(DONE);
        match task.done().unwrap_err() {
            BatchError::Overdue { took, limit, .. } => {
                assert_eq!(limit, LIMIT);
                assert!(took >= LIMIT, "{took:?}");
            }
            other => panic!("{other:?}"),
        }
    } else {
        job.scratch.wait_for(HELD);
        let summary = batch.for_each(|task, _| {
            assert_eq!(task.attempt(), Some(2));
            Ok::<(), String>(())
        });
        assert!(summary.unwrap().is_over());
        job.scratch.raise(DONE);
    }
    job.world.barrier();
    let state = batch.state(0).unwrap();
    job.world.barrier();
    state
}

fn late_task_is_taken_over(job: &Job) {
    assert_eq!(take_over(job, None, 2), State::Done);
}

fn late_task_on_disk_is_taken_over(job: &Job) {
    let path = job.file("batch_late");
    assert_eq!(take_over(job, Some(path.clone()), 2), State::Done);
    let directory = Directory::open(path, Options::default()).unwrap();
    assert_eq!(directory.state(0).unwrap(), State::Done);
    assert_eq!(directory.tries(0), 2);
}

fn late_task_without_a_try_left(job: &Job) {
    assert_eq!(take_over(job, None, 1), State::Failed);
}

/// The state is RUNNING, and the claim of another host, whose job is dead, looks fresh.
fn task_of_a_dead_job_of_another_host(job: &Job) {
    for each in sizes(job) {
        let path = job.file(&format!("batch_other_host-{each}"));
        let made = || {
            let builder = Batch::builder(&job.world).worker_size(each).tasks(4);
            let builder = builder.state_dir(&path).durable(false);
            builder.stale_after(STALE).build().unwrap()
        };
        let mut before = made();
        if job.rank == 0 {
            for task in ["0", "3"] {
                let claim = path.join(task).join("claim.1");
                let text = "host far\nboot x\nnamespace y\npid 1\nborn 1\n";
                fs::write(&claim, text).unwrap();
                fs::write(path.join(task).join("state"), "RUNNING\n").unwrap();
            }
        }
        job.world.barrier();
        // A job that only takes what is open leaves them.
        let start = Instant::now();
        let mine = run_all(&mut before);
        let leads = before.worker().rank() == 0;
        assert_eq!(sum(job, if leads { mine.len() } else { 0 }), 2);
        job.world.barrier();
        drop(before);
        job.world.barrier();
        let mut batch = made();
        let mut mine = 0;
        let summary = batch.for_each(|task, _| {
            assert_eq!(task.was(), State::Running);
            mine += 1;
            Ok::<(), String>(())
        });
        summary.unwrap().all_done().unwrap();
        let took = start.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?}");
        assert_eq!(sum(job, if leads { mine } else { 0 }), 2);
        job.world.barrier();
    }
}
