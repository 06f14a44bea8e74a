//! Several tasks of a batch at a time: one process without MPI.

use mpisync::batch::directory::{Claimed, Directory, DirectoryError, Options};
use mpisync::batch::{Again, BatchError, State, StopOn};
use mpisync::{Batch, Task};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// A directory that is removed with all contents.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = format!("mpisync-several-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(path);
        let _left_by_an_earlier_process = fs::remove_dir_all(&path);
        Scratch(path)
    }

    fn batch(&self, tasks: usize) -> Batch {
        let builder = Batch::local().tasks(tasks).state_dir(&self.0);
        builder.durable(false).build().expect("a batch")
    }

    /// What another program finds.
    fn directory(&self) -> Directory {
        Directory::open(&self.0, Options::default()).expect("a directory")
    }

    fn words(&self) -> Vec<String> {
        let directory = self.directory();
        let states = directory.names().iter().map(|task| {
            let state = fs::read_to_string(self.0.join(task).join("state"));
            state.expect("there is a state").trim_end().to_owned()
        });
        states.collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _nobody_minds = fs::remove_dir_all(&self.0);
    }
}

fn several(batch: &mut Batch, most: usize) -> Vec<Task<'_>> {
    let tasks = batch.next_tasks(most).expect("tasks or none");
    assert!(tasks.as_ref().is_none_or(|tasks| !tasks.is_empty()));
    tasks.unwrap_or_default()
}

fn numbers(tasks: &[Task<'_>]) -> Vec<usize> {
    tasks.iter().map(Task::index).collect()
}

fn all_done(tasks: Vec<Task<'_>>) -> usize {
    let number = tasks.len();
    for task in tasks {
        task.done().expect("it is done");
    }
    number
}

fn states(batch: &Batch) -> Vec<State> {
    let tasks = 0..batch.tasks();
    tasks
        .map(|task| batch.state(task).expect("a state"))
        .collect()
}

#[test]
fn the_last_vector_has_what_is_left() {
    let mut batch = Batch::local().tasks(20).build().expect("a batch");
    for right in [0..8, 8..16, 16..20, 0..0] {
        let tasks = several(&mut batch, 8);
        assert_eq!(numbers(&tasks), right.collect::<Vec<_>>());
        if let Some(task) = tasks.first() {
            let summary = task.batch().summary().expect("a summary");
            assert_eq!(summary.running, tasks.len() as u64);
        }
        all_done(tasks);
    }
    assert_eq!(batch.summary().expect("a summary").done, 20);
}

#[test]
fn each_task_ends_by_itself_in_any_order() {
    for has_directory in [false, true] {
        let scratch = Scratch::new("order");
        let mut batch = match has_directory {
            true => scratch.batch(7),
            false => Batch::local().tasks(7).build().expect("a batch"),
        };
        let mut tasks = several(&mut batch, 6);
        let (done, failed, open, running) =
            (State::Done, State::Failed, State::Open, State::Running);
        tasks.remove(4).failed("no input").expect("failed");
        tasks.remove(1).done().expect("done");
        tasks.remove(2).reopen().expect("open");
        drop(tasks.remove(0));
        let left = numbers(&tasks);
        assert_eq!(left, [2, 5]);
        let now = states(tasks[0].batch());
        assert_eq!(now, [open, done, running, open, failed, running, open]);
        if has_directory {
            let words: Vec<String> = now.iter().map(ToString::to_string).collect();
            assert_eq!(scratch.words(), words);
            let other = scratch.directory();
            let claimant = other.claimant(5).expect("it can be read").expect("one");
            let me = format!("process {}", std::process::id());
            assert!(claimant.to_string().contains(&me), "{claimant}");
            assert_eq!(other.reason(4).as_deref(), Some("no input"));
        }
        let shown = format!("{:?}", tasks[0].batch());
        assert!(shown.contains("runs: [2, 5]"), "{shown}");
        // The rest is dropped, and the open ones are taken again in order.
        drop(tasks);
        let tasks = several(&mut batch, 16);
        assert_eq!(numbers(&tasks), [0, 2, 3, 5, 6]);
        assert_eq!(all_done(tasks), 5);
        let summary = batch.summary().expect("a summary");
        assert_eq!((summary.done, summary.failed), (6, 1));
    }
}

#[test]
fn no_tasks_at_a_time_are_an_error() {
    let mut batch = Batch::local().tasks(3).build().expect("a batch");
    let error = batch.next_tasks(0).expect_err("at least one");
    assert!(matches!(error, BatchError::ZeroTasks), "{error:?}");
    assert!(error.to_string().contains("ask for 1 at least"), "{error}");
    assert_eq!(all_done(several(&mut batch, 3)), 3);
    let error = batch.next_tasks(0).expect_err("also if none is left");
    assert!(matches!(error, BatchError::ZeroTasks), "{error:?}");
}

#[test]
fn as_many_as_there_can_be_take_no_memory_for_more() {
    let mut batch = Batch::local().tasks(600).build().expect("a batch");
    for right in [Batch::MAX_AT_ONCE, Batch::MAX_AT_ONCE, 88, 0] {
        let tasks = several(&mut batch, usize::MAX);
        assert_eq!((tasks.len(), all_done(tasks)), (right, right));
    }
    let mut batch = Batch::local().tasks(2).build().expect("a batch");
    let tasks = batch.next_tasks(usize::MAX).expect("no error");
    assert!(tasks.is_some_and(|tasks| tasks.capacity() < 100));
}

#[test]
fn one_and_several_take_turns() {
    let mut batch = Batch::local().tasks(200).build().expect("a batch");
    let mut next = 0;
    while next < 200 {
        let tasks = several(&mut batch, next % 70 + 1);
        let count = tasks.len();
        assert_eq!(numbers(&tasks), (next..next + count).collect::<Vec<_>>());
        next += all_done(tasks);
        if let Some(task) = batch.next_task().expect("no error") {
            assert_eq!(task.index(), next);
            task.done().expect("done");
            next += 1;
        }
    }
    let summary = batch.for_each(|_, _| Err("there is none"));
    assert_eq!(summary.expect("a summary").done, 200);
}

#[test]
fn what_is_forgotten_or_panics_ends_with_the_next_call() {
    for has_directory in [false, true] {
        let scratch = Scratch::new("panics");
        let mut batch = match has_directory {
            true => scratch.batch(6),
            false => Batch::local().tasks(6).build().expect("a batch"),
        };
        let mut tasks = several(&mut batch, 3);
        tasks.remove(1).done().expect("done");
        // One by one: the memory of the vector would be a leak.
        tasks.into_iter().for_each(std::mem::forget);
        let tasks = several(&mut batch, 3);
        assert_eq!(numbers(&tasks), [0, 2, 3]);
        let panics = catch_unwind(AssertUnwindSafe(move || {
            let mut tasks = tasks;
            tasks.remove(0).done().expect("done");
            panic!("seventeen")
        }));
        let _: Box<_> = panics.expect_err("it panics");
        let (done, failed, open) = (State::Done, State::Failed, State::Open);
        assert_eq!(states(&batch), [done, done, failed, failed, open, open]);
        if has_directory {
            let directory = scratch.directory();
            for task in [2, 3] {
                let reason = directory.reason(task).expect("one");
                assert!(reason.starts_with("a panic; "), "{reason}");
            }
        }
    }
}

#[test]
fn tasks_that_are_not_open_fill_up() {
    let (done, failed, open) = (State::Done, State::Failed, State::Open);
    let states = [failed, open, done, failed, open];
    let mut batch = Batch::local()
        .initial_states(states)
        .build()
        .expect("a batch");
    let again = Again {
        failed: true,
        ..Again::default()
    };
    let tasks = batch.next_tasks_with(3, again).expect("no error");
    let tasks = tasks.expect("there are some");
    let was: Vec<_> = tasks
        .iter()
        .map(|task| (task.index(), task.was()))
        .collect();
    assert_eq!(was, [(1, open), (4, open), (0, failed)]);
    all_done(tasks);
    let tasks = batch.next_tasks_with(3, again).expect("no error");
    assert_eq!(numbers(&tasks.expect("one")), [3]);
}

/// Tasks that other jobs have or have done are left out, and others come in their place.
#[test]
fn what_another_job_has_is_left_out() {
    let scratch = Scratch::new("others");
    let mut batch = scratch.batch(40);
    let other = scratch.directory();
    let Claimed::Mine(claim, _) = other.claim(1, Again::default()).expect("no error") else {
        panic!("it is open");
    };
    for task in (5..8).chain(10..38) {
        other.set(task, State::Done).expect("it can be set");
    }
    let tasks = several(&mut batch, 8);
    assert_eq!(numbers(&tasks), [0, 2, 3, 4, 8, 9, 38, 39]);
    all_done(tasks);
    claim.settle(State::Open, None).expect("it is open");
    let summary = batch.wait_all().expect("no error");
    assert_eq!((summary.done, summary.open), (39, 1));
    assert_eq!(numbers(&several(&mut batch, 8)), [1]);
}

/// More tasks than a worker can have at a time are over already, one after the other.
#[test]
fn many_that_are_over_hold_nobody_up() {
    let scratch = Scratch::new("over");
    let mut batch = scratch.batch(300);
    let other = scratch.directory();
    for task in 0..298 {
        other.set(task, State::Done).expect("it can be set");
    }
    assert_eq!(numbers(&several(&mut batch, 16)), [298, 299]);
}

#[test]
fn a_corrupt_task_does_not_keep_the_others() {
    let scratch = Scratch::new("corrupt");
    let mut batch = scratch.batch(6);
    fs::write(scratch.0.join("2").join("state"), "PERHAPS\n").expect("there is room");
    let tasks = several(&mut batch, 4);
    assert_eq!(numbers(&tasks), [0, 1, 3, 4]);
    all_done(tasks);
    assert_eq!(batch.problems().len(), 1);
    assert_eq!(states(&batch)[2], State::Invalid);
}

#[test]
fn an_error_comes_after_the_tasks_that_could_be_claimed() {
    let scratch = Scratch::new("strict");
    let builder = Batch::local().tasks(6).state_dir(&scratch.0).strict(true);
    let mut batch = builder.durable(false).build().expect("a batch");
    fs::write(scratch.0.join("2").join("state"), "PERHAPS\n").expect("there is room");
    let tasks = several(&mut batch, 4);
    assert_eq!(numbers(&tasks), [0, 1]);
    assert_eq!(
        states(tasks[0].batch())[3],
        State::Open,
        "it was given back"
    );
    all_done(tasks);
    let error = batch.next_tasks(4).expect_err("it is strict");
    let is_right = matches!(
        &error,
        BatchError::Directory(DirectoryError::UnknownState { .. })
    );
    assert!(is_right, "{error:?}");
    let tasks = several(&mut batch, 4);
    assert_eq!(numbers(&tasks), [3, 4, 5]);
    assert_eq!(all_done(tasks), 3);
    assert_eq!(batch.summary().expect("a summary").invalid, 1);
}

#[test]
fn tries_count_for_each() {
    for has_directory in [false, true] {
        let scratch = Scratch::new("tries");
        let builder = Batch::local().tasks(3).tries(2);
        let mut batch = match has_directory {
            true => builder.state_dir(&scratch.0).durable(false).build(),
            false => builder.build(),
        }
        .expect("a batch");
        let mut tasks = several(&mut batch, 3);
        assert!(tasks.iter().all(|task| task.attempt() == Some(1)));
        tasks.remove(1).failed("no input").expect("open again");
        all_done(tasks);
        let mut tasks = several(&mut batch, 3);
        let attempts: Vec<_> = tasks
            .iter()
            .map(|task| (task.index(), task.attempt()))
            .collect();
        assert_eq!(attempts, [(1, Some(2))]);
        tasks.remove(0).failed("no input").expect("failed");
        drop(tasks);
        assert!(several(&mut batch, 3).is_empty());
        assert_eq!(states(&batch), [State::Done, State::Failed, State::Done]);
    }
}

/// The tasks of a vector that end in time are done, and the others are overdue.
#[test]
fn time_is_limited_for_each() {
    for has_directory in [false, true] {
        let scratch = Scratch::new("time");
        let limit = Duration::from_secs(1);
        let builder = Batch::local().tasks(3).tries(2).task_timeout(limit);
        let mut batch = match has_directory {
            true => builder.state_dir(&scratch.0).durable(false).build(),
            false => builder.build(),
        }
        .expect("a batch");
        let mut tasks = several(&mut batch, 3);
        tasks.remove(1).done().expect("in time");
        thread::sleep(limit);
        for task in tasks {
            let error = task.done().expect_err("it is too late");
            assert!(matches!(error, BatchError::Overdue { .. }), "{error:?}");
        }
        let tasks = several(&mut batch, 3);
        assert_eq!(numbers(&tasks), [0, 2]);
        assert!(tasks.iter().all(|task| task.attempt() == Some(2)));
        assert_eq!(all_done(tasks), 2);
        assert_eq!(batch.summary().expect("a summary").done, 3);
    }
}

#[test]
fn a_batch_that_stops_lets_all_of_them_end() {
    let stop = StopOn::when({
        let mut calls = 0;
        move || {
            calls += 1;
            calls > 1
        }
    });
    let builder = Batch::local().tasks(9).stop_on(stop);
    let mut batch = builder.build().expect("a batch");
    assert_eq!(all_done(several(&mut batch, 4)), 4);
    assert!(several(&mut batch, 4).is_empty());
    assert!(batch.stopped().expect("no error").is_some());
    assert_eq!(batch.summary().expect("a summary").open, 5);
}
