//! The trace of a process that runs with MPI: its beginning, its end, and the time of the job.
//!
//! Each host has a clock of its own. A rank on another host than rank 0 finds out how far the two are
//! apart by messages to rank 0 and back: of several, the one that was fastest tells best (Cristian,
//! "Probabilistic clock synchronization", 1989). The ranks do this at the beginning and at the end, so
//! that a drift between the clocks is known.

use crate::environment::{TRACE, TRACE_SIZE, note_no_trace, read_mebibytes, value_of};
use crate::error::CreateError;
use crate::fingerprint::quick_fingerprint;
use crate::rsmpi::context::Context;
use crate::span::file::recorder;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, Destination, Root, Source};
use std::collections::hash_map::RandomState;
use std::ffi::OsString;
use std::fs;
use std::hash::BuildHasher;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The size of a file unless the environment sets another, in MiB.
const DEFAULT_SIZE: u64 = 16;
/// How many messages a rank sends in an exchange.
const ROUNDS: usize = 16;
/// The tag of these messages. The communicator is the world, which the program uses as well.
const TAG: i32 = 0x4d53;

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
    let process = recorder::Process {
        rank: world.rank() as u32,
        size: world.size() as u32,
        job,
        epoch,
        root_start,
        ahead: ahead(world),
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
    if recorder::is_on() {
        recorder::end(ahead(&SimpleCommunicator::world()));
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

/// By how many nanoseconds the clock of rank 0's host is ahead of that of this host. Collective.
fn ahead(world: &SimpleCommunicator) -> i64 {
    let root = world.process_at_rank(0);
    let own_host = host();
    let mut root_host = own_host;
    root.broadcast_into(&mut root_host);
    let differs = u64::from(own_host != root_host);
    if world.rank() != 0 {
        root.gather_into(&differs);
        return match differs {
            0 => 0,
            _ => ask(&root),
        };
    }
    let mut all = vec![0_u64; world.size() as usize];
    root.gather_into_root(&differs, &mut all);
    for (rank, _) in all.iter().enumerate().filter(|(_, differs)| **differs != 0) {
        let other = world.process_at_rank(rank as i32);
        for _ in 0..ROUNDS {
            let _: (u64, _) = other.receive_with_tag(TAG);
            other.send_with_tag(&recorder::clock(), TAG);
        }
    }
    0
}

/// The same, by an exchange with rank 0.
fn ask(root: &(impl Source + Destination)) -> i64 {
    let mut best = (u64::MAX, 0);
    for _ in 0..ROUNDS {
        let begin = recorder::clock();
        root.send_with_tag(&begin, TAG);
        let (there, _): (u64, _) = root.receive_with_tag(TAG);
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
