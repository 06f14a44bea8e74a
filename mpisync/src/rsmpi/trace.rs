//! The trace of a process that runs with MPI: its beginning, its end, and the time of the job.
//!
//! Each host has a clock of its own. A rank of each other host finds out how far its clock and that of
//! rank 0 are apart, by messages to rank 0 and back: of several, the one that was fastest tells best
//! (Cristian, "Probabilistic clock synchronization", 1989). This is done at the beginning and at the
//! end, so that a drift between the clocks is known.

use crate::environment::{TRACE, TRACE_SIZE, note_no_trace, read_mebibytes, value_of};
use crate::error::CreateError;
use crate::fingerprint::quick_fingerprint;
use crate::rsmpi::comm::OwnComm;
use crate::rsmpi::context::Context;
use crate::rsmpi::waiting::Waiting;
use crate::span::file::recorder;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, FromRaw, Root, Source};
use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fs;
use std::hash::BuildHasher;
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

/// The size of a file unless the environment sets another, in MiB.
const DEFAULT_SIZE: u64 = 16;
/// How many messages a rank sends in an exchange.
const ROUNDS: usize = 16;

/// A duplicate of the world for the exchanges, if rank 0 asks for a trace: the program may receive any
/// message of the world itself.
static WORLD: OnceLock<OwnComm> = OnceLock::new();

/// Begins the trace of this process, if rank 0 has the environment variable. Collective.
pub(super) fn begin(world: &SimpleCommunicator) {
    let directory = value_of(TRACE).unwrap_or_default();
    let size = read_mebibytes(TRACE_SIZE).map(|size| size.unwrap_or(DEFAULT_SIZE));
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let epoch = since_epoch.unwrap_or_default().as_nanos() as u64;
    let root = world.process_at_rank(0);
    // What rank 0 says.
    let mut said = [
        directory.len() as u64,
        *size.as_ref().unwrap_or(&DEFAULT_SIZE),
        RandomState::new().hash_one(epoch),
        epoch,
        recorder::clock(),
    ];
    root.broadcast_into(&mut said);
    let [length, mebibytes, job, epoch, root_start] = said;
    if length == 0 {
        return;
    }
    let mut directory = directory.into_vec();
    directory.resize(length as usize, 0);
    root.broadcast_into(&mut directory);
    let ahead = match OwnComm::duplicate(world, Waiting::new(world, None)) {
        Ok(own) => ahead(WORLD.get_or_init(|| own)),
        Err(error) => return note_no_trace(error),
    };
    let process = recorder::Process {
        rank: world.rank() as u32,
        size: world.size() as u32,
        job,
        epoch,
        root_start,
        ahead,
    };
    let directory = OsString::from_vec(directory);
    let begun = size.and_then(|_| {
        let bytes = (mebibytes as usize).saturating_mul(1 << 20);
        let begun = recorder::start(Path::new(&directory), bytes, &process);
        begun.map_err(|error| CreateError::NoTrace {
            reason: format!("{}: {error}", directory.display()),
        })
    });
    if let Err(error) = begun {
        note_no_trace(error);
    }
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
