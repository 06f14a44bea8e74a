//! Tries, time limits, the end before all tasks are done, and tasks of jobs that may be dead: one
//! process without MPI.

use mpisync::batch::directory::{Directory, Options};
use mpisync::batch::{Again, BatchBuilder, BatchError, State, StopCause, StopOn, Stopped};
use mpisync::{Batch, CreateError};
use std::cell::Cell;
use std::fs::{self, File};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const FAILED: Again = Again {
    running: false,
    failed: true,
    done: false,
};

/// A directory that is removed with all contents.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = format!("mpisync-limits-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(path);
        let _left_by_an_earlier_process = fs::remove_dir_all(&path);
        Scratch(path)
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.0.join(file)).ok()
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.0.join(file), text).expect("there is room");
    }

    /// A job that may run on another host has begun the task, and has given a heartbeat this long ago.
    fn begin_elsewhere(&self, task: &str, age: Duration) {
        let claim = "host far\nboot x\nnamespace y\npid 1\nborn 1\n";
        self.write(&format!("{task}/claim.1"), claim);
        self.beat(task, age);
        self.write(&format!("{task}/state"), "RUNNING\n");
    }

    fn beat(&self, task: &str, age: Duration) {
        let claim = File::options()
            .write(true)
            .open(self.0.join(task).join("claim.1"));
        let claim = claim.expect("it is there");
        claim
            .set_modified(SystemTime::now() - age)
            .expect("its own");
    }

    fn batch(&self) -> BatchBuilder<mpisync::batch::Alone> {
        Batch::local().state_dir(&self.0).durable(false)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _nobody_minds = fs::remove_dir_all(&self.0);
    }
}

/// Runs what there is; the task 1 fails. Returns the numbers of its tries.
fn run_all(batch: &mut Batch, again: Again) -> Vec<Option<u32>> {
    let mut attempts = Vec::new();
    let run = batch.for_each_with(again, |task, _| match task.index() {
        1 => {
            attempts.push(task.attempt());
            Err("no input")
        }
        _ => Ok(()),
    });
    let _ = run.expect("it runs");
    attempts
}

#[test]
fn a_task_that_fails_is_tried_again() {
    let mut batch = Batch::local().tasks(3).tries(3).build().expect("a batch");
    assert_eq!(run_all(&mut batch, FAILED), [Some(1), Some(2), Some(3)]);
    let summary = batch.summary().expect("the counts");
    assert_eq!((summary.done, summary.failed), (2, 1));
    assert_eq!(run_all(&mut batch, FAILED), [], "it has failed for good");
    let mut batch = Batch::local().tasks(3).build().expect("a batch");
    assert_eq!(run_all(&mut batch, Again::default()), [None]);
}

#[test]
fn a_task_that_is_opened_again_is_tried_once_more() {
    let mut batch = Batch::local().tasks(1).tries(2).build().expect("a batch");
    for attempt in [1, 2] {
        let task = batch.next_task().expect("no error").expect("it is open");
        assert_eq!(task.attempt(), Some(attempt));
        task.reopen().expect("it is this batch's");
    }
    assert!(batch.next_task().expect("no error").is_none());
    assert_eq!(batch.state(0).expect("it is there"), State::Failed);
}

#[test]
fn the_tries_of_all_jobs_count() {
    let scratch = Scratch::new("jobs");
    let job = || scratch.batch().tasks(3).tries(3).build().expect("a batch");
    let mut first = job();
    first
        .next_task()
        .expect("no error")
        .expect("a task")
        .done()
        .expect("it is done");
    let task = first.next_task().expect("no error").expect("a task");
    assert_eq!((task.index(), task.attempt()), (1, Some(1)));
    task.failed("no input").expect("it is noted");
    drop(first);
    assert_eq!(scratch.read("1/state").as_deref(), Some("OPEN\n"));
    assert_eq!(scratch.read("1/tries").as_deref(), Some("1\n"));
    let mut second = job();
    assert_eq!(run_all(&mut second, Again::default()), [Some(2), Some(3)]);
    drop(second);
    let directory = Directory::open(&scratch.0, Options::default()).expect("it is there");
    let reason = directory.reason(1);
    assert_eq!(reason.as_deref(), Some("no input (try 3 of 3)"));
    assert_eq!((directory.tries(1), directory.tries(2)), (3, 1));
    let mut third = job();
    assert_eq!(run_all(&mut third, FAILED), [], "it has failed for good");
    third.set_state(1, State::Open).expect("nobody has it");
    assert_eq!(directory.tries(1), 0);
    assert_eq!(run_all(&mut third, FAILED), [Some(1), Some(2), Some(3)]);
    // A batch without a limit does not count.
    let mut free = scratch.batch().tasks(3).build().expect("a batch");
    assert_eq!(run_all(&mut free, FAILED), [None]);
    assert_eq!(directory.tries(1), 3);
}

#[test]
fn a_worker_that_dies_uses_up_its_try() {
    let scratch = Scratch::new("dies");
    drop(scratch.batch().tasks(2).build().expect("a batch"));
    let long_ago = Duration::from_secs(3600);
    scratch.begin_elsewhere("1", long_ago);
    scratch.write("1/tries", "2\n");
    let mut batch = scratch.batch().tasks(2).tries(2).build().expect("a batch");
    assert_eq!(run_all(&mut batch, Again::default()), []);
    assert_eq!(scratch.read("1/state").as_deref(), Some("FAILED\n"));
    let reason = scratch.read("1/reason").expect("there is one");
    assert!(reason.contains("try 2 of 2"), "{reason}");
}

#[test]
fn what_is_no_number_of_tries_is_none() {
    let scratch = Scratch::new("number");
    drop(scratch.batch().tasks(2).build().expect("a batch"));
    for text in ["", "many\n", "-1\n", "99999999999999\n"] {
        scratch.write("1/tries", text);
        scratch.write("1/state", "OPEN\n");
        let mut batch = scratch.batch().tasks(2).tries(1).build().expect("a batch");
        assert_eq!(run_all(&mut batch, Again::default()), [Some(1)], "{text:?}");
    }
}

#[test]
fn limits_that_cannot_be_kept_are_errors() {
    let refused = |builder: BatchBuilder<mpisync::batch::Alone>| {
        let error = builder.tasks(1).build().expect_err("it cannot be");
        let is_right = matches!(error, BatchError::Create(CreateError::TaskLimit { .. }));
        assert!(is_right, "{error}");
        error.to_string()
    };
    assert!(refused(Batch::local().tries(0)).contains("1 to 30"));
    assert!(refused(Batch::local().tries(31)).contains("`tries` of a batch is 31"));
    assert!(refused(Batch::local().task_timeout(Duration::ZERO)).contains("more than 0"));
}

#[test]
fn a_task_that_takes_too_long_has_failed() {
    const LIMIT: Duration = Duration::from_millis(20);
    for (tries, ends) in [(None, State::Failed), (Some(2), State::Open)] {
        for is_on_disk in [false, true] {
            let scratch = Scratch::new("late");
            let mut builder = Batch::local().tasks(1).task_timeout(LIMIT);
            if is_on_disk {
                builder = builder.state_dir(&scratch.0).durable(false);
            }
            if let Some(tries) = tries {
                builder = builder.tries(tries);
            }
            let mut batch = builder.build().expect("a batch");
            let task = batch.next_task().expect("no error").expect("a task");
            thread::sleep(LIMIT * 2);
            match task.done().expect_err("it is late") {
                BatchError::Overdue { task, took, limit } => {
                    assert_eq!((task.as_str(), limit), ("0", LIMIT));
                    assert!(took >= LIMIT * 2, "{took:?}");
                }
                other => panic!("{other}"),
            }
            assert_eq!(batch.state(0).expect("it is there"), ends);
            let mut runs = 0;
            let summary = batch.for_each(|_, _| {
                runs += 1;
                thread::sleep(LIMIT * 2);
                Ok::<(), String>(())
            });
            let summary = summary.expect("a late task is none of an error");
            assert_eq!((summary.failed, runs), (1, tries.unwrap_or(1) - 1));
            if is_on_disk {
                let reason = scratch.read("0/reason").expect("there is one");
                assert!(reason.contains("longer than its limit"), "{reason}");
            }
        }
    }
}

#[test]
fn a_batch_stops_after_the_task_in_hand() {
    let is_met = Rc::new(Cell::new(false));
    let condition = Rc::clone(&is_met);
    let builder = Batch::local().tasks(10);
    let builder = builder.stop_on(StopOn::after(Duration::from_secs(3600)));
    let builder = builder.stop_on(StopOn::after(Duration::MAX));
    let mut batch = builder
        .stop_on(StopOn::when(move || condition.get()))
        .build()
        .expect("a batch");
    assert_eq!(batch.stopped().expect("no error"), None);
    let summary = batch.for_each(|task, _| {
        is_met.set(task.index() == 3);
        Ok::<(), String>(())
    });
    let summary = summary.expect("no error");
    assert_eq!((summary.done, summary.left()), (4, 6));
    let stopped = Stopped {
        rank: 0,
        cause: StopCause::Condition,
    };
    assert_eq!(batch.stopped().expect("no error"), Some(stopped));
    assert!(batch.next_task().expect("no error").is_none());
    let error = summary.all_done().expect_err("some are left");
    assert!(error.to_string().contains("6 open"), "{error}");
}

#[test]
fn a_batch_stops_when_its_time_is_up() {
    let start = Instant::now();
    let end = StopOn::at(start + Duration::from_millis(50));
    let mut batch = Batch::local()
        .tasks(1_000)
        .stop_on(end)
        .build()
        .expect("a batch");
    let summary = batch.for_each(|_, _| {
        thread::sleep(Duration::from_millis(5));
        Ok::<(), String>(())
    });
    let summary = summary.expect("no error");
    assert!(summary.done >= 1 && summary.left() > 900, "{summary}");
    let cause = batch
        .stopped()
        .expect("no error")
        .map(|stopped| stopped.cause);
    assert_eq!(cause, Some(StopCause::Time));
}

const STALE: Duration = Duration::from_secs(1);

#[test]
fn the_task_of_a_job_that_may_be_dead_is_waited_for() {
    let scratch = Scratch::new("dead");
    drop(scratch.batch().tasks(2).build().expect("a batch"));
    scratch.begin_elsewhere("1", Duration::ZERO);
    let start = Instant::now();
    let mut batch = scratch
        .batch()
        .tasks(2)
        .stale_after(STALE)
        .build()
        .expect("a batch");
    let mut had = Vec::new();
    let summary = batch.for_each(|task, _| {
        had.push((task.index(), task.was()));
        Ok::<(), String>(())
    });
    summary
        .expect("no error")
        .all_done()
        .expect("both are done");
    assert_eq!(had, [(0, State::Open), (1, State::Running)]);
    let took = start.elapsed();
    assert!(took >= STALE && took < STALE * 10, "{took:?}");
}

#[test]
fn the_task_of_a_job_that_lives_is_left_to_it() {
    let scratch = Scratch::new("lives");
    drop(scratch.batch().tasks(2).build().expect("a batch"));
    scratch.begin_elsewhere("1", Duration::ZERO);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                scratch.beat("1", Duration::ZERO);
                thread::sleep(STALE / 10);
            }
        });
        let start = Instant::now();
        let mut batch = scratch
            .batch()
            .tasks(2)
            .stale_after(STALE)
            .build()
            .expect("a batch");
        let summary = batch.for_each(|_, _| Ok::<(), String>(()));
        is_over.store(true, Ordering::Relaxed);
        let summary = summary.expect("no error");
        assert_eq!((summary.done, summary.running), (1, 1));
        assert!(summary.all_done().is_err());
        assert!(start.elapsed() < STALE * 10);
    });
}
