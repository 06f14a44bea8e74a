//! What mpisync asks of the file system for a task in a state directory, and nothing else.
//!
//! These are the operations in the table of mpisync's module `batch::directory::claim`, one after the other, without a look
//! at what others do. Ranks share the tasks by a number in memory that they count up.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use ::mpisync::batch::State;
use ::mpisync::batch::directory::{Directory, Options};
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use super::Case;
use super::folders::Folders;
use super::passes::Tasks;
use crate::memory::Shared;

/// As many bytes as mpisync writes to say who has a task.
const CLAIM: &[u8; 130] = &[b'x'; 130];

/// Tasks in files, while there are any.
pub struct FileOperations<'a> {
    case: Case,
    world: &'a SimpleCommunicator,
    made: Option<Made>,
}

struct Made {
    directory: Directory,
    folders: Vec<Folder>,
    /// How many tasks were taken.
    taken: Shared<u64>,
}

/// The paths of a task.
struct Folder {
    folder: PathBuf,
    state: PathBuf,
}

impl<'a> FileOperations<'a> {
    /// None yet.
    pub fn new(case: Case, world: &'a SimpleCommunicator) -> Self {
        Self {
            case,
            world,
            made: None,
        }
    }

    fn made(&self) -> &Made {
        self.made.as_ref().expect("they were made")
    }
}

impl Tasks for FileOperations<'_> {
    fn make(&mut self, folders: Option<&Folders>) {
        let root = folders.expect("the case is one of files").root();
        let names: Vec<String> = (0..self.case.tasks())
            .map(|task| format!("{task:04}"))
            .collect();
        let options = Options::default().durable(self.case.durable() == Some(true));
        if self.world.rank() == 0 {
            Directory::create(root, &names, options.clone()).expect("folders can be made");
        }
        self.world.barrier();
        self.made = Some(Made {
            directory: Directory::open(root, options).expect("the folders are there"),
            folders: names
                .iter()
                .map(|name| Folder {
                    folder: root.join(name),
                    state: root.join(name).join("state"),
                })
                .collect(),
            taken: Shared::new(self.world),
        });
    }

    fn run(&mut self) -> u64 {
        let made = self.made();
        let durable = self.case.durable() == Some(true);
        // SAFETY: it is aligned, is there as long as `made`, and every rank reaches it like this.
        let next = unsafe { AtomicU64::from_ptr(made.taken.as_ptr()) };
        let mut taken = 0;
        while let Some(task) = made
            .folders
            .get(next.fetch_add(1, Ordering::Relaxed) as usize)
        {
            task.run(durable).expect("the files can be written");
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
    /// All that is done for a task, in the order of the table.
    fn run(&self, durable: bool) -> Result<(), Errno> {
        use rustix::fs::{fsync, futimens, open, openat, renameat, statat};
        use rustix::io::{read, write};
        let (private, create) = (OFlags::CLOEXEC, Mode::from_raw_mode(0o666));
        let write_state = |folder: &rustix::fd::OwnedFd, state: &[u8]| {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | private;
            let file = openat(folder, "state.temp", flags, create)?;
            write(&file, state)?;
            if durable {
                fsync(&file)?;
            }
            drop(file);
            renameat(folder, "state.temp", folder, "state")
        };

        let file = open(&self.state, OFlags::RDONLY | private, Mode::empty())?;
        let mut state = [0; 256];
        let length = read(&file, &mut state)?;
        assert_eq!(&state[..length], b"OPEN\n");
        drop(file);

        let flags = OFlags::RDONLY | OFlags::DIRECTORY | private;
        let folder = open(&self.folder, flags, Mode::empty())?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | private;
        let claim = openat(&folder, "claim.1", flags, create)?;
        write(&claim, CLAIM)?;

        write_state(&folder, b"RUNNING\n")?;
        let later = statat(&folder, "claim.2", AtFlags::empty());
        assert_eq!(later.err(), Some(Errno::NOENT));
        write_state(&folder, b"DONE\n")?;
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
