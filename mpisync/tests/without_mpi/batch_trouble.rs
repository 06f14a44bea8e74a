//! Batches whose file system is full, has no inodes left, or is read-only. The file systems are
//! real and small: each test runs again in a process with its own mounts, as root of this machine
//! or of a user namespace.

use mpisync::Batch;
use mpisync::batch::directory::DirectoryError;
use mpisync::batch::{BatchError, State};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the file system of the process with mounts of its own is.
const PLACE: &str = "TEST_SMALL_FILE_SYSTEM";

/// Runs `test` with a mounted file system with these options.
fn on(name: &str, options: &str, test: impl FnOnce(&Path)) {
    if let Some(place) = std::env::var_os(PLACE) {
        return test(&PathBuf::from(place).join("states"));
    }
    let place = std::env::temp_dir().join(format!("mpisync-{name}-{}", std::process::id()));
    fs::create_dir_all(&place).expect("there is room");
    let this = std::env::current_exe().expect("it runs");
    let script = format!(
        "mount -t tmpfs -o {options} tmpfs \"${PLACE}\" && exec \"$0\" --exact batch_trouble::{name} --nocapture"
    );
    let mut unshare = Command::new("unshare");
    unshare.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    unshare.args(["sh", "-c", &script]).arg(this);
    let ended = unshare.env(PLACE, &place).output();
    let _nobody_minds = fs::remove_dir(&place);
    let ended = ended.expect("there is unshare (util-linux)");
    let (out, errors) = (ended.stdout, ended.stderr);
    let said = [
        String::from_utf8_lossy(&out),
        String::from_utf8_lossy(&errors),
    ]
    .concat();
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

fn made(path: &Path, tasks: usize) -> Batch {
    let builder = Batch::local().tasks(tasks).state_dir(path);
    builder.durable(false).build().expect("there is room")
}

/// Writes until the file system is full.
fn fill(path: &Path) -> PathBuf {
    let filler = path.with_file_name("filler");
    let error = fs::write(&filler, vec![0; 1 << 20]).expect_err("there is less room");
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    filler
}

#[track_caller]
fn is_told<T: std::fmt::Debug>(outcome: Result<T, BatchError>, words: &[&str]) {
    match outcome.expect_err("it cannot be written") {
        BatchError::FileSystem { rank: 0, error } => {
            let said = error.to_string();
            for word in words {
                assert!(said.contains(word), "{word} in {said}");
            }
        }
        other => panic!("{other:?}"),
    }
}

/// The remaining tasks run as soon as there is space.
fn goes_on(batch: &mut Batch, left: u64) {
    let mut ran = 0;
    let ended = batch.for_each(|_, _| {
        ran += 1;
        Ok::<(), String>(())
    });
    ended
        .expect("there is room")
        .all_done()
        .expect("all of them can be run");
    assert_eq!(ran, left);
    assert!(batch.problems().is_empty());
}

#[test]
fn a_full_file_system_spoils_no_task() {
    on("a_full_file_system_spoils_no_task", "size=256k", |path| {
        let mut batch = made(path, 10);
        let task = batch.next_task().expect("no error").expect("a task");
        let filler = fill(path);
        is_told(
            task.done(),
            &["No space left", "states/0/state", "run again"],
        );
        for _ in 0..20 {
            is_told(batch.next_task(), &["No space left", "states/0/claim.2"]);
        }
        is_told(batch.for_each(|_, _| Ok::<(), String>(())), &["No space"]);
        let summary = batch.summary().expect("it is in memory");
        assert_eq!((summary.open, summary.invalid), (10, 0));
        assert_eq!(batch.problems().len(), 0);
        fs::remove_file(filler).expect("it is there");
        let task = batch.next_task().expect("no error").expect("a task");
        assert_eq!((task.index(), task.was()), (0, State::Running));
        task.done().expect("there is room");
        // A dropped task reports no error.
        let task = batch.next_task().expect("no error").expect("a task");
        let filler = fill(path);
        drop(task);
        assert!(matches!(batch.problems()[..], [DirectoryError::Io { .. }]));
        let error = Batch::local().tasks(20).state_dir(path).build();
        let error = error.expect_err("there is no room for the folders");
        assert!(error.to_string().contains("No space left"), "{error}");
        fs::remove_file(filler).expect("it is there");
        drop(batch);
        goes_on(&mut made(path, 10), 9);
    });
}

#[test]
fn a_file_system_without_inodes_spoils_no_task() {
    let name = "a_file_system_without_inodes_spoils_no_task";
    on(name, "nr_inodes=40", |path| {
        let mut batch = made(path, 10);
        let folder = path.with_file_name("fillers");
        fs::create_dir(&folder).expect("there is room");
        let fillers = (0..).map_while(|number| {
            let filler = folder.join(number.to_string());
            fs::write(&filler, "").ok().map(|()| filler)
        });
        let fillers: Vec<PathBuf> = fillers.collect();
        is_told(batch.next_task(), &["No space left", "states/0/claim.1"]);
        let summary = batch.summary().expect("it is in memory");
        assert_eq!((summary.open, summary.invalid), (10, 0));
        for filler in &fillers {
            fs::remove_file(filler).expect("it is there");
        }
        goes_on(&mut batch, 10);
    });
}

#[test]
fn a_file_system_that_may_not_be_written_spoils_no_task() {
    let name = "a_file_system_that_may_not_be_written_spoils_no_task";
    on(name, "size=1m", |path| {
        let mut batch = made(path, 10);
        let remount = |how: &str| {
            let mount = Command::new("mount")
                .args(["-o", &format!("remount,{how}")])
                .arg(path.parent().expect("it has one"))
                .status();
            assert!(mount.expect("there is mount").success());
        };
        let task = batch.next_task().expect("no error").expect("a task");
        task.done().expect("it can be written");
        // The claim of a running task is open for writing, which would prevent a read-only remount.
        remount("ro");
        is_told(batch.next_task(), &["may not create", "states/1/claim.1"]);
        // The existing states can be read, also by another batch.
        let other = made(path, 10);
        assert_eq!(other.summary().expect("it is in memory").done, 1);
        drop(other);
        remount("rw");
        goes_on(&mut batch, 9);
    });
}

/// It is replaced by a file, made anew, or made unsearchable.
#[test]
fn a_directory_that_is_replaced_spoils_no_task() {
    let name = "a_directory_that_is_replaced_spoils_no_task";
    on(name, "size=1m", |path| {
        let mut batch = made(path, 10);
        let task = batch.next_task().expect("no error").expect("a task");
        fs::remove_dir_all(path).expect("it is there");
        fs::write(path, "of somebody").expect("there is room");
        is_told(task.done(), &["states/0"]);
        is_told(batch.next_task(), &["states/0", "is not there"]);
        assert_eq!(fs::read_to_string(path).expect("a file"), "of somebody");
        fs::remove_file(path).expect("it is there");
        drop(made(path, 10));
        is_told(batch.next_task(), &["states/0", "is not there"]);
        let summary = batch.summary().expect("it is in memory");
        assert_eq!((summary.open, summary.invalid), (10, 0));
        drop(batch);
        goes_on(&mut made(path, 10), 10);
    });
}

/// One known task is gone, and the others exist.
#[test]
fn a_folder_that_is_gone_makes_one_task_invalid() {
    let name = "a_folder_that_is_gone_makes_one_task_invalid";
    on(name, "size=1m", |path| {
        let mut batch = made(path, 10);
        fs::remove_dir_all(path.join("3")).expect("it is there");
        let ended = batch.for_each(|_, _| Ok::<(), String>(()));
        let ended = ended.expect("the others can be run");
        assert_eq!((ended.done, ended.invalid), (9, 1));
        let error = ended.all_done().expect_err("one is not");
        assert!(error.to_string().contains("1 invalid"), "{error}");
        let problems = batch.problems();
        assert!(
            matches!(&problems[..], [DirectoryError::Missing { path }] if path.ends_with("3")),
            "{problems:?}"
        );
    });
}
