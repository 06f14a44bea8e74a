//! Some ranks have a failing file system and others do not: the tasks go to the others, none
//! becomes invalid, and the failing ranks get an error.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mpi::traits::*;
use mpisync::batch::directory::{Directory, DirectoryError, Options};
use mpisync::batch::{BatchError, State};
use mpisync::{Batch, CreateError};
use mpisync_tests::job::Job;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::{run_all, sizes, sum};

mpisync_tests::cases!(on [1, 2, 4]:
    directory_is_another_one_elsewhere,
    leaves_tasks_to_who_can_write,
    outcome_that_cannot_be_written,
    for_each_ends_where_nothing_can_be_written,
    numbers_keep_their_folders,
    options_that_cannot_be,
);

/// Forbids this process to write files, as `ulimit -f 0` does, or allows it again.
fn may_write(may: bool) {
    // SAFETY: a signal that is ignored runs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let limit = Rlimit {
        current: if may { None } else { Some(0) },
        maximum: None,
    };
    setrlimit(Resource::Fsize, limit).expect("the limit is set");
}

fn made(job: &Job, each: i32, tasks: usize, path: &Path) -> Batch {
    let builder = Batch::builder(&job.world).worker_size(each).tasks(tasks);
    builder.state_dir(path).durable(false).build().unwrap()
}

fn on_disk(path: &Path) -> Directory {
    Directory::open(path, Options::default()).unwrap()
}

/// A relative path that leads to another directory on the last rank, as `/tmp` does on another
/// host.
fn directory_is_another_one_elsewhere(job: &Job) {
    if job.size == 1 {
        return;
    }
    let last = job.size - 1;
    let before = std::env::current_dir().unwrap();
    for is_there in [true, false] {
        let place = |name: &str| job.file(&format!("batch_elsewhere-{name}-{is_there}"));
        let mine = place(if job.rank == last { "other" } else { "right" });
        fs::create_dir_all(&mine).unwrap();
        std::env::set_current_dir(&mine).unwrap();
        if job.rank == last && is_there {
            fs::create_dir_all("states").unwrap();
        }
        job.world.barrier();
        let builder = Batch::builder(&job.world).tasks(4).state_dir("states");
        let outcome = builder.durable(false).build();
        match outcome.unwrap_err() {
            BatchError::Directory(DirectoryError::OtherDirectory { path, found, .. })
                if job.rank == last =>
            {
                assert_eq!(path, Path::new("states"));
                assert_eq!(found.is_none(), is_there, "{found:?}");
            }
            BatchError::OtherRank { rank, found } if job.rank != last => {
                assert_eq!(rank, last);
                assert!(found.contains("share"), "{found}");
            }
            other => panic!("{other:?}"),
        }
        job.world.barrier();
        std::env::set_current_dir(&before).unwrap();
        let right = place("right").join("states");
        let names = fs::read_dir(&right).unwrap().count();
        assert_eq!(names, 4, "the sign is gone");
        // A path that all ranks share works.
        let mut batch = made(job, 1, 4, &right);
        assert_eq!(sum(job, run_all(&mut batch).len()), 4);
        job.world.barrier();
    }
}

/// The first rank of the first worker cannot write.
fn leaves_tasks_to_who_can_write(job: &Job) {
    const TASKS: usize = 40;
    for each in sizes(job) {
        let path = job.file(&format!("batch_leaves_tasks-{each}"));
        let mut batch = made(job, each, TASKS, &path);
        let in_trouble = batch.worker().number() == 0;
        if job.rank == 0 {
            may_write(false);
        }
        if in_trouble {
            for _ in 0..3 {
                match batch.next_task().unwrap_err() {
                    BatchError::FileSystem { rank: 0, error } if job.rank == 0 => {
                        let words = error.to_string();
                        assert!(words.contains("batch_leaves_tasks"), "{words}");
                        assert!(words.contains("too large"), "{words}");
                    }
                    BatchError::OtherRank { rank: 0, found } if job.rank != 0 => {
                        assert!(found.contains("rank 0 cannot use"), "{found}");
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        job.world.barrier();
        let summary = batch.summary().unwrap();
        assert_eq!((summary.open, summary.invalid), (TASKS as u64, 0));
        job.world.barrier();
        let mut ran = 0;
        if !in_trouble {
            ran = run_all(&mut batch).len();
        }
        job.world.barrier();
        if job.rank == 0 {
            may_write(true);
        }
        // Later it can write, and runs the remaining tasks.
        job.world.barrier();
        ran += run_all(&mut batch).len();
        let led = if batch.worker().rank() == 0 { ran } else { 0 };
        assert_eq!(sum(job, led), TASKS);
        batch.wait_all().unwrap().all_done().unwrap();
        assert!(batch.problems().is_empty());
        assert_eq!(on_disk(&path).summary().unwrap().done, TASKS as u64);
        job.world.barrier();
    }
}

/// A task whose outcome a rank cannot write is open for others at once.
fn outcome_that_cannot_be_written(job: &Job) {
    for fails in [false, true] {
        let path = job.file(&format!("batch_outcome-{fails}"));
        let mut batch = made(job, 1, 1, &path);
        if job.rank == 0 {
            let task = batch.next_task().unwrap().unwrap();
            may_write(false);
            let ended = match fails {
                true => task.failed("it does not matter"),
                false => task.done(),
            };
            may_write(true);
            let error = ended.unwrap_err();
            let words = error.to_string();
            assert!(
                matches!(error, BatchError::FileSystem { rank: 0, .. }),
                "{words}"
            );
            assert!(words.contains("/0/"), "{words}");
            let files: Vec<_> = fs::read_dir(path.join("0"))
                .unwrap()
                .map(|file| file.unwrap().file_name())
                .collect();
            assert_eq!(files.len(), 2, "nothing is left over: {files:?}");
        }
        job.world.barrier();
        assert_eq!(batch.state(0).unwrap(), State::Open);
        job.world.barrier();
        if job.rank == job.size - 1 {
            let task = batch.next_task().unwrap().unwrap();
            assert_eq!((task.index(), task.was()), (0, State::Running));
            task.done().unwrap();
        }
        job.world.barrier();
        // From another node the change may still be on its way.
        batch.wait_all().unwrap().all_done().unwrap();
        assert_eq!(on_disk(&path).state(0).unwrap(), State::Done);
        job.world.barrier();
    }
}

/// All ranks of that worker get an error, and the other workers run its tasks.
fn for_each_ends_where_nothing_can_be_written(job: &Job) {
    for each in sizes(job) {
        let path = job.file(&format!("batch_for_each_ends-{each}"));
        let mut batch = made(job, each, 12, &path);
        let in_trouble = batch.worker().number() == 0;
        let mut ran = 0;
        if in_trouble {
            let ended = batch.for_each(|_, worker| {
                ran += 1;
                if worker.rank() == 0 {
                    may_write(false);
                    job.scratch.raise(each as usize);
                }
                Ok::<(), String>(())
            });
            match ended.unwrap_err() {
                BatchError::FileSystem { rank: 0, .. } if job.rank == 0 => may_write(true),
                BatchError::OtherRank { rank: 0, .. } if job.rank != 0 => {}
                other => panic!("{other:?}"),
            }
            assert_eq!(ran, 1);
        } else {
            job.scratch.wait_for(each as usize);
            let ended = batch.for_each(|_, _| {
                ran += 1;
                Ok::<(), String>(())
            });
            ended.unwrap().all_done().unwrap();
        }
        job.world.barrier();
        let is_left = batch.n_workers() == 1;
        let not_done = batch.summary().unwrap().all_done();
        assert_eq!(not_done.is_err(), is_left, "{not_done:?}");
        job.world.barrier();
    }
}

fn numbers_keep_their_folders(job: &Job) {
    let path = job.file("batch_numbers");
    assert_eq!(sum(job, run_all(&mut made(job, 1, 10, &path)).len()), 10);
    job.world.barrier();
    let mut batch = made(job, 1, 11, &path);
    for (task, name) in [(0, "0"), (9, "9"), (10, "10")] {
        assert_eq!(batch.name(task).unwrap(), name);
    }
    assert_eq!(sum(job, run_all(&mut batch).len()), 1);
    job.world.barrier();
    // Both directories, as they were made.
    if job.rank == 0 {
        fs::create_dir(path.join("00")).unwrap();
        fs::write(path.join("00").join("state"), "DONE\n").unwrap();
    }
    job.world.barrier();
    let builder = Batch::builder(&job.world).tasks(11).state_dir(&path);
    match builder.durable(false).build().unwrap_err() {
        BatchError::Directory(DirectoryError::Numbering {
            one: 1, other: 2, ..
        }) if job.rank == 0 => {}
        BatchError::OtherRank { rank: 0, .. } if job.rank != 0 => {}
        other => panic!("{other:?}"),
    }
    job.world.barrier();
}

fn options_that_cannot_be(job: &Job) {
    let path = job.file("batch_options");
    let builder = Batch::builder(&job.world).tasks(3).state_dir(&path);
    match builder.stale_after(Duration::ZERO).build().unwrap_err() {
        BatchError::Directory(DirectoryError::StaleAfter { .. }) if job.rank == 0 => {}
        BatchError::OtherRank { rank: 0, found } if job.rank != 0 => {
            assert!(found.contains("stale_after"), "{found}");
        }
        other => panic!("{other:?}"),
    }
    let builder = Batch::builder(&job.world).state_dir(&path);
    let outcome = builder.tasks(Directory::MAX_TASKS + 1).build();
    let error = outcome.unwrap_err();
    assert!(
        matches!(
            error,
            BatchError::Create(CreateError::TooManyTasks {
                most: Directory::MAX_TASKS,
                ..
            })
        ),
        "{error:?}"
    );
    assert!(!path.exists());
    job.world.barrier();
}
