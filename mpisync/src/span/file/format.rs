//! The format of a trace file: words of 64 bits in the byte order of the machine that writes it.
//!
//! A [header](header), then the definitions, then the two [rings](Ring) of [events](event).

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The first word.
pub(crate) const MAGIC: u64 = u64::from_be_bytes(*b"MPISYNCT");
/// The second word. Changes with the format.
pub(crate) const VERSION: u64 = 1;

/// The end of the names of trace files.
pub(crate) const EXTENSION: &str = "mpisync-trace";

pub(crate) const WORD: usize = size_of::<u64>();

/// The words of the header, by their index.
pub(crate) mod header {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const VERSION: usize = 1;
    /// The rank in the world, and in the upper half how many ranks that has.
    pub(crate) const RANK: usize = 2;
    pub(crate) const PROCESS: usize = 3;
    /// The number of the job.
    pub(crate) const JOB: usize = 4;
    /// When the job's time 0 was, in nanoseconds since 1970.
    pub(crate) const EPOCH: usize = 5;
    /// What the clock of rank 0's host (`CLOCK_MONOTONIC`, nanoseconds) showed at the job's time 0.
    pub(crate) const ROOT_START: usize = 6;
    /// By how many nanoseconds that clock is ahead of the one of this host, as far as an exchange at the
    /// beginning tells, and what the clock of this host showed then.
    pub(crate) const AHEAD: usize = 7;
    pub(crate) const EXCHANGED: usize = 8;
    /// The same of an exchange at the end, if there was one: its time is not 0.
    pub(crate) const AHEAD_AT_END: usize = 9;
    pub(crate) const EXCHANGED_AT_END: usize = 10;
    /// 1 once the process has ended in order.
    pub(crate) const HAS_ENDED: usize = 11;
    /// How many bytes the definitions may have, and how many they have.
    pub(crate) const ROOM: usize = 12;
    pub(crate) const DEFINED: usize = 13;
    /// For each ring: how many events it holds, and how many were written.
    pub(crate) const RINGS: usize = 14;
    /// The length of the name of the host, and the name.
    pub(crate) const HOST_LENGTH: usize = 18;
    pub(crate) const HOST: usize = 19;
    /// How many words the name may have.
    pub(crate) const HOST_WORDS: usize = 32;
    /// How many words the header has.
    pub(crate) const WORDS: usize = 64;
}

/// The words of an event, by their index.
pub(crate) mod event {
    /// 1 and the number of the event in its ring; 0 while it is written.
    pub(crate) const SEQUENCE: usize = 0;
    /// By the clock of the host, in nanoseconds.
    pub(crate) const BEGIN: usize = 1;
    /// The same; 0 before the end.
    pub(crate) const END: usize = 2;
    /// The number of the object, and in the upper half that of the name of the call.
    pub(crate) const OBJECT: usize = 3;
    /// The number of the place, and in the upper half that of the keeper's place.
    pub(crate) const PLACE: usize = 4;
    /// 1 and the keeper's rank in the communicator, and in the upper half the number of the communicator.
    pub(crate) const KEEPER: usize = 5;
    /// The numbers of activity and outcome, a byte each, and in the upper half 1 and the index of the task.
    pub(crate) const WHAT: usize = 6;
    /// How many words an event has.
    pub(crate) const WORDS: usize = 8;
}

/// A ring of events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ring {
    Waits,
    Others,
}

impl Ring {
    pub(crate) const ALL: [Self; 2] = [Ring::Waits, Ring::Others];

    /// The words of the header with its capacity and the number of events written.
    pub(crate) fn words(self) -> (usize, usize) {
        let first = header::RINGS + 2 * self as usize;
        (first, first + 1)
    }
}

/// The sections of a file, as offsets in bytes.
pub(crate) struct Sections {
    pub(crate) definitions: usize,
    /// By ring.
    pub(crate) events: [usize; 2],
    pub(crate) length: usize,
}

impl Sections {
    /// Those of a file whose definitions have `room` bytes, a multiple of eight, and whose rings hold so
    /// many events. None if there is no such file.
    pub(crate) fn new(room: usize, capacities: [usize; 2]) -> Option<Self> {
        let definitions = header::WORDS * WORD;
        let waits = definitions.checked_add(room)?;
        let bytes = |events: usize| events.checked_mul(event::WORDS * WORD);
        let others = waits.checked_add(bytes(capacities[0])?)?;
        Some(Sections {
            definitions,
            events: [waits, others],
            length: others.checked_add(bytes(capacities[1])?)?,
        })
    }
}

/// Something that events name by its number: how many of its kind were defined before it, plus one. 0 is
/// nothing, or something for which there was no room.
///
/// In the file each is preceded by its length, in four bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Definition<'a> {
    Object {
        kind: Cow<'a, str>,
        name: Cow<'a, str>,
        /// The same on all ranks, and different between objects of a job; 0 if not known.
        identity: u64,
    },
    Call(Cow<'a, str>),
    Place {
        file: Cow<'a, str>,
        line: u32,
    },
    /// The ranks of a communicator in the world; `u32::MAX` for one that is not in it.
    Communicator(Cow<'a, [u32]>),
}
