//! The side of the ranks: the victim has the fault, and the others answer with what they get.

use std::any::Any;
use std::fmt::Debug;
use std::fs;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::{self, ExitCode};
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpisync::Barrier;
use mpisync_tests::job::remove_mapped_files;
use mpisync_tests::outcome;
use mpisync_tests::scratch::{Scratch, until};
use mpisync_tests::signals::{Signal, send};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::fault::{Failure, Fault, STOPPED};
use crate::table::{GOES_ON, TABLE};

/// The ranks of a job.
pub const RANKS: usize = 4;

/// The rank that has the fault.
pub const VICTIM: i32 = RANKS as i32 - 1;

/// The verdict of the victim.
pub const STRUCK: &str = "struck";

/// The verdict of a rank whose outcome does not count.
pub const BYSTANDER: &str = "bystander";

/// Waits indefinitely, and returns failures as errors.
pub const FOREVER: Duration = Duration::MAX;

/// How long the others have to get into their waits before the fault.
const HEAD_START: Duration = Duration::from_millis(100);

// Words of scratch memory.
const READY: usize = 0;
const PROCESS: usize = 1;
const TIME: usize = 2;

/// What a rank knows of its cell.
pub struct Cell {
    /// All ranks.
    pub world: SimpleCommunicator,
    /// This rank in `world`.
    pub rank: i32,
    fault: Fault,
    situation: String,
    scratch: Scratch,
    directory: PathBuf,
    /// Where a victim is that is elsewhere. On a communicator of its own.
    elsewhere: Option<(SimpleCommunicator, Barrier)>,
}

/// Runs a rank of a cell: `DIRECTORY SITUATION FAULT`. It ends as a user's `main` does.
pub fn main(arguments: &[String]) -> ExitCode {
    let [directory, situation, fault] = arguments else {
        panic!("a directory, a situation and a fault are named");
    };
    let row = TABLE.iter().find(|row| row.name == situation);
    let row = row.expect("the situation is in the table");
    let fault = Fault::named(fault).expect("the fault has this name");
    forbid_core_dumps();
    let universe = mpisync::initialize().expect("MPI is initialized once");
    let cell = Cell::new(universe.world(), directory.into(), situation, fault);
    let run = || (row.run)(&cell);
    let outcome = if cell.is_victim() {
        run()
    } else {
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| cell.tell_panic(panic.as_ref()))
    };
    match outcome {
        Ok(()) => cell.rest(),
        Err(error) => {
            eprintln!("rank {}: {error:#}", cell.rank);
            ExitCode::FAILURE
        }
    }
}

impl Cell {
    fn new(world: SimpleCommunicator, directory: PathBuf, situation: &str, fault: Fault) -> Self {
        let elsewhere = (fault == Fault::Elsewhere).then(|| {
            let comm = world.duplicate();
            let barrier = Barrier::new(&comm).expect("all ranks make it");
            (comm, barrier)
        });
        let cell = Cell {
            rank: world.rank(),
            world,
            fault,
            situation: situation.to_owned(),
            scratch: Scratch::map(&directory.join("scratch")).expect("the file is mapped"),
            directory,
            elsewhere,
        };
        if fault == Fault::Stop && cell.rank == 0 {
            cell.resume_victim();
        }
        cell
    }

    /// Whether this rank has the fault.
    pub fn is_victim(&self) -> bool {
        self.rank == VICTIM
    }

    /// Waits until the victim has what it holds in this situation.
    pub fn await_victim(&self) {
        self.scratch.wait_for(READY);
    }

    /// Waits until the victim has its fault, and a moment longer.
    pub fn await_fault(&self) {
        until("the fault", || self.scratch.is_raised(TIME));
        thread::sleep(HEAD_START);
    }

    /// A file of this job.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The victim has its fault, and holds nothing. Returns if it goes on as if nothing had happened.
    ///
    /// # Errors
    /// The victim's own.
    pub fn strike(&self) -> Result<(), Failure> {
        self.strike_with(())
    }

    /// The same while it holds `guard`, which it then returns.
    ///
    /// # Errors
    /// The victim's own.
    pub fn strike_with<G>(&self, guard: G) -> Result<G, Failure> {
        self.strike_or(guard, || {
            let (_, barrier) = self.elsewhere.as_ref().expect("made for this fault");
            let _ = barrier.wait_timeout(FOREVER);
        })
    }

    /// The same, and lets go of `guard` then.
    ///
    /// # Errors
    /// The victim's own.
    pub fn strike_holding<G>(&self, guard: G) -> Result<()> {
        drop(self.strike_with(guard)?);
        Ok(())
    }

    /// [`strike_with`](Self::strike_with), and `elsewhere` makes the call in which the victim is if it is elsewhere.
    ///
    /// # Errors
    /// The victim's own.
    pub fn strike_or<G>(&self, guard: G, elsewhere: impl FnOnce()) -> Result<G, Failure> {
        remove_mapped_files();
        self.scratch.raise(READY);
        thread::sleep(HEAD_START);
        self.scratch
            .word(PROCESS)
            .store(process::id().into(), SeqCst);
        self.scratch.word(TIME).store(now(), SeqCst);
        self.tell(STRUCK);
        match self.fault {
            Fault::Leak => {
                mem::forget(guard);
                self.rest()
            }
            Fault::Elsewhere => {
                elsewhere();
                self.rest()
            }
            fault => fault.happen()?,
        }
        Ok(guard)
    }

    /// This rank has its outcome, and is done.
    pub fn answer<T, E: Debug>(&self, outcome: Result<T, E>) -> ! {
        let seconds = self.since_fault();
        let outcome = outcome.map(drop);
        self.tell_outcome(
            &outcome.map_or_else(|error| name_of(&error), |()| GOES_ON.to_owned()),
            seconds,
        )
    }

    /// What this rank gets does not count in this situation.
    pub fn stand_by<T>(&self, outcome: T) -> ! {
        drop(outcome);
        self.tell(BYSTANDER);
        self.rest()
    }

    fn tell_panic(&self, panic: &(dyn Any + Send)) -> ! {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        let text = text.unwrap_or("without a text").replace(['\t', '\n'], " ");
        self.tell_outcome(&format!("panics: {text}"), self.since_fault())
    }

    fn tell_outcome(&self, outcome: &str, seconds: f64) -> ! {
        println!(
            "rank {}, {}, {}: {outcome}, {seconds:.2} s",
            self.rank,
            self.situation,
            self.fault.name()
        );
        self.tell(&format!("{outcome}\t{seconds}"));
        self.rest()
    }

    /// Leaves a verdict, of which the test sees all or nothing.
    fn tell(&self, verdict: &str) {
        let path = self.file(&format!("verdict.{}", self.rank));
        let draft = path.with_extension(format!("{}.draft", self.rank));
        fs::write(&draft, verdict).expect("a verdict is written");
        fs::rename(&draft, &path).expect("a verdict is renamed");
    }

    /// Stays alive without a further call, until the test ends the job.
    pub fn rest(&self) -> ! {
        remove_mapped_files();
        loop {
            thread::sleep(Duration::from_secs(1000));
        }
    }

    fn since_fault(&self) -> f64 {
        match self.scratch.word(TIME).load(SeqCst) {
            0 => 0.0,
            fault => now().saturating_sub(fault) as f64 / 1e9,
        }
    }

    /// Continues the stopped victim in time, from a thread.
    fn resume_victim(&self) {
        let (time, process) = (self.scratch.word(TIME), self.scratch.word(PROCESS));
        thread::spawn(move || {
            until("the victim to stop", || time.load(SeqCst) != 0);
            thread::sleep(STOPPED);
            // It may have ended.
            let _ = send(process.load(SeqCst), Signal::CONT);
        });
    }
}

/// Nanoseconds on a clock that all ranks share.
fn now() -> u64 {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    time.expect("it is after 1970").as_nanos() as u64
}

fn forbid_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // If it fails, there may be core dumps.
    let _ = setrlimit(Resource::Core, none);
}

/// The innermost variant of an error, with the rank that it names if that is not the victim.
fn name_of(error: &impl Debug) -> String {
    match outcome::name_of(error) {
        (name, Some(rank)) if rank != VICTIM => format!("{name} of rank {rank}"),
        (name, _) => name,
    }
}
