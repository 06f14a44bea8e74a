//! The trace of a process that runs with MPI: its beginning, its end, and the time of the job.
//!
//! The trace begins when the library initializes MPI. If the program does so, it begins with the first context of a
//! communicator of all ranks of the world. Threads may make several contexts at once, in an order that differs between
//! ranks. So each of these has its exchange, in which rank 0 says the same, and each process begins its trace after the
//! first one that it has finished.
//!
//! Each host has a clock of its own. A rank of each other host finds out how far its clock and that of
//! rank 0 are apart, by messages to rank 0 and back: of several, the one that was fastest tells best
//! (Cristian, "Probabilistic clock synchronization", 1989). This is done at the beginning and at the
//! end, so that a drift between the clocks is known.

use crate::environment::{TRACE, TRACE_SIZE, note_no_trace, read_mebibytes, value_of};
use crate::error::CreateError;
use crate::fingerprint::quick_fingerprint;
use crate::rsmpi::attribute;
use crate::rsmpi::comm::OwnComm;
use crate::rsmpi::context::Context;
use crate::rsmpi::waiting::Waiting;
use crate::span::file::recorder;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, FromRaw, Root, Source};
use serde::{Deserialize, Serialize};
use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fs;
use std::hash::BuildHasher;
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::{Once, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

/// The size of a file unless the environment sets another, in MiB.
const DEFAULT_SIZE: u64 = 16;
/// How many messages a rank sends in an exchange.
const ROUNDS: usize = 16;

/// A duplicate of the world for the exchanges, if rank 0 asks for a trace: the program may receive any
/// message of the world itself.
static WORLD: OnceLock<OwnComm> = OnceLock::new();

/// Set where the library has initialized MPI.
static INITIALIZED: OnceLock<()> = OnceLock::new();

/// What rank 0 of the world says about the trace.
#[derive(Serialize, Deserialize)]
struct Said {
    /// The directory; empty if there is no trace.
    directory: Vec<u8>,
    /// The size of each file.
    mebibytes: u64,
    /// The number of the job.
    job: u64,
    /// When the job's time 0 is, in nanoseconds since 1970, and by the clock of rank 0's host.
    epoch: u64,
    root_start: u64,
}

impl Said {
    /// What this process says if it is rank 0: the same each time.
    fn by_this_process() -> &'static Self {
        static SAID: OnceLock<Said> = OnceLock::new();
        SAID.get_or_init(|| {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
            let epoch = since_epoch.unwrap_or_default().as_nanos() as u64;
            Said {
                directory: value_of(TRACE).unwrap_or_default().into_vec(),
                mebibytes: own_size().unwrap_or(DEFAULT_SIZE),
                job: RandomState::new().hash_one(epoch),
                epoch,
                root_start: recorder::clock(),
            }
        })
    }

    /// What is sent of it: nothing if there is no trace.
    fn to_bytes(&self) -> Vec<u8> {
        match self.directory[..] {
            [] => Vec::new(),
            _ => postcard::to_allocvec(self).expect("plain data"),
        }
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        postcard::from_bytes(bytes).expect("as it was sent")
    }

    /// Begins the trace of this process, unless it has one.
    fn start(&self, rank: u32, size: u32, ahead: i64) {
        static STARTED: Once = Once::new();
        STARTED.call_once(|| {
            let process = recorder::Process {
                rank,
                size,
                job: self.job,
                epoch: self.epoch,
                root_start: self.root_start,
                ahead,
            };
            let directory = OsString::from_vec(self.directory.clone());
            let begun = own_size().and_then(|_| {
                let bytes = (self.mebibytes as usize).saturating_mul(1 << 20);
                let begun = recorder::start(Path::new(&directory), bytes, &process);
                begun.map_err(|error| CreateError::NoTrace {
                    reason: format!("{}: {error}", directory.display()),
                })
            });
            if let Err(error) = begun {
                note_no_trace(error);
            }
        });
    }
}

/// The size that the environment of this process sets.
fn own_size() -> Result<u64, CreateError> {
    read_mebibytes(TRACE_SIZE).map(|size| size.unwrap_or(DEFAULT_SIZE))
}

/// Begins the trace of this process, if rank 0 has the environment variable. Collective, once, before there are
/// contexts.
pub(super) fn begin(world: &SimpleCommunicator) {
    let _ = INITIALIZED.set(());
    let root = world.process_at_rank(0);
    let mut said = Said::by_this_process().to_bytes();
    let mut length = said.len() as u64;
    root.broadcast_into(&mut length);
    if length == 0 {
        return;
    }
    said.resize(length as usize, 0);
    root.broadcast_into(&mut said);
    let ahead = match OwnComm::duplicate(world, Waiting::new(world, None)) {
        Ok(own) => ahead(WORLD.get_or_init(|| own)),
        Err(error) => return note_no_trace(error),
    };
    Said::from_bytes(&said).start(world.rank() as u32, world.size() as u32, ahead);
}

/// What rank 0 says when it makes a context of `all`: nothing, unless these are all ranks of the world in an order
/// that begins with it, the program has initialized MPI itself, and there is to be a trace.
pub(super) fn said_with(all: &OwnComm) -> Vec<u8> {
    let world = SimpleCommunicator::world();
    let ranks = all.world_ranks();
    // Ranks of another world have no number in this one.
    let is_world = ranks.len() == world.size() as usize && !ranks.contains(&None);
    if INITIALIZED.get().is_some() || !is_world || world.rank() != 0 {
        return Vec::new();
    }
    Said::by_this_process().to_bytes()
}

/// Begins the trace of this process with a context of `all`, whose rank 0 has said something. Collective.
pub(super) fn begin_with(all: &OwnComm, said: &[u8]) {
    static AT_END: Once = Once::new();
    // These calls of MPI block. All ranks have just met, so a rank hangs here only if another one dies meanwhile.
    let ahead = ahead(all);
    let world = SimpleCommunicator::world();
    Said::from_bytes(said).start(world.rank() as u32, world.size() as u32, ahead);
    // The clocks are not compared again: the program ends MPI when it likes.
    AT_END.call_once(|| attribute::at_end(recorder::note_end));
}

/// Notes that this process has no trace, because others cannot have one.
pub(super) fn refuse() {
    note_no_trace(CreateError::NoTrace {
        reason: "another rank was built without mpisync's feature `trace`".to_owned(),
    });
}

/// Ends the trace of this process, if there is one. Collective; all ranks have come to their end.
pub(super) fn end() {
    // Also on a rank whose trace could not begin: the others wait for it.
    if let Some(world) = WORLD.get() {
        recorder::end(ahead(world));
    }
}

/// Defines the communicator of a context.
pub(super) fn define(context: &Context) {
    if let Some(number) = context.domain().number() {
        let ranks = context.all().world_ranks();
        let ranks: Vec<u32> = ranks
            .into_iter()
            .map(|rank| rank.unwrap_or(u32::MAX))
            .collect();
        recorder::define_communicator(number, &ranks);
    }
}

/// By how many nanoseconds the clock of rank 0's host is ahead of that of this host. Collective: the
/// lowest rank of each other host finds out, one after the other.
fn ahead(world: &OwnComm) -> i64 {
    // SAFETY: a valid communicator, which its owner frees.
    let world = unsafe { SimpleCommunicator::from_raw(world.raw()) };
    let world = ManuallyDrop::new(world);
    let root = world.process_at_rank(0);
    let (mut asks, mut ahead) = (0_u64, 0_i64);
    if world.rank() != 0 {
        root.gather_into(&host());
        root.scatter_into(&mut asks);
        if asks != 0 {
            ahead = ask(&root);
        }
        root.gather_into(&ahead);
        root.scatter_into(&mut ahead);
        return ahead;
    }
    let mut hosts = vec![0_u64; world.size() as usize];
    root.gather_into_root(&host(), &mut hosts);
    let lowest = |rank: usize| hosts.iter().position(|host| *host == hosts[rank]);
    let lowest: Vec<usize> = (0..hosts.len()).filter_map(lowest).collect();
    let has_to_ask = |rank: usize| u64::from(rank != 0 && lowest[rank] == rank);
    let asking: Vec<u64> = (0..hosts.len()).map(has_to_ask).collect();
    root.scatter_into_root(&asking, &mut asks);
    for (rank, _) in asking.iter().enumerate().filter(|(_, asks)| **asks != 0) {
        let other = world.process_at_rank(rank as i32);
        for _ in 0..ROUNDS {
            let _: (u64, _) = other.receive();
            other.send(&recorder::clock());
        }
    }
    let mut found = vec![0_i64; hosts.len()];
    root.gather_into_root(&ahead, &mut found);
    let of_hosts: Vec<i64> = lowest.iter().map(|lowest| found[*lowest]).collect();
    root.scatter_into_root(&of_hosts, &mut ahead);
    ahead
}

/// The same, by an exchange with rank 0.
fn ask(root: &(impl Source + Destination)) -> i64 {
    let mut best = (u64::MAX, 0);
    for _ in 0..ROUNDS {
        let begin = recorder::clock();
        root.send(&begin);
        let (there, _): (u64, _) = root.receive();
        let end = recorder::clock();
        let here = begin + (end - begin) / 2;
        best = best.min((end - begin, there.wrapping_sub(here) as i64));
    }
    best.1
}

/// A number of this host, whose processes have one clock.
fn host() -> u64 {
    // Another one after each start of the system.
    let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let name = rustix::system::uname();
    quick_fingerprint(quick_fingerprint(0, &boot), name.nodename().to_bytes())
}
