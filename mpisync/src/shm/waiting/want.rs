//! What a rank waits for on an object of several hosts, in a form that each host can compare with what
//! its own ranks keep.
//!
//! A rank does not know who has a lock whose queue is on another host. What it knows of other hosts may
//! be out of date, because a message is under way. But each rank's own part of an object is in the memory of its own
//! host: the locks and permits that it has, the barriers and collective calls that it has come to.
//! Only the rank itself changes these words, so they stay as they are while it waits elsewhere.
//!
//! Some waits are ended by any one of several ranks, by a message of a channel for example. Such a wait
//! does not end if all ranks that could end it wait, and nothing is under way that one of them has sent
//! before. Each host counts what its ranks have sent and got, and a [`Tally`] has these numbers: over all
//! hosts they add up to zero if nothing is under way. So messages are counted to find the end of a
//! distributed computation in Mattern, "Algorithms for Distributed Termination Detection", Distributed
//! Computing 2, 1987.

use crate::location::Place;
use crate::shm::domain::Domain;
use crate::shm::waiting::record::MOST_NEEDED;
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
/// amount `least` of this. If any one of several ranks can end it, `least` is the number of all ranks of
/// the communicator: each that waits keeps 1, as does each that cannot end it any more.
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
    /// To have a range of its lock, that of the items from `start` up to `end`; readers and writers keep
    /// it, and those that have a range that overlaps it.
    Range { start: u64, end: u64 },
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
    /// That the turns before the one of this number are over.
    Turn(u64),
    /// That all ranks are done with this call, in which a writer has shared a value.
    Collected(u64),
    /// A message of a channel. Any rank that still puts can end the wait.
    Message,
    /// Room for a message of a channel. Any rank that still takes can end the wait.
    Room,
    /// That a latch opens. Any rank can end the wait.
    Open,
    /// A notification of this rank. Any other rank can end the wait.
    Notification(u32),
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
            Wanted::Turn(number) => [7, number, 0, 0],
            Wanted::Collected(call) => [8, call, 0, 0],
            Wanted::Message => [9, 0, 0, 0],
            Wanted::Room => [10, 0, 0, 0],
            Wanted::Open => [11, 0, 0, 0],
            Wanted::Notification(rank) => [12, rank.into(), 0, 0],
            Wanted::Range { start, end } => [13, start, end, 0],
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
            7 => Wanted::Turn(first),
            8 => Wanted::Collected(first),
            9 => Wanted::Message,
            10 => Wanted::Room,
            11 => Wanted::Open,
            12 => Wanted::Notification(first as u32),
            13 => Wanted::Range {
                start: first,
                end: second,
            },
            _ => return None,
        })
    }

    /// Whether any one of several ranks can end the wait. Then it takes the [`Tally`] of all nodes, or that
    /// of the node which knows all, to tell whether it can end otherwise.
    pub(super) fn needs_tally(self) -> bool {
        match self {
            Wanted::Read
            | Wanted::Write
            | Wanted::Range { .. }
            | Wanted::Permits
            | Wanted::Phase(_)
            | Wanted::Meeting(_)
            | Wanted::Value { .. }
            | Wanted::Turn(_)
            | Wanted::Collected(_) => false,
            Wanted::Message | Wanted::Room | Wanted::Open | Wanted::Notification(_) => true,
        }
    }

    /// Whether any rank at all can end the wait, at any time.
    #[cfg(feature = "mpi")]
    pub(crate) fn is_up_to_all(self) -> bool {
        matches!(self, Wanted::Open | Wanted::Notification(_))
    }
}

impl Want {
    /// Something that each single rank can keep from this one.
    pub(crate) fn of_each(of: GlobalId, what: Wanted) -> Self {
        Want { of, what, least: 1 }
    }

    /// Something that any one of several ranks of this communicator can give. None if it has more ranks
    /// than are compared.
    pub(crate) fn of_any(domain: &Domain, of: GlobalId, what: Wanted) -> Option<Self> {
        let size = domain.topology().size();
        (size <= MOST_NEEDED).then_some(Want {
            of,
            what,
            least: size as u64,
        })
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

/// What a node knows of a want that any one of several ranks can meet, beside what its ranks that wait
/// keep of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// The number of its ranks that cannot meet it any more, also if they do not wait. Read before the
    /// rest.
    pub(crate) never: u64,
    /// Two numbers that add up to zero over all nodes if nothing is under way between them.
    pub(crate) balance: [i64; 2],
    /// Whether nothing is under way on this node that meets it.
    pub(crate) is_still: bool,
    /// The wait ends if this holds on all nodes: then no rank is left that could meet it.
    pub(crate) is_idle: bool,
}

impl Tally {
    /// That of the only node that has to be asked.
    pub(crate) fn of_root(is_still: bool) -> Self {
        Tally {
            is_still,
            ..Tally::default()
        }
    }

    /// The tally of more nodes.
    pub(crate) fn plus(self, other: Tally) -> Tally {
        Tally {
            never: self.never + other.never,
            balance: [0, 1].map(|index| self.balance[index].wrapping_add(other.balance[index])),
            is_still: self.is_still && other.is_still,
            is_idle: self.is_idle && other.is_idle,
        }
    }

    /// Whether, by the sum over all nodes, the wait does not end unless a rank goes on that can meet it.
    pub(crate) fn holds_back(&self) -> bool {
        self.is_still && !self.is_idle && self.balance == [0, 0]
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
        let range = Wanted::Range { start: 8, end: 9 };
        for what in [
            Wanted::Read,
            Wanted::Write,
            range,
            Wanted::Permits,
            phase,
            meeting,
            value,
            Wanted::Turn(6),
            Wanted::Collected(8),
            Wanted::Message,
            Wanted::Room,
            Wanted::Open,
            Wanted::Notification(3),
        ] {
            assert_eq!(Wanted::from_words(what.to_words()), Some(what));
        }
        assert_eq!(Wanted::from_words([0; WANTED_WORDS]), None);
    }
    #[test]
    fn a_sum_holds_back_if_nothing_is_under_way() {
        let tally = |balance, is_still, is_idle| Tally {
            never: 1,
            balance: [balance, 0],
            is_still,
            is_idle,
        };
        let sent = tally(3, true, false);
        assert!(!sent.holds_back());
        assert!(sent.plus(tally(-3, true, true)).holds_back());
        assert!(!sent.plus(tally(-2, true, true)).holds_back());
        assert!(!sent.plus(tally(-3, false, true)).holds_back());
        let all_idle = tally(3, true, true).plus(tally(-3, true, true));
        assert!(!all_idle.holds_back());
        assert_eq!(sent.plus(sent).never, 2);
        assert!(Tally::of_root(true).holds_back() && !Tally::of_root(false).holds_back());
    }
}
