//! What a rank waits for on an object of several hosts, in a form that each host can compare with what
//! its own ranks keep.
//!
//! A rank does not know who has a lock whose queue is on another host. What it knows of other hosts may
//! be out of date, because a message is under way. But each rank's own part of an object is in the memory of its own
//! host: the locks and permits that it has, the barriers and collective calls that it has come to.
//! Only the rank itself changes these words, so they stay as they are while it waits elsewhere.

use crate::location::Place;
use serde::{Deserialize, Serialize};

/// An object that spans hosts, by numbers that are the same on all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct GlobalId {
    /// The number of the communicator.
    pub(crate) communicator: u64,
    /// The number of the object.
    pub(crate) object: u64,
}

/// What a wait, which has no time limit, is for. It does not end while ranks keep together at least the
/// amount `least` of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Want {
    pub(crate) of: GlobalId,
    pub(crate) what: Wanted,
    /// Never 0.
    pub(crate) least: u64,
}

/// What is wanted of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Wanted {
    /// To have its lock as a reader; writers keep it.
    Read,
    /// To have its lock alone; readers and writers keep it.
    Write,
    /// Permits; each rank keeps those that it has.
    Permits,
    /// That all ranks arrive at this phase.
    Phase(u64),
    /// That all ranks come to the meeting of this number in a collective call, of whatever object.
    Meeting(u64),
    /// The value that `writer` shares in `call`. Who wants it has come to this number of meetings.
    Value {
        call: u64,
        writer: u32,
        meetings: u64,
    },
}

/// The number of words of a [`Wanted`] in shared memory.
pub(super) const WANTED_WORDS: usize = 4;

impl Wanted {
    pub(super) fn to_words(self) -> [u64; WANTED_WORDS] {
        match self {
            Wanted::Read => [1, 0, 0, 0],
            Wanted::Write => [2, 0, 0, 0],
            Wanted::Permits => [3, 0, 0, 0],
            Wanted::Phase(phase) => [4, phase, 0, 0],
            Wanted::Meeting(number) => [5, number, 0, 0],
            Wanted::Value {
                call,
                writer,
                meetings,
            } => [6, call, writer.into(), meetings],
        }
    }

    pub(super) fn from_words(words: [u64; WANTED_WORDS]) -> Option<Self> {
        let [kind, first, second, third] = words;
        Some(match kind {
            1 => Wanted::Read,
            2 => Wanted::Write,
            3 => Wanted::Permits,
            4 => Wanted::Phase(first),
            5 => Wanted::Meeting(first),
            6 => Wanted::Value {
                call: first,
                writer: second as u32,
                meetings: third,
            },
            _ => return None,
        })
    }
}

impl Want {
    /// Something that each single rank can keep from this one.
    pub(crate) fn of_each(of: GlobalId, what: Wanted) -> Self {
        Want { of, what, least: 1 }
    }
}

/// How much a rank, which waits, keeps of what another one wants: until the rank itself goes on, the
/// other one does not get it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) amount: u64,
    /// Where it has taken that, if known.
    pub(crate) taken_at: Option<Place>,
}

impl Kept {
    /// All of it, if `keeps`.
    pub(crate) fn one_if(keeps: bool) -> Self {
        Kept {
            amount: keeps.into(),
            taken_at: None,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_want_is_what_its_words_say() {
        let value = Wanted::Value {
            call: 7 << 32 | 3,
            writer: 2,
            meetings: 9,
        };
        let (phase, meeting) = (Wanted::Phase(4), Wanted::Meeting(5));
        for what in [
            Wanted::Read,
            Wanted::Write,
            Wanted::Permits,
            phase,
            meeting,
            value,
        ] {
            assert_eq!(Wanted::from_words(what.to_words()), Some(what));
        }
        assert_eq!(Wanted::from_words([0; WANTED_WORDS]), None);
    }
}
