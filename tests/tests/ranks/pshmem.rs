//! State directories that pshmem and mpisync use in turn: the part of mpisync.

mod runs;

use mpi::traits::CommunicatorCollectives;
use mpisync::Batch;
use mpisync::batch::{Again, State};
use mpisync_tests::job::Job;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

mpisync_tests::cases!(on []:
    pshmem_is_continued,
    pshmem_continues,
    pshmem_is_left_alone,
);

/// The environment variable that names the directory of both.
const DIRECTORY: &str = "TEST_PSHMEM_DIRECTORY";

/// The state directory in it.
const STATES: &str = "states";

/// The log in it, with a line for each task that was run: its number and outcome.
const LOG: &str = "log";

/// The number of tasks.
const TASKS: usize = 40;

fn directory() -> PathBuf {
    let directory = std::env::var_os(DIRECTORY);
    PathBuf::from(directory.expect("the test names a directory"))
}

fn batch(job: &Job) -> Batch {
    let workers = if job.size % 2 == 0 { 2 } else { 1 };
    Batch::builder(&job.world)
        .worker_size(workers)
        .tasks(TASKS)
        .state_dir(directory().join(STATES))
        .build()
        .unwrap()
}

/// The same as in the pshmem part of the test: every fourth task fails.
fn outcome(task: usize) -> State {
    if task % 4 == 3 {
        State::Failed
    } else {
        State::Done
    }
}

fn note(task: usize, state: State) {
    let log = directory().join(LOG);
    let log = OpenOptions::new().create(true).append(true).open(log);
    let line = format!("{task} {state}\n");
    log.unwrap().write_all(line.as_bytes()).unwrap();
}

/// Runs all tasks that pshmem has left, including those that were running.
fn pshmem_is_continued(job: &Job) {
    let mut batch = batch(job);
    let again = Again {
        running: true,
        ..Again::default()
    };
    while let Some(task) = batch.next_task_with(again).unwrap() {
        let (index, state) = (task.index(), outcome(task.index()));
        if task.worker().rank() == 0 {
            note(index, state);
        }
        match state {
            State::Failed => task.failed("every fourth").unwrap(),
            _ => task.done().unwrap(),
        }
    }
    let summary = batch.wait_all().unwrap();
    assert!(summary.is_over(), "{summary}");
}

/// Tasks that pshmem runs, or ran when it was killed, are taken only on request: the two cases
/// cannot be distinguished.
fn pshmem_is_left_alone(job: &Job) {
    let mut batch = batch(job);
    while let Some(task) = batch.next_task().unwrap() {
        assert_eq!(task.was(), State::Open);
        if task.worker().rank() == 0 {
            note(task.index(), State::Done);
        }
        task.done().unwrap();
    }
    let limit = Duration::from_millis(10);
    batch.wait_all_timeout(limit).expect_err("one is running");
}

/// Runs a few tasks, and is killed with some in hand.
fn pshmem_continues(job: &Job) {
    let mut batch = batch(job);
    for _ in 0..4 {
        let task = batch.next_task().unwrap().expect("there are more");
        let (index, state) = (task.index(), outcome(task.index()));
        match state {
            State::Failed => task.failed("every fourth").unwrap(),
            _ => task.done().unwrap(),
        }
        if batch.worker().rank() == 0 {
            note(index, state);
        }
    }
    job.world.barrier();
    let task = batch.next_task().unwrap().expect("there are more");
    if task.worker().rank() == 0 {
        note(task.index(), State::Running);
    }
    job.world.barrier();
    job.tell("with a task in hand");
    job.leave();
}
