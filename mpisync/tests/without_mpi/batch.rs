//! Batches without MPI: one process, the whole interface.

use mpisync::batch::directory::{Claimed, Directory, DirectoryError, Options};
use mpisync::batch::{Again, BatchError, State, Summary};
use mpisync::{Batch, CreateError};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

const NO: Again = Again {
    running: false,
    failed: false,
    done: false,
};

/// A directory that is removed with all contents.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = format!("mpisync-batch-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(path);
        let _left_by_an_earlier_process = fs::remove_dir_all(&path);
        Scratch(path)
    }

    fn state(&self, task: &str) -> PathBuf {
        self.0.join(task).join("state")
    }

    fn read(&self, task: &str) -> String {
        fs::read_to_string(self.state(task)).expect("there is a state")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _nobody_minds = fs::remove_dir_all(&self.0);
    }
}

fn on(path: &Path, tasks: usize) -> Batch {
    let builder = Batch::local().tasks(tasks).state_dir(path);
    builder.durable(false).build().expect("a batch")
}

fn run_all(batch: &mut Batch, again: Again) -> Vec<(usize, State)> {
    let mut had = Vec::new();
    while let Some(task) = batch.next_task_with(again).expect("a task or none") {
        had.push((task.index(), task.was()));
        task.done().expect("it is done");
    }
    had
}

fn summary(batch: &Batch) -> Summary {
    batch.summary().expect("it can be had")
}

#[test]
fn tasks_are_given_out_in_order_and_each_once() {
    for tasks in [0, 1, 63, 64, 65, 4_096, 4_097, 300_000] {
        let mut batch = Batch::local().tasks(tasks).build().expect("a batch");
        let had = run_all(&mut batch, NO);
        let right: Vec<_> = (0..tasks).map(|task| (task, State::Open)).collect();
        assert!(had == right, "of {tasks}");
        assert_eq!(
            (summary(&batch).done, summary(&batch).total()),
            (tasks as u64, tasks as u64)
        );
        assert!(batch.next_task().expect("none").is_none());
    }
}

#[test]
fn a_batch_says_who_it_is() {
    let mut batch = Batch::local().names(["a", "b"]).build().expect("a batch");
    assert_eq!(
        (batch.rank(), batch.size(), batch.root(), batch.tasks()),
        (0, 1, 0, 2)
    );
    assert_eq!(
        (
            batch.worker().number(),
            batch.worker().rank(),
            batch.worker().size(),
            batch.n_workers()
        ),
        (0, 0, 1, 1)
    );
    assert_eq!(batch.worker().members(), [0]);
    assert_eq!(batch.name(1).expect("a name"), "b");
    let error = batch.name(2).expect_err("there is none");
    assert!(matches!(
        error,
        BatchError::NoSuchTask { task: 2, tasks: 2 }
    ));
    assert!(batch.directory().is_none());
    let task = batch.next_task().expect("no error").expect("a task");
    let shown = format!("{task:?} {:?}", task.batch());
    for part in [
        "name: \"a\"",
        "rank: 0",
        "was: Open",
        "runs: [0]",
        "running: 1",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    drop(task);
    #[cfg(feature = "mpi")]
    batch.close().expect("nobody to wait for");
}

#[test]
fn states_at_first_are_one_for_each() {
    let all = [
        State::Done,
        State::Failed,
        State::Running,
        State::Invalid,
        State::Open,
    ];
    let mut batch = Batch::local().initial_states(all).build().expect("a batch");
    assert_eq!(run_all(&mut batch, NO), [(4, State::Open)]);
    let again = Again {
        running: true,
        failed: true,
        ..NO
    };
    let had = run_all(&mut batch, again);
    assert_eq!(had, [(2, State::Running), (1, State::Failed)]);
    assert_eq!(run_all(&mut batch, again), []);
    let had = run_all(&mut batch, Again { done: true, ..NO });
    assert_eq!(had, [(0, State::Done)], "not what was done here");
    assert_eq!(run_all(&mut batch, Again { done: true, ..NO }), []);
    for count in [0, 2, 4] {
        let outcome = Batch::local()
            .tasks(3)
            .initial_states(vec![State::Open; count])
            .build();
        let error = outcome.expect_err("one for each");
        assert!(matches!(error, BatchError::States { states, tasks: 3 } if states == count));
    }
    let scratch = Scratch::new("both");
    let outcome = Batch::local()
        .initial_states(all)
        .state_dir(&scratch.0)
        .build();
    let error = outcome.expect_err("one or the other");
    assert!(matches!(error, BatchError::StatesAndDirectory(path) if path == scratch.0));
    assert!(!scratch.0.exists());
}

/// A task that failed may be taken again, once per batch.
#[test]
fn tasks_end_in_all_ways() {
    let scratch = Scratch::new("ends");
    for has_directory in [false, true] {
        let builder = Batch::local().tasks(6);
        let builder = if has_directory {
            builder.state_dir(&scratch.0)
        } else {
            builder
        };
        let mut batch = builder.durable(false).build().expect("a batch");
        let take = |batch: &mut Batch, index: usize, end: &dyn Fn(mpisync::Task<'_>)| {
            let task = batch.next_task().expect("no error").expect("a task");
            assert_eq!((task.index(), task.was()), (index, State::Open));
            end(task);
        };
        take(&mut batch, 0, &|task| task.done().expect("done"));
        take(&mut batch, 1, &|task| {
            task.failed("no input").expect("failed")
        });
        take(&mut batch, 2, &|task| task.reopen().expect("open"));
        take(&mut batch, 2, &|task| drop(task));
        take(&mut batch, 2, &|task| std::mem::forget(task));
        take(&mut batch, 2, &|task| {
            let panics = catch_unwind(AssertUnwindSafe(move || {
                let _task = task;
                panic!("seventeen")
            }));
            let _: Box<_> = panics.expect_err("it panics");
        });
        take(&mut batch, 3, &|task| {
            let panics = catch_unwind(AssertUnwindSafe(move || {
                let _task = task;
                std::panic::panic_any(17)
            }));
            let _: Box<_> = panics.expect_err("it panics");
        });
        take(&mut batch, 4, &|task| task.done().expect("done"));
        let states: Vec<State> = (0..6)
            .map(|task| batch.state(task).expect("a state"))
            .collect();
        let (done, failed, open) = (State::Done, State::Failed, State::Open);
        assert_eq!(states, [done, failed, failed, failed, done, open]);
        if let Some(directory) = batch.directory() {
            let reason = |task| directory.reason(task);
            assert_eq!(reason(1).as_deref(), Some("no input"));
            // Only `run` has a hook that keeps messages.
            for task in [2, 3] {
                assert!(reason(task).expect("one").starts_with("a panic; "));
            }
            assert_eq!(reason(0), None);
        }
        let again = Again { failed: true, ..NO };
        let had = run_all(&mut batch, again);
        assert_eq!(had, [(5, open), (1, failed), (2, failed), (3, failed)]);
        assert_eq!(summary(&batch).done, 6);
        if let Some(directory) = batch.directory() {
            assert_eq!(directory.reason(1), None);
        }
    }
}

#[test]
fn for_each_goes_on_after_errors_and_panics() {
    let mut batch = Batch::local().tasks(9).build().expect("a batch");
    let mut had = Vec::new();
    let ended = batch.for_each(|task, worker| {
        assert_eq!((worker.rank(), worker.count()), (0, 1));
        had.push(task.index());
        assert_ne!(task.index(), 4, "on purpose");
        if task.index() == 5 { Err("no") } else { Ok(()) }
    });
    let ended = ended.expect("a summary");
    assert_eq!((ended.done, ended.failed, ended.is_over()), (7, 2, true));
    assert_eq!(had, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    had.clear();
    let ended = batch.for_each_with(Again { failed: true, ..NO }, |task, _| {
        had.push(task.index());
        Ok::<(), String>(())
    });
    assert_eq!((ended.expect("a summary").done, had), (9, vec![4, 5]));
}

#[test]
fn states_are_set_by_hand() {
    let scratch = Scratch::new("set");
    for mut batch in [
        Batch::local().tasks(3).build().expect("a batch"),
        on(&scratch.0, 3),
    ] {
        assert!(matches!(
            batch.set_state(0, State::Running),
            Err(BatchError::SetRunning)
        ));
        assert!(matches!(
            batch.set_state(3, State::Open),
            Err(BatchError::NoSuchTask { .. })
        ));
        for state in [
            State::Done,
            State::Failed,
            State::Invalid,
            State::Open,
            State::Done,
        ] {
            batch.set_state(0, state).expect("nobody runs it");
            assert_eq!(batch.state(0).expect("a state"), state);
        }
        let task = batch.next_task().expect("no error").expect("a task");
        assert_eq!(task.index(), 1);
        let error = task.batch().set_state(1, State::Open).expect_err("it runs");
        assert!(matches!(error, BatchError::Busy { task: 1 }));
        task.done().expect("done");
        assert_eq!(batch.wait_all().expect("a summary").open, 1);
        batch.set_state(0, State::Open).expect("nobody runs it");
        assert_eq!(
            run_all(&mut batch, NO),
            [(0, State::Open), (2, State::Open)]
        );
    }
    assert_eq!(scratch.read("0"), "DONE\n");
}

#[test]
fn a_directory_goes_on_where_the_last_batch_was() {
    let scratch = Scratch::new("on");
    let mut batch = on(&scratch.0, 12);
    for index in 0..3 {
        let task = batch.next_task().expect("no error").expect("a task");
        assert_eq!(
            task.directory().expect("one"),
            scratch.0.join(format!("{index:02}"))
        );
        match index {
            1 => task.failed("not this one").expect("failed"),
            _ => task.done().expect("done"),
        }
    }
    let task = batch.next_task().expect("no error").expect("a task");
    std::mem::forget(task);
    assert_eq!(scratch.read("03"), "RUNNING\n");
    // Another batch sees that it belongs to this one as long as this one is alive.
    let mut other = on(&scratch.0, 12);
    assert_eq!(
        (
            summary(&other).done,
            summary(&other).failed,
            summary(&other).running
        ),
        (2, 1, 1)
    );
    let taken = other
        .set_state(3, State::Open)
        .expect_err("it is another's");
    assert!(matches!(
        taken,
        BatchError::Directory(DirectoryError::Taken { .. })
    ));
    let task = other
        .next_task_with(Again {
            running: true,
            ..NO
        })
        .expect("no error")
        .expect("a task");
    assert_eq!(task.index(), 4);
    task.done().expect("done");
    drop(batch);
    assert_eq!(scratch.read("03"), "OPEN\n");
    assert_eq!(other.wait_all().expect("a summary").running, 0);
    let had: Vec<usize> = run_all(&mut other, NO)
        .into_iter()
        .map(|(task, _)| task)
        .collect();
    assert_eq!(had, [3, 5, 6, 7, 8, 9, 10, 11]);
    drop(other);
    let mut last = on(&scratch.0, 12);
    assert_eq!(
        run_all(&mut last, Again { failed: true, ..NO }),
        [(1, State::Failed)]
    );
    assert_eq!(summary(&last).done, 12);
    assert!(last.problems().is_empty());
}

/// Runs this program again, as another job that is killed with a task in hand.
#[test]
fn a_task_of_a_process_that_was_killed_is_open_again() {
    const VARIABLE: &str = "TEST_BATCH_TO_DIE_IN";
    if let Some(path) = std::env::var_os(VARIABLE) {
        let mut batch = on(Path::new(&path), 4);
        batch
            .next_task()
            .expect("no error")
            .expect("a task")
            .done()
            .expect("done");
        let _task = batch.next_task().expect("no error").expect("a task");
        std::process::abort();
    }
    let scratch = Scratch::new("killed");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let name = "batch::a_task_of_a_process_that_was_killed_is_open_again";
    let ended = command
        .args(["--exact", name])
        .env(VARIABLE, &scratch.0)
        .output();
    assert!(!ended.expect("it is started").status.success());
    assert_eq!(
        (scratch.read("0"), scratch.read("1")),
        ("DONE\n".into(), "RUNNING\n".into())
    );
    let directory = Directory::open(&scratch.0, Options::default()).expect("the states");
    assert_eq!(directory.claimant(1).expect("it can be read"), None);
    let mut batch = on(&scratch.0, 4);
    let had = run_all(&mut batch, NO);
    let tasks: Vec<usize> = had.iter().map(|(task, _)| *task).collect();
    // It is open after a check.
    let mut rest = tasks;
    if batch.wait_all().expect("a summary").open > 0 {
        rest.extend(run_all(&mut batch, NO).iter().map(|(task, _)| *task));
    }
    rest.sort_unstable();
    assert_eq!(rest, [1, 2, 3]);
    assert_eq!(summary(&batch).done, 4);
}

#[test]
fn what_cannot_be_read_is_left_alone() {
    let scratch = Scratch::new("corrupt");
    drop(on(&scratch.0, 5));
    fs::write(scratch.state("1"), "RUNING\n").expect("written");
    fs::write(scratch.state("3"), "DON").expect("written");
    let strict = Batch::local()
        .tasks(5)
        .state_dir(&scratch.0)
        .strict(true)
        .build();
    let error = strict.expect_err("it is strict").to_string();
    assert!(
        error.contains(scratch.state("1").to_str().expect("text")),
        "{error}"
    );
    let mut batch = on(&scratch.0, 5);
    let problems = batch.problems();
    assert!(
        matches!(
            problems[..],
            [
                DirectoryError::UnknownState { .. },
                DirectoryError::HalfWritten { .. }
            ]
        ),
        "{problems:?}"
    );
    let had: Vec<usize> = run_all(&mut batch, NO)
        .into_iter()
        .map(|(task, _)| task)
        .collect();
    assert_eq!(had, [0, 2, 4]);
    assert_eq!(
        (scratch.read("1"), scratch.read("3")),
        ("RUNING\n".into(), "DON".into())
    );
    assert_eq!(
        (summary(&batch).invalid, summary(&batch).is_over()),
        (2, true)
    );
    batch.set_state(3, State::Done).expect("by hand");
    assert_eq!(scratch.read("3"), "DONE\n");
    // A task that becomes invalid later is found when its turn comes.
    batch.set_state(0, State::Open).expect("by hand");
    fs::write(scratch.state("0"), "?\n").expect("written");
    assert!(batch.next_task().expect("it is not strict").is_none());
    assert_eq!(
        (batch.problems().len(), batch.state(0).expect("a state")),
        (3, State::Invalid)
    );
}

#[test]
fn directories_that_cannot_be() {
    let scratch = Scratch::new("cannot");
    let names = |names: &[&str]| {
        let builder = Batch::local()
            .names(names.iter().copied())
            .state_dir(&scratch.0);
        builder.build().expect_err("there cannot be such folders")
    };
    for name in ["", ".", "..", "a/b", ".a", "a\0"] {
        let error = names(&["good", name]);
        assert!(
            matches!(error, BatchError::Directory(DirectoryError::Name { .. })),
            "{error:?}"
        );
    }
    let error = names(&["x", "y", "x"]);
    assert!(
        matches!(
            error,
            BatchError::Directory(DirectoryError::NameTwice { .. })
        ),
        "{error:?}"
    );
    assert!(!scratch.0.exists());
    fs::write(&scratch.0, "").expect("written");
    for path in [scratch.0.clone(), scratch.0.join("below")] {
        let error = Batch::local()
            .tasks(1)
            .state_dir(path)
            .build()
            .expect_err("a file");
        assert!(
            matches!(
                error,
                BatchError::Directory(DirectoryError::NotADirectory { .. })
            ),
            "{error:?}"
        );
    }
    fs::remove_file(&scratch.0).expect("removed");
    // Without a directory the names need not be those of folders.
    let batch = Batch::local()
        .names(["a/b", "a/b", ""])
        .build()
        .expect("a batch");
    assert_eq!(batch.name(1).expect("a name"), "a/b");
}

/// A claim from outside keeps the task from a batch, and an outcome from outside counts.
#[test]
fn what_others_do_is_seen() {
    let scratch = Scratch::new("others");
    let mut batch = on(&scratch.0, 3);
    let other = Directory::open(&scratch.0, Options::default().durable(false)).expect("the states");
    let Claimed::Mine(claim, State::Open) = other.claim(1, NO).expect("no error") else {
        panic!("nobody has it");
    };
    other.set(2, State::Done).expect("nobody has it");
    assert_eq!(run_all(&mut batch, NO), [(0, State::Open)]);
    assert_eq!((summary(&batch).running, summary(&batch).done), (1, 2));
    assert_eq!(batch.state(1).expect("a state"), State::Running);
    claim
        .settle(State::Failed, Some("elsewhere"))
        .expect("settled");
    assert_eq!(batch.state(1).expect("a state"), State::Failed);
    let ended = batch.wait_all().expect("a summary");
    assert_eq!((ended.done, ended.failed), (2, 1));
}

/// A task keeps its name, and so its state, for any number of tasks.
#[test]
fn numbers_keep_their_folders() {
    let scratch = Scratch::new("numbers");
    let tasks = |tasks| {
        let mut batch = on(&scratch.0, tasks);
        let had: Vec<usize> = run_all(&mut batch, NO).iter().map(|had| had.0).collect();
        had
    };
    assert_eq!(tasks(3), [0, 1, 2]);
    assert_eq!(tasks(10), [3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(tasks(12), [10, 11]);
    assert_eq!(tasks(101).len(), 89);
    assert_eq!(tasks(5), []);
    let batch = on(&scratch.0, 101);
    let names = [0, 9, 10, 100].map(|task| batch.name(task).expect("a name"));
    assert_eq!(names, ["0", "9", "10", "100"]);
    drop(batch);

    let wide = Scratch::new("wide");
    drop(on(&wide.0, 20));
    let mut batch = on(&wide.0, 5);
    assert_eq!(batch.name(4).expect("a name"), "04");
    assert_eq!(run_all(&mut batch, NO).len(), 5);
    drop(batch);
    assert_eq!(run_all(&mut on(&wide.0, 101), NO).len(), 96);
    assert_eq!(wide.read("100"), "DONE\n");

    // Both exist, as they were made.
    fs::create_dir(wide.0.join("0")).expect("there is room");
    fs::write(wide.state("0"), "OPEN\n").expect("written");
    let error = Batch::local().tasks(5).state_dir(&wide.0).build();
    let error = error.expect_err("which are meant?");
    let words = error.to_string();
    assert!(
        matches!(
            error,
            BatchError::Directory(DirectoryError::Numbering {
                one: 1,
                other: 2,
                ..
            })
        ),
        "{words}"
    );
    assert!(words.contains("`names`"), "{words}");
    let names = ["0", "1"];
    let builder = Batch::local().names(names).state_dir(&wide.0);
    drop(builder.build().expect("these are meant"));
}

#[test]
fn there_are_not_more_tasks_than_there_can_be() {
    let scratch = Scratch::new("many");
    for (tasks, has_directory, most) in [
        (usize::MAX, false, Batch::MAX_TASKS),
        (Batch::MAX_TASKS + 1, false, Batch::MAX_TASKS),
        (usize::MAX, true, Directory::MAX_TASKS),
        (Directory::MAX_TASKS + 1, true, Directory::MAX_TASKS),
    ] {
        let builder = Batch::local().tasks(tasks);
        let builder = match has_directory {
            true => builder.state_dir(&scratch.0),
            false => builder,
        };
        let error = builder.build().expect_err("too many");
        assert!(
            matches!(
                error,
                BatchError::Create(CreateError::TooManyTasks { tasks: told, most: limit })
                    if (told, limit) == (tasks, most)
            ),
            "{error:?}"
        );
    }
    assert!(!scratch.0.exists());
    let start = std::time::Instant::now();
    let mut batch = Batch::local()
        .tasks(Batch::MAX_TASKS)
        .build()
        .expect("a batch");
    let task = batch.next_task().expect("no error").expect("a task");
    assert_eq!(task.index(), 0);
    task.done().expect("done");
    assert!(start.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn a_job_that_would_be_dead_at_once_is_refused() {
    let scratch = Scratch::new("dead");
    let builder = Batch::local().tasks(40).state_dir(&scratch.0);
    let error = builder.stale_after(std::time::Duration::ZERO).build();
    let error = error.expect_err("it would be dead at once");
    assert!(
        matches!(
            error,
            BatchError::Directory(DirectoryError::StaleAfter { .. })
        ),
        "{error:?}"
    );
}

#[test]
#[cfg(feature = "mpi")]
fn a_worker_of_one_process_has_no_communicator() {
    let batch = Batch::local().tasks(1).build().expect("a batch");
    assert!(batch.worker().try_comm().is_none());
    let panic = catch_unwind(AssertUnwindSafe(|| {
        batch.worker().comm();
    }));
    let panic = panic.expect_err("it has none");
    let text = panic.downcast_ref::<String>().expect("a message");
    assert!(
        text.contains("Batch::local") && text.contains("try_comm"),
        "{text}"
    );
}

/// Without `strict` the others are run.
#[test]
fn what_is_misplaced_is_left_out() {
    let scratch = Scratch::new("misplaced");
    drop(on(&scratch.0, 4));
    fs::remove_file(scratch.state("1")).expect("it is there");
    fs::create_dir(scratch.state("1")).expect("there is room");
    fs::remove_dir_all(scratch.0.join("2")).expect("it is there");
    fs::write(scratch.0.join("2"), "DONE\n").expect("there is room");
    fs::write(scratch.state("3"), "DONE").expect("there is room");
    let builder = || Batch::local().tasks(4).state_dir(&scratch.0).durable(false);
    builder().strict(true).build().expect_err("it is strict");
    let mut batch = builder().build().expect("one task is fine");
    assert_eq!(batch.problems().len(), 2, "{:?}", batch.problems());
    assert_eq!(run_all(&mut batch, NO), [(0, State::Open)]);
    let Summary { done, invalid, .. } = summary(&batch);
    assert_eq!((done, invalid), (2, 2));
}
