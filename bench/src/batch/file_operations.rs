//! The file operations that mpisync performs for a task in a state directory, without mpisync.
//!
//! They are those in the table of mpisync's module `batch::directory::claim`, in the same order,
//! without any check of other jobs. The ranks share the tasks by incrementing a number in shared
//! memory.

use std::sync::atomic::{AtomicU64, Ordering};

use ::mpisync::batch::State;
use ::mpisync::batch::directory::{Directory, Options};
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, Mode, OFlags, Timespec, Timestamps, fstat, fsync, futimens, linkat, open, openat,
    renameat, statat, unlinkat,
};
use rustix::io::{Errno, read, write};

use super::Case;
use super::folders::Folders;
use super::passes::Tasks;
use crate::memory::Shared;

/// About as many bytes as mpisync writes into a claim.
const CLAIM: [u8; 100] = [b'x'; 100];

/// About as long as the temporary name of a claim in mpisync.
const TEMPORARY: &str = ".claim.host.12345.0123456789abcdef";

const CLOEXEC: OFlags = OFlags::CLOEXEC;
const CREATED: Mode = Mode::from_raw_mode(0o666);

/// The tasks of one round, in files.
pub struct FileOperations<'a> {
    case: Case,
    world: &'a SimpleCommunicator,
    made: Option<Made>,
}

struct Made {
    directory: Directory,
    root: OwnedFd,
    folders: Vec<Folder>,
    /// The number of tasks taken.
    taken: Shared<u64>,
}

/// The folder of a task.
struct Folder {
    name: String,
}

impl<'a> FileOperations<'a> {
    /// Without tasks.
    pub fn new(case: Case, world: &'a SimpleCommunicator) -> Self {
        Self {
            case,
            world,
            made: None,
        }
    }

    fn is_durable(&self) -> bool {
        self.case.durable() == Some(true)
    }

    fn made(&self) -> &Made {
        self.made.as_ref().expect("they were made")
    }
}

impl Tasks for FileOperations<'_> {
    fn make(&mut self, folders: Option<&Folders>) {
        let root = folders.expect("the case is one of files").root();
        let options = Options::default().durable(self.is_durable());
        if self.world.rank() == 0 {
            let tasks = self.case.tasks();
            // Named as in mpisync.
            let width = (tasks - 1).to_string().len();
            let names: Vec<String> = (0..tasks).map(|task| format!("{task:0width$}")).collect();
            Directory::create(root, &names, options.clone()).expect("folders can be made");
        }
        self.world.barrier();
        let directory = Directory::open(root, options).expect("the folders are there");
        let folders = directory
            .names()
            .iter()
            .map(|name| Folder { name: name.clone() });
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | CLOEXEC;
        self.made = Some(Made {
            folders: folders.collect(),
            root: open(root, flags, Mode::empty()).expect("it is there"),
            directory,
            taken: Shared::new(self.world),
        });
    }

    fn run(&mut self) -> u64 {
        let made = self.made();
        let durable = self.is_durable();
        // SAFETY: it is aligned and lives as long as `made`, and every rank accesses it like this.
        let next = unsafe { AtomicU64::from_ptr(made.taken.as_ptr()) };
        let take = || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            made.folders.get(number as usize)
        };
        let mut taken = 0;
        while let Some(task) = take() {
            task.run(&made.root, durable)
                .expect("the files can be written");
            taken += 1;
        }
        taken
    }

    fn done(&mut self) -> u64 {
        let directory = &self.made().directory;
        let states = (0..self.case.tasks()).map(|task| directory.state(task));
        states
            .filter(|state| matches!(state, Ok(State::Done)))
            .count() as u64
    }

    fn discard(&mut self) {
        if let Some(made) = self.made.take() {
            made.taken.free();
        }
    }
}

impl Folder {
    /// Performs all operations for a task, in the order of the table.
    fn run(&self, root: &OwnedFd, durable: bool) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | CLOEXEC;
        let folder = openat(root, &self.name, flags, Mode::empty())?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | CLOEXEC;
        let state = openat(&folder, "state", flags, Mode::empty())?;
        fstat(&state)?;
        let mut word = [0; 256];
        let length = read(&state, &mut word)?;
        assert_eq!(&word[..length], b"OPEN\n");
        drop(state);

        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | CLOEXEC;
        let claim = openat(&folder, TEMPORARY, flags, CREATED)?;
        write(&claim, &CLAIM)?;
        linkat(&folder, TEMPORARY, &folder, "claim.1", AtFlags::empty())?;
        unlinkat(&folder, TEMPORARY, AtFlags::empty())?;

        replace_state(&folder, b"RUNNING\n", durable)?;
        let later = statat(&folder, "claim.2", AtFlags::empty());
        assert_eq!(later.err(), Some(Errno::NOENT));
        replace_state(&folder, b"DONE\n", durable)?;
        if durable {
            fsync(&folder)?;
        }

        let oldest = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: oldest,
            last_modification: oldest,
        };
        futimens(&claim, &times)
    }
}

fn replace_state(folder: &OwnedFd, word: &[u8], durable: bool) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | CLOEXEC;
    let state = openat(folder, TEMPORARY, flags, CREATED)?;
    write(&state, word)?;
    if durable {
        fsync(&state)?;
    }
    drop(state);
    renameat(folder, TEMPORARY, folder, "state")
}
