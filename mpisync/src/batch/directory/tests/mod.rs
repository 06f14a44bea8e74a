//! Directories on a file system, used by several jobs: each is a `Directory` of its own.

mod claimant;
mod create;
mod dead;
mod heartbeat;
mod model;
mod outside;
mod overtaken;
mod protocol;
mod race;
mod state;
pub(super) mod steps;
mod strange;
mod trouble;

use crate::batch::State;
use crate::batch::directory::{Again, Claim, Claimant, Claimed, Directory, Options};
use std::fs;
use std::fs::{File, FileTimes};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

const NONE: Again = Again {
    running: false,
    failed: false,
    done: false,
};

const ALL: Again = Again {
    running: true,
    failed: true,
    done: true,
};

/// A directory that is removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("mpisync-batch-{}-{serial}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new name");
        Scratch(path)
    }

    /// A directory with a batch of this many tasks.
    fn with_tasks(tasks: usize) -> Self {
        let scratch = Self::new();
        Directory::create(&scratch.0, &names(tasks), quick()).expect("there is room");
        scratch
    }

    fn path(&self, file: impl AsRef<Path>) -> PathBuf {
        self.0.join(file)
    }

    fn write(&self, file: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(file), contents).expect("there is room");
    }

    fn read(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.path(file)).ok()
    }

    /// Puts a directory in the place of a file, so that nothing can be written there.
    fn block(&self, file: &str) {
        fs::remove_file(self.path(file)).expect("it is there");
        fs::create_dir(self.path(file)).expect("there is room");
    }

    fn unblock(&self, file: &str, contents: &str) {
        fs::remove_dir(self.path(file)).expect("it is there");
        self.write(file, contents);
    }

    /// A further job on the same directory.
    fn job(&self) -> Directory {
        self.job_with(quick())
    }

    fn job_with(&self, options: Options) -> Directory {
        Directory::open(&self.0, options).expect("it is there")
    }

    /// Makes a file look as if it was last changed an hour ago.
    fn set_back(&self, file: impl AsRef<Path>) {
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        self.set_time(file, hour_ago);
    }

    fn set_time(&self, file: impl AsRef<Path>, time: SystemTime) {
        let file = File::options().write(true).open(self.path(file));
        let times = FileTimes::new().set_modified(time);
        file.and_then(|file| file.set_times(times))
            .expect("it is there");
    }

    fn time(&self, file: &str) -> SystemTime {
        let modified = fs::metadata(self.path(file)).and_then(|file| file.modified());
        modified.expect("it is there")
    }

    /// All files of a task, in order.
    fn files(&self, task: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(task)).expect("it is there");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("it is read").file_name())
            .map(|name| name.into_string().expect("names are text"))
            .collect();
        names.sort_unstable();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Options for tests, which need not survive a failure of the machine.
fn quick() -> Options {
    Options::default().durable(false)
}

fn names(tasks: usize) -> Vec<String> {
    (0..tasks).map(|task| format!("task_{task:03}")).collect()
}

#[track_caller]
fn mine(claimed: Claimed) -> (Claim, State) {
    match claimed {
        Claimed::Mine(claim, was) => (claim, was),
        other => panic!("it should be free, and is {other:?}"),
    }
}

#[track_caller]
fn over(claimed: Claimed) -> State {
    match claimed {
        Claimed::Over(state) => state,
        other => panic!("it should be over, and is {other:?}"),
    }
}

#[track_caller]
fn taken(claimed: Claimed) -> Option<Claimant> {
    match claimed {
        Claimed::Taken(by) => by,
        other => panic!("it should be taken, and is {other:?}"),
    }
}
