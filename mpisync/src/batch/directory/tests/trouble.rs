//! A file system that is full, is gone, or differs between hosts.

use crate::batch::directory::DirectoryError;
use crate::batch::directory::tests::*;

#[test]
fn who_cannot_write_gives_the_task_back_at_once() {
    let scratch = Scratch::with_tasks(1);
    let (job, other) = (scratch.job(), scratch.job());
    let (claim, _) = mine(job.claim(0, NONE).expect("it is open"));
    let number = claim.number;
    claim.withdraw();
    let error = other.claimant(0).expect("it is read");
    assert_eq!(error, None);
    let (next, was) = mine(other.claim(0, NONE).expect("it is that of a dead job"));
    assert_eq!((was, next.number), (State::Running, number + 1));
    let lost = claim.settle(State::Done, None).expect_err("it is lost");
    assert!(matches!(lost, DirectoryError::Lost { .. }), "{lost}");
    next.settle(State::Done, None).expect("it is that job's");
}

#[test]
fn only_what_is_in_its_folder_is_about_a_task() {
    let scratch = Scratch::with_tasks(2);
    let job = scratch.job();
    assert!(job.flaw(0).is_none());
    fs::remove_dir_all(scratch.path("task_000")).expect("it is there");
    let error = job.claim(0, NONE).expect_err("no folder");
    assert!(job.is_flaw(0, &error), "{error}");
    let io =
        |errno: rustix::io::Errno| DirectoryError::io(&scratch.path("task_001"), "write", errno);
    for errno in [
        rustix::io::Errno::NOSPC,
        rustix::io::Errno::ROFS,
        rustix::io::Errno::ACCESS,
        rustix::io::Errno::IO,
        rustix::io::Errno::STALE,
        rustix::io::Errno::MFILE,
        rustix::io::Errno::DQUOT,
        rustix::io::Errno::FBIG,
    ] {
        assert!(!job.is_flaw(1, &io(errno)), "{errno}");
    }
    // The same text if everything is gone.
    fs::remove_dir_all(&scratch.0).expect("it is there");
    let error = job.claim(1, NONE).expect_err("no folder");
    assert!(matches!(error, DirectoryError::Missing { .. }), "{error}");
    assert!(!job.is_flaw(1, &error), "{error}");
    // Its replacement is not written to.
    Directory::create(&scratch.0, &names(2), quick()).expect("there is room");
    job.claim(1, NONE).expect_err("it is another one");
    assert_eq!(scratch.files("task_001"), ["state"]);
}

#[test]
fn the_tasks_are_those_of_the_directory_that_was_opened() {
    let (scratch, elsewhere) = (Scratch::with_tasks(1), Scratch::new());
    let job = scratch.job();
    let aside = elsewhere.path("aside");
    fs::rename(&scratch.0, &aside).expect("one file system");
    Directory::create(&scratch.0, &names(1), quick()).expect("there is room");
    job.set(0, State::Done).expect("nobody has it");
    let found = |path: &Path| fs::read_to_string(path.join("task_000/state")).ok();
    assert_eq!(found(&aside).as_deref(), Some("DONE\n"));
    assert_eq!(found(&scratch.0).as_deref(), Some("OPEN\n"));
}

#[test]
fn a_directory_is_known_by_its_marker() {
    let (scratch, elsewhere) = (Scratch::with_tasks(1), Scratch::with_tasks(1));
    let job = scratch.job();
    let marker = job
        .mark()
        .expect("there is room")
        .expect("it can be written");
    let look = |root: &Path| {
        let other = Directory::join(root, names(1), quick());
        other.check_marker(marker.number())
    };
    look(&scratch.0).expect("it is the same");
    let error = look(&elsewhere.0).expect_err("it is another one");
    let words = error.to_string();
    assert!(
        matches!(error, DirectoryError::OtherDirectory { found: None, .. }),
        "{words}"
    );
    assert!(words.contains("/tmp"), "{words}");
    let error = look(&elsewhere.path("nowhere")).expect_err("there is none");
    assert!(error.to_string().contains("is not there"), "{error}");
    assert_eq!(scratch.job().names(), ["task_000"]);
    let number = marker.number();
    drop(marker);
    job.check_marker(number).expect_err("it is gone");
    let left = fs::read_dir(&scratch.0).expect("it is there").count();
    assert_eq!(left, 1);
}

/// A task of a dead job, another one of pshmem, and a job that can claim both, but not begin.
fn blocked_by_reasons() -> (Scratch, Directory) {
    let scratch = Scratch::with_tasks(2);
    scratch.write("task_000/claim.1", "");
    scratch.set_back("task_000/claim.1");
    for task in ["task_000", "task_001"] {
        scratch.write(&format!("{task}/state"), "RUNNING\n");
        fs::create_dir(scratch.path(task).join("reason")).expect("there is room");
    }
    let job = scratch.job();
    (scratch, job)
}

#[test]
fn the_task_of_a_dead_job_is_still_that_after_an_error() {
    type Try = fn(&Directory, usize);
    let fails: [Try; 3] = [
        |job, task| drop(job.claim(task, ALL).expect_err("the reason stays")),
        |job, task| drop(job.set(task, State::Open).expect_err("the reason stays")),
        |job, task| {
            let is_set = job.set_if(task, State::Open, |_| false);
            assert!(!is_set.expect("it is looked at"));
        },
    ];
    for fail in fails {
        let (scratch, job) = blocked_by_reasons();
        fail(&job, 0);
        fail(&job, 1);
        for task in ["task_000", "task_001"] {
            fs::remove_dir(scratch.path(task).join("reason")).expect("it is there");
        }
        let (claim, was) = mine(job.claim(0, NONE).expect("it is that of a dead job"));
        assert_eq!((was, claim.number), (State::Running, 3));
        // A task that runs without a claim may still do so.
        let by = taken(job.claim(1, NONE).expect("it is young"));
        assert!(by.is_none(), "{by:?}");
    }
}
