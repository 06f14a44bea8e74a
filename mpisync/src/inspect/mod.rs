//! The objects of the jobs that run on this node, as a process sees them that is no rank of them.
//!
//! It reads copies of the ranks' shared memory, twice, and believes what is the same in both. It writes
//! nothing and stops no process.
//!
//! `mpisync-top`, a program of the crate `mpisync-cli`, shows the result. Both have the same version, and
//! this module changes with it: it has no promise of stability. The JSON has, by its [`SCHEMA`].

mod chunk;
mod describe;
mod facts;
mod processes;
mod report;
#[cfg(test)]
mod tests;
pub mod trace;

pub use crate::inspect::report::{
    Communicator, Count, Document, Holder, Host, Object, Rank, RankState, SCHEMA, SourceLine,
    Unreadable, Wait, Waiter,
};

use crate::inspect::chunk::{Chunk, Chunks};
use crate::inspect::describe::communicators;
use crate::inspect::facts::{Seen, see};
use crate::inspect::processes::{Found, find};
use crate::shm::identity::OtherVersion;
use crate::shm::waiting::record::now;
use std::collections::BTreeMap;

/// Looks at all jobs of this user on this node. Local; takes about a millisecond for each 100
/// processes and each megabyte of their memory.
pub fn look() -> Host {
    let mut host = Host {
        host: processes::host_name(),
        time: now() as f64 / 1e9,
        ..Host::default()
    };
    let found = match find() {
        Ok(found) => found,
        Err(error) => {
            host.error = Some(error);
            return host;
        }
    };
    let Found {
        files,
        unreadable,
        others,
    } = found;
    (host.unreadable, host.others) = (unreadable, others);
    let mut segments: BTreeMap<u64, Chunks> = BTreeMap::new();
    for (file, process) in files {
        let cannot = |reason| processes::unreadable(process, reason);
        match Chunk::of(file) {
            Ok(None) => {}
            Ok(Some(Ok(chunk))) => {
                segments.entry(chunk.segment()).or_default().add(chunk);
            }
            Ok(Some(Err(OtherVersion(version)))) => {
                let own = env!("CARGO_PKG_VERSION");
                let reason = format!(
                    "its memory is that of mpisync {version}, and this is {own}; use the program of that version"
                );
                host.unreadable.push(cannot(reason));
            }
            Err(error) => host.unreadable.push(cannot(error)),
        }
    }
    let mut seen: Vec<Seen> = Vec::new();
    for chunks in segments.values() {
        match see(chunks) {
            Ok(it) => seen.push(it),
            Err(reason) => host.problems.push(reason),
        }
    }
    host.communicators = communicators(&seen);
    host
}
