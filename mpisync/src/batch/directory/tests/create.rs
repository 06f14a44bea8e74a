//! Making directories, and opening existing ones.

use crate::batch::directory::DirectoryError;
use crate::batch::directory::file::move_to_new;
use crate::batch::directory::tests::*;
use std::sync::Arc;
use std::thread;

#[track_caller]
fn refused(names: &[&str]) -> DirectoryError {
    let scratch = Scratch::new();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let root = scratch.path("batch");
    let error = Directory::create(&root, &names, quick()).expect_err("no such names");
    assert!(!root.exists(), "nothing is made");
    error
}

#[test]
fn names_that_no_folder_can_have_are_refused() {
    let long = "x".repeat(256);
    for name in ["", ".", "..", ".hidden", "a/b", "/", "a\0b", &long] {
        let error = refused(&["fine", name]);
        assert!(matches!(&error, DirectoryError::Name { name: found, .. } if found == name));
        assert!(error.to_string().contains("rename"), "{error}");
    }
    let error = refused(&["a", "b", "a"]);
    assert!(
        matches!(&error, DirectoryError::NameTwice { name } if name == "a"),
        "{error}"
    );
    let scratch = Scratch::new();
    let fine = [
        "x".repeat(255),
        "a b".to_owned(),
        "ä.1".to_owned(),
        "state".to_owned(),
    ];
    Directory::create(&scratch.0, &fine, quick()).expect("folders can have these");
}

#[test]
fn what_is_missing_is_made_and_the_rest_stays() {
    let scratch = Scratch::new();
    let root = scratch.path("above/batch");
    for durable in [true, false] {
        let made = Directory::create(&root, &names(7), Options::default().durable(durable));
        let made = made.expect("there is room");
        assert_eq!(made.root(), root);
        assert_eq!(made.summary().expect("it is there").open, 7);
    }
    let file = |name: &str| format!("above/batch/{name}");
    fs::remove_file(scratch.path(file("task_000/state"))).expect("it is there");
    fs::remove_dir_all(scratch.path(file("task_001"))).expect("it is there");
    let kept = [
        ("task_002", "DONE\n"),
        ("task_003", "RUNNING\n"),
        ("task_004", "FAILED\n"),
        ("task_005", "?"),
    ];
    for (task, text) in kept {
        scratch.write(&file(&format!("{task}/state")), text);
    }
    scratch.write(&file("task_006/state"), "INVALID\n");
    let made = Directory::create(&root, &names(7), Options::default()).expect("there is room");
    for (task, text) in kept {
        assert_eq!(
            scratch.read(&file(&format!("{task}/state"))).as_deref(),
            Some(text)
        );
    }
    for task in ["task_000", "task_001", "task_006"] {
        assert_eq!(
            scratch.read(&file(&format!("{task}/state"))).as_deref(),
            Some("OPEN\n")
        );
    }
    assert_eq!(
        made.summary().expect("it is there").to_string(),
        "1 done, 1 failed, 1 running, 3 open, 1 invalid"
    );
    assert_eq!(
        scratch.files("above/batch/task_001"),
        ["state"],
        "nothing is left over"
    );
    let states = made.states();
    assert!(matches!(states[5], Err(DirectoryError::HalfWritten { .. })));
    drop(mine(made.claim(6, NONE).expect("it is open")));
}

#[test]
fn an_invalid_task_that_another_job_has_stays_as_it_is() {
    let scratch = Scratch::with_tasks(1);
    let (claim, _) = mine(scratch.job().claim(0, NONE).expect("it is open"));
    scratch.write("task_000/state", "INVALID\n");
    Directory::create(&scratch.0, &names(1), quick()).expect("it is there");
    assert_eq!(scratch.read("task_000/state").as_deref(), Some("INVALID\n"));
    claim
        .settle(State::Invalid, None)
        .expect("it is that job's");
    Directory::create(&scratch.0, &names(1), quick()).expect("it is there");
    assert_eq!(scratch.read("task_000/state").as_deref(), Some("OPEN\n"));
}

#[test]
fn several_jobs_may_make_it_at_once() {
    let scratch = Arc::new(Scratch::new());
    for round in 0..10 {
        let root = scratch.path(format!("{round}"));
        let jobs: Vec<_> = (0..4)
            .map(|_| {
                let root = root.clone();
                thread::spawn(move || {
                    let job = Directory::create(&root, &names(20), quick()).expect("there is room");
                    // A state of one job is not overwritten by the making of another.
                    for task in 0..20 {
                        if let Claimed::Mine(claim, _) = job.claim(task, NONE).expect("it is there")
                        {
                            claim.settle(State::Done, None).expect("it is this job's");
                        }
                    }
                })
            })
            .collect();
        for job in jobs {
            job.join().expect("no panic");
        }
        let job = Directory::open(&root, quick()).expect("it is there");
        let summary = job.summary().expect("it is there");
        assert_eq!((summary.done, summary.total()), (20, 20));
        for task in 0..20 {
            let files = scratch.files(&format!("{round}/task_{task:03}"));
            assert_eq!(files, ["claim.1", "state"]);
        }
    }
}

#[test]
fn a_state_that_came_first_is_kept_with_and_without_hard_links() {
    let scratch = Scratch::with_tasks(1);
    let job = scratch.job();
    scratch.write("task_000/state", "DONE\n");
    let folder = job.shared.folder(0);
    folder
        .make_state(State::Open, ".temp")
        .expect("there is one");
    assert_eq!(scratch.read("task_000/state").as_deref(), Some("DONE\n"));
    assert_eq!(scratch.files("task_000"), ["state"]);

    let handle = File::open(scratch.path("task_000"))
        .expect("it is there")
        .into();
    scratch.write("task_000/.temp", "OPEN\n");
    let exists = move_to_new(&handle, ".temp", "state").expect_err("there is one");
    assert_eq!(exists, rustix::io::Errno::EXIST);
    assert_eq!(scratch.read("task_000/state").as_deref(), Some("DONE\n"));
    fs::remove_file(scratch.path("task_000/state")).expect("it is there");
    move_to_new(&handle, ".temp", "state").expect("there is none");
    assert_eq!(scratch.read("task_000/state").as_deref(), Some("OPEN\n"));
}

#[test]
fn what_is_no_directory_is_named() {
    let scratch = Scratch::new();
    scratch.write("file", "");
    let not_a_directory = |error: DirectoryError| match error {
        DirectoryError::NotADirectory { path } => path,
        other => panic!("{other}"),
    };
    let file = scratch.path("file");
    let create = |root: &Path| Directory::create(root, &names(1), quick());
    assert_eq!(not_a_directory(create(&file).expect_err("a file")), file);
    let below = scratch.path("file/below");
    assert_eq!(not_a_directory(create(&below).expect_err("a file")), below);
    let error = Directory::open(&file, quick()).expect_err("a file");
    assert_eq!(not_a_directory(error), file);

    scratch.write("task_000", "");
    // This concerns the task alone.
    let job = create(&scratch.0).expect("the directory is fine");
    let flaw = job.flaw(0).expect("a file");
    assert_eq!(not_a_directory(flaw), scratch.path("task_000"));
    let task = scratch.path("task_000");
    assert_eq!(not_a_directory(job.state(0).expect_err("a file")), task);
    assert_eq!(
        not_a_directory(job.claim(0, NONE).expect_err("a file")),
        task
    );
    let job = Directory::join(&file, names(1), quick());
    assert_eq!(not_a_directory(job.summary().expect_err("a file")), file);
}

#[test]
fn a_directory_that_is_not_there_is_missing() {
    let scratch = Scratch::new();
    let root = scratch.path("nowhere");
    let error = Directory::open(&root, quick()).expect_err("nothing there");
    assert!(
        matches!(&error, DirectoryError::Missing { path } if *path == root),
        "{error}"
    );
    assert!(error.to_string().contains("nowhere"));
    // Another rank reads nothing before it is needed.
    let job = Directory::join(&root, names(3), quick());
    assert_eq!(job.names().len(), 3);
    assert!(matches!(job.summary(), Err(DirectoryError::Missing { .. })));
    assert!(matches!(job.state(2), Err(DirectoryError::Missing { .. })));
}

#[test]
fn tasks_are_found_by_their_state_files() {
    let scratch = Scratch::with_tasks(2);
    scratch.write("file", "");
    fs::create_dir(scratch.path("empty")).expect("a new name");
    fs::create_dir(scratch.path(".hidden")).expect("a new name");
    scratch.write(".hidden/state", "OPEN\n");
    fs::create_dir(scratch.path("a")).expect("a new name");
    scratch.write("a/state", "??");
    assert_eq!(scratch.job().names(), ["a", "task_000", "task_001"]);
}

#[test]
fn what_is_not_allowed_says_so() {
    use rustix::io::Errno;
    let error = |errno: Errno| DirectoryError::io(Path::new("/batch/state"), "write", errno);
    for errno in [Errno::ACCESS, Errno::PERM, Errno::ROFS] {
        let error = error(errno);
        assert!(matches!(error, DirectoryError::Permission { .. }));
        assert!(
            error.to_string().contains("may not write /batch/state"),
            "{error}"
        );
    }
    let full = error(Errno::NOSPC);
    assert!(matches!(full, DirectoryError::Io { .. }));
    assert!(
        full.to_string()
            .contains("cannot write /batch/state: No space"),
        "{full}"
    );
    let _: DirectoryError = full.clone();
}

#[test]
fn a_directory_that_may_not_be_written_can_be_looked_at() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        // The superuser may do anything.
        return;
    }
    let scratch = Scratch::with_tasks(1);
    let (claim, _) = mine(scratch.job().claim(0, NONE).expect("it is open"));
    let set = |mode| {
        for path in [scratch.0.clone(), scratch.path("task_000")] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
        }
    };
    set(0o555);
    let job = scratch.job();
    assert_eq!(job.state(0).expect("it can be read"), State::Running);
    assert!(job.claimant(0).expect("it can be read").is_some());
    scratch.set_back("task_000/claim.1");
    let error = job.claim(0, NONE).expect_err("it cannot be written");
    assert!(
        matches!(error, DirectoryError::Permission { .. }),
        "{error}"
    );
    set(0o755);
    claim.settle(State::Done, None).expect("it is that job's");
}
