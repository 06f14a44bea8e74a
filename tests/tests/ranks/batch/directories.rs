//! Batches whose states are in a directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mpi::topology::{Color, SimpleCommunicator};
use mpi::traits::*;
use mpisync::Batch;
use mpisync::batch::directory::{Directory, DirectoryError, Options};
use mpisync::batch::{Again, BatchBuilder, BatchError, OnComm, State};
use mpisync_tests::job::Job;

use super::{run_all, sizes, states, sum};

mpisync_tests::cases!(on [1, 2, 3, 4]:
    directory_outlives_the_batch,
    directory_with_names,
    directory_that_cannot_be,
    directory_with_corrupt_states,
    state_becomes_corrupt,
    directory_is_removed,
    directory_of_two_jobs,
    task_of_another_job,
    directory_from_pshmem,
);

fn builder<'a>(job: &'a Job, path: &Path) -> BatchBuilder<OnComm<'a, SimpleCommunicator>> {
    Batch::builder(&job.world).state_dir(path).durable(false)
}

fn on_disk(path: &Path) -> Directory {
    Directory::open(path, Options::default()).unwrap()
}

fn directory_outlives_the_batch(job: &Job) {
    for each in sizes(job) {
        for durable in [false, true] {
            let path = job.file(&format!("batch_outlives-{each}-{durable}"));
            let made = || {
                builder(job, &path)
                    .durable(durable)
                    .worker_size(each)
                    .tasks(12)
                    .build()
            };
            let mut batch = made().unwrap();
            let workers = batch.n_workers() as u64;
            let task = batch.next_task().unwrap().unwrap();
            let folder = task.directory().unwrap();
            assert_eq!(folder, path.join(task.name()));
            assert_eq!(
                fs::read_to_string(folder.join("state")).unwrap(),
                "RUNNING\n"
            );
            task.done().unwrap();
            job.world.barrier();
            drop(batch);
            assert_eq!(on_disk(&path).summary().unwrap().done, workers);
            job.world.barrier();
            let mut batch = made().unwrap();
            assert_eq!(batch.summary().unwrap().done, workers);
            job.world.barrier();
            let mine = run_all(&mut batch).len();
            let led = if batch.worker().rank() == 0 { mine } else { 0 };
            assert_eq!(sum(job, led), 12 - workers as usize);
            batch.close().unwrap();
            let mut batch = made().unwrap();
            assert!(batch.next_task().unwrap().is_none());
            assert_eq!(
                (batch.summary().unwrap().done, batch.problems().len()),
                (12, 0)
            );
            assert_eq!(on_disk(&path).summary().unwrap().done, 12);
            job.world.barrier();
        }
    }
}

fn directory_with_names(job: &Job) {
    let path = job.file("batch_with_names").join("several").join("below");
    let names = ["rainy day", "naïve", "x=1,y=2", "-f", "123"];
    let mut batch = builder(job, &path).names(names).build().unwrap();
    while let Some(task) = batch.next_task().unwrap() {
        assert_eq!(task.name(), names[task.index()]);
        let name = names[task.index()];
        task.failed(format_args!("{name} is not possible")).unwrap();
    }
    let _ = batch.wait_all().unwrap();
    job.world.barrier();
    let directory = on_disk(&path);
    for (task, name) in directory.names().iter().enumerate() {
        assert!(names.contains(&name.as_str()));
        assert_eq!(
            directory.reason(task).unwrap(),
            format!("{name} is not possible")
        );
    }
    assert_eq!(directory.summary().unwrap().failed, 5);
    job.world.barrier();
    // Again, in another order.
    let mut reversed = names;
    reversed.reverse();
    let mut batch = builder(job, &path).names(reversed).build().unwrap();
    let again = Again {
        failed: true,
        ..Again::default()
    };
    let mut had = 0;
    while let Some(task) = batch.next_task_with(again).unwrap() {
        assert_eq!(
            (task.was(), task.name()),
            (State::Failed, reversed[task.index()].to_owned())
        );
        had += 1;
        task.done().unwrap();
    }
    assert_eq!(sum(job, had), 5);
    assert_eq!(batch.directory().unwrap().reason(0), None);
}

/// The root reports the error, and the others report that it failed.
fn fails(
    job: &Job,
    outcome: Result<Batch, BatchError>,
    expected: fn(&DirectoryError) -> bool,
    named: &str,
) {
    match outcome.unwrap_err() {
        BatchError::Directory(error) if job.rank == 0 => {
            assert!(expected(&error), "{error:?}");
            assert!(error.to_string().contains(named), "{error}");
        }
        BatchError::OtherRank { rank: 0, found } if job.rank != 0 => {
            assert!(found.contains(named), "{found}");
        }
        other => panic!("{other:?}"),
    }
}

fn directory_that_cannot_be(job: &Job) {
    let path = job.file("batch_that_cannot_be");
    for name in ["", ".", "..", "../x", "a/b", ".hidden", "a\0b"] {
        let outcome = builder(job, &path).names(["good", name]).build();
        fails(
            job,
            outcome,
            |error| matches!(error, DirectoryError::Name { .. }),
            &format!("{name:?}"),
        );
    }
    let long = "n".repeat(256);
    let outcome = builder(job, &path).names([long]).build();
    fails(
        job,
        outcome,
        |error| matches!(error, DirectoryError::Name { .. }),
        "nnn",
    );
    let outcome = builder(job, &path).names(["one", "two", "one"]).build();
    fails(
        job,
        outcome,
        |error| matches!(error, DirectoryError::NameTwice { name } if name == "one"),
        "\"one\"",
    );
    assert!(!path.exists(), "nothing is made for tasks that cannot be");
    // A file is in the place of the directory, of its parent, or of a task's folder.
    let file = job.file("batch_a_file");
    let folder = job.file("batch_a_folder");
    if job.rank == 0 {
        fs::write(&file, "of somebody").unwrap();
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("1"), "of somebody").unwrap();
    }
    job.world.barrier();
    for path in [file.clone(), file.join("below"), folder.clone()] {
        let outcome = builder(job, &path).tasks(3).strict(true).build();
        let is_told =
            |error: &DirectoryError| matches!(error, DirectoryError::NotADirectory { .. });
        fails(job, outcome, is_told, "batch_a_f");
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "of somebody");
    // What stands where a task's folder should be concerns that task alone.
    let mut batch = builder(job, &folder).tasks(3).build().unwrap();
    assert_eq!(batch.problems().len(), 1, "{:?}", batch.problems());
    assert_eq!(sum(job, run_all(&mut batch).len()), 2);
    assert_eq!(fs::read_to_string(folder.join("1")).unwrap(), "of somebody");
    // Where not even the superuser may make a directory.
    let forbidden = Path::new("/sys");
    if forbidden.join("kernel").is_dir() {
        let outcome = builder(job, &forbidden.join("mpisync-tests"))
            .tasks(3)
            .build();
        let is_told = |error: &DirectoryError| matches!(error, DirectoryError::Permission { .. });
        fails(job, outcome, is_told, "/sys/mpisync-tests");
    }
    let mut batch = builder(job, &path).tasks(3).build().unwrap();
    assert_eq!(sum(job, run_all(&mut batch).len()), 3);
}

/// Files without a valid state are not changed, and all other tasks are run.
fn directory_with_corrupt_states(job: &Job) {
    const CORRUPT: [(usize, &str); 4] = [(1, "DOEN\n"), (4, "DON"), (5, ""), (8, "done\n")];
    let path = job.file("batch_with_corrupt_states");
    let state = |task: usize| path.join(task.to_string()).join("state");
    drop(builder(job, &path).tasks(10).build().unwrap());
    job.world.barrier();
    if job.rank == 0 {
        for (task, text) in CORRUPT {
            fs::write(state(task), text).unwrap();
        }
    }
    job.world.barrier();
    let outcome = builder(job, &path).tasks(10).strict(true).build();
    let is_told = |error: &DirectoryError| matches!(error, DirectoryError::UnknownState { .. });
    fails(job, outcome, is_told, "batch_with_corrupt_states/1/state");
    let mut batch = builder(job, &path).tasks(10).build().unwrap();
    let found: Vec<String> = batch.problems().iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), CORRUPT.len(), "{found:?}");
    for ((task, _), words) in CORRUPT.iter().zip(&found) {
        assert!(words.contains(state(*task).to_str().unwrap()), "{words}");
    }
    assert_eq!(sum(job, run_all(&mut batch).len()), 10 - CORRUPT.len());
    let _ = batch.wait_all().unwrap();
    job.world.barrier();
    for (task, text) in CORRUPT {
        assert_eq!(batch.state(task).unwrap(), State::Invalid);
        assert_eq!(fs::read_to_string(state(task)).unwrap(), text);
    }
    let summary = batch.summary().unwrap();
    assert_eq!(
        (summary.done, summary.invalid, summary.is_over()),
        (6, 4, true)
    );
    job.world.barrier();
    // A task whose state is set by hand can be run.
    if job.rank == job.size - 1 {
        batch.set_state(4, State::Open).unwrap();
    }
    job.world.barrier();
    assert_eq!(sum(job, run_all(&mut batch).len()), 1);
    assert_eq!(fs::read_to_string(state(4)).unwrap(), "DONE\n");
    job.world.barrier();
}

/// A state becomes corrupt after the batch was made: the worker that takes the task finds it.
fn state_becomes_corrupt(job: &Job) {
    for each in sizes(job) {
        for strict in [false, true] {
            let path = job.file(&format!("batch_becomes_corrupt-{each}-{strict}"));
            let made = builder(job, &path)
                .worker_size(each)
                .strict(strict)
                .tasks(9);
            let mut batch = made.build().unwrap();
            if job.rank == 0 {
                fs::write(path.join("4").join("state"), "nonsense\n").unwrap();
            }
            job.world.barrier();
            let (mut ran, mut told) = (0, 0);
            let leads = batch.worker().rank() == 0;
            loop {
                match batch.next_task() {
                    Ok(None) => break,
                    Ok(Some(task)) => {
                        assert_ne!(task.index(), 4);
                        ran += usize::from(leads);
                        task.done().unwrap();
                    }
                    Err(BatchError::Directory(error)) if leads => {
                        assert!(error.to_string().contains("nonsense"), "{error}");
                        told += 1;
                    }
                    Err(BatchError::OtherRank { found, .. }) if !leads => {
                        assert!(found.contains("batch_becomes_corrupt"), "{found}");
                        told += 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(sum(job, ran), 8);
            // All ranks of the worker that took it get an error. All ranks can read the reason.
            let right = if strict { each as usize } else { 0 };
            assert_eq!(sum(job, told), right);
            job.world.barrier();
            let problems = batch.problems();
            assert!(
                matches!(&problems[..], [DirectoryError::UnknownState { .. }]),
                "{problems:?}"
            );
            assert_eq!(batch.wait_all().unwrap().invalid, 1);
            assert_eq!(
                fs::read_to_string(path.join("4").join("state")).unwrap(),
                "nonsense\n"
            );
            job.world.barrier();
        }
    }
}

/// The directory is removed while a worker has a task: that worker gets an error, all others too,
/// and none hangs.
fn directory_is_removed(job: &Job) {
    for each in sizes(job) {
        let path = job.file(&format!("batch_is_removed-{each}"));
        let mut batch = builder(job, &path)
            .worker_size(each)
            .tasks(20)
            .build()
            .unwrap();
        let leads = batch.worker().rank() == 0;
        let task = batch.next_task().unwrap().unwrap();
        job.world.barrier();
        if job.rank == 0 {
            fs::remove_dir_all(&path).unwrap();
        }
        job.world.barrier();
        match task.done() {
            Ok(()) if !leads => {}
            Err(BatchError::FileSystem { error, .. }) if leads => {
                assert!(error.to_string().contains("batch_is_removed"), "{error}")
            }
            other => panic!("{other:?}"),
        }
        match batch.next_task().unwrap_err() {
            BatchError::FileSystem { rank, error } if leads => {
                assert_eq!(rank, job.rank);
                assert!(error.to_string().contains("is not there"), "{error}");
            }
            BatchError::OtherRank { .. } if !leads => {}
            other => panic!("{other:?}"),
        }
        job.world.barrier();
        let summary = batch.wait_all().unwrap();
        assert_eq!((summary.open, summary.total()), (20, 20));
        assert!(batch.problems().is_empty());
        job.world.barrier();
    }
}

/// Two jobs, each with half of the ranks and its own batch on the directory.
fn directory_of_two_jobs(job: &Job) {
    const TASKS: usize = 60;
    let path = job.file("batch_of_two_jobs");
    let color = Color::with_value(job.rank % 2);
    let part = job.world.split_by_color(color).unwrap();
    for each in 1..=part.size() {
        if part.size() % each != 0 || job.size % each != 0 {
            continue;
        }
        let path: PathBuf = path.join(each.to_string());
        let made = Batch::builder(&part)
            .worker_size(each)
            .tasks(TASKS)
            .state_dir(&path);
        let mut batch = made
            .durable(false)
            .stale_after(Duration::from_secs(20))
            .build()
            .unwrap();
        let mut mine = 0;
        let mut reopened = false;
        loop {
            while let Some(task) = batch.next_task().unwrap() {
                std::thread::sleep(Duration::from_micros(500));
                // Some tasks are reopened, for any worker.
                if !reopened && task.index() % 7 == 3 {
                    reopened = true;
                    task.reopen().unwrap();
                } else {
                    mine += usize::from(task.worker().rank() == 0);
                    task.done().unwrap();
                }
            }
            if batch.wait_all().unwrap().is_over() {
                break;
            }
        }
        job.world.barrier();
        assert_eq!(sum(job, mine), TASKS);
        assert_eq!(on_disk(&path).summary().unwrap().done, TASKS as u64);
        assert_eq!(batch.summary().unwrap().done, TASKS as u64);
        assert_eq!(states(&batch), [State::Done; TASKS]);
        job.world.barrier();
    }
}

/// A task that another job runs is left alone, waited for, and taken when it is reopened.
fn task_of_another_job(job: &Job) {
    const LIMIT: Duration = Duration::from_millis(20);
    let path = job.file("batch_task_of_another_job");
    let made = || {
        builder(job, &path)
            .worker_size(job.size)
            .tasks(1)
            .build()
            .unwrap()
    };
    let (mut one, mut other) = (made(), made());
    let task = one.next_task().unwrap().unwrap();
    for again in [
        Again::default(),
        Again {
            running: true,
            failed: true,
            done: true,
        },
    ] {
        assert!(other.next_task_with(again).unwrap().is_none());
    }
    let summary = other.for_each(|_, _| Err("it is the other's")).unwrap();
    assert_eq!((summary.running, summary.open), (1, 0));
    assert_eq!(other.state(0).unwrap(), State::Running);
    for state in [State::Done, State::Open] {
        let error = other.set_state(0, state).unwrap_err();
        assert!(
            matches!(error, BatchError::Directory(DirectoryError::Taken { .. })),
            "{error:?}"
        );
    }
    let late = other.wait_all_timeout(LIMIT).unwrap_err();
    assert!(matches!(late, BatchError::Timeout { .. }), "{late:?}");
    job.world.barrier();
    task.reopen().unwrap();
    job.world.barrier();
    assert_eq!(other.wait_all().unwrap().open, 1);
    let task = other.next_task().unwrap().unwrap();
    assert_eq!(task.was(), State::Open);
    task.done().unwrap();
    job.world.barrier();
    assert!(one.next_task().unwrap().is_none());
    assert_eq!(one.wait_all().unwrap().done, 1);
    job.world.barrier();
}

/// pshmem writes states and makes no claims: its running tasks are left alone unless they are
/// requested or old.
fn directory_from_pshmem(job: &Job) {
    let path = job.file("batch_from_pshmem");
    let all = [
        State::Open,
        State::Running,
        State::Done,
        State::Failed,
        State::Invalid,
    ];
    if job.rank == 0 {
        for (task, state) in all.iter().enumerate() {
            let folder = path.join(task.to_string());
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("state"), format!("{state}\n")).unwrap();
        }
    }
    job.world.barrier();
    let made = || builder(job, &path).worker_size(job.size).tasks(5);
    let mut batch = made().build().unwrap();
    // The invalid task is opened.
    assert_eq!(run_all(&mut batch), [0, 4]);
    job.world.barrier();
    let summary = batch.summary().unwrap();
    assert_eq!((summary.done, summary.failed, summary.running), (3, 1, 1));
    let again = Again {
        running: true,
        ..Again::default()
    };
    let task = batch.next_task_with(again).unwrap().unwrap();
    assert_eq!((task.index(), task.was()), (1, State::Running));
    task.reopen().unwrap();
    job.world.barrier();
    if job.rank == 0 {
        fs::write(path.join("1").join("state"), "RUNNING\n").unwrap();
    }
    job.world.barrier();
    let mut batch = made()
        .stale_after(Duration::from_millis(400))
        .build()
        .unwrap();
    assert_eq!(batch.wait_all().unwrap().open, 1);
    assert_eq!(run_all(&mut batch), [1]);
    assert_eq!(batch.wait_all().unwrap().done, 4);
    job.world.barrier();
}
