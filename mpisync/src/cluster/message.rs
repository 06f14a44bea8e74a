//! What the nodes of a communicator say to each other.

use crate::ledger::question::{LedgerAnswer, LedgerWord};
#[cfg(feature = "region")]
use crate::lock::cluster::site::Asker;
use crate::lock::cluster::site::LockWord;
use crate::memory::words::board::NoteData;
use crate::queue::cluster::{Report, Supply};
#[cfg(feature = "region")]
use crate::region::cluster::Change;
use crate::rounds::RoundWord;
use crate::share::Value;
use crate::sync::{Take, Taken};
use crate::waitlist::cluster::{Answer, WaitWord};
use serde::{Deserialize, Serialize};

/// A message. It goes to the leader of a node, whose agent handles it, unless it says otherwise.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Message {
    /// About the controller or channel of this number.
    On(u64, Word),
    /// What the ranks of a node posted for a meeting.
    Notes {
        number: u64,
        notes: Vec<(u32, NoteData<'static>)>,
    },
    /// A rank has died.
    Dead { rank: u32 },
}

/// Why a rank shares nothing in a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Reason {
    /// It waits for this rank to share something.
    WaitsFor(u32),
    /// It waits for the asker in a meeting.
    IsElsewhere,
}

/// A message about one controller, channel or other object; a region is a controller with items, a counter one with a
/// number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// About the lock.
    Lock(LockWord),
    /// A rank died as a writer.
    Broken { rank: u32 },
    /// What came of a call.
    Value(Box<Value>),
    /// The next bytes of a value.
    Piece {
        call: u64,
        writer: u32,
        bytes: Vec<u8>,
    },
    /// To the writer: a node has taken the value of this call over.
    Accepted { call: u64 },
    /// What does `rank`, a rank of the node that gets this, do about the call that `asker` waits for? The asker has come
    /// to so many meetings.
    Ask {
        call: u64,
        rank: u32,
        asker: u32,
        meetings: u64,
    },
    /// To the asker: why the rank that it asked about shares nothing in this call.
    Answer { call: u64, reason: Reason },
    /// About a channel, to its host: how a node stands.
    Report { node: u32, report: Box<Report> },
    /// About a channel: what its host has for the node that gets this.
    Supply(Box<Supply>),
    /// About a region: a part of a change.
    #[cfg(feature = "region")]
    Change(Box<Change>),
    /// To the asker: a node, and all below it, have the change of this number.
    #[cfg(feature = "region")]
    Changed { number: u32, asker: Asker },
    /// About a waiting list.
    Wait(WaitWord),
    /// About a ledger.
    Ledger(LedgerWord),
    /// About a turn or a barrier.
    Round(RoundWord),
    /// To the home node: `asker` takes numbers of the counter.
    Count {
        asker: u32,
        request: u32,
        take: Take,
    },
    /// To the asker.
    Reply { request: u32, reply: Reply },
    /// To the home node: all ranks of a node have dropped the controller.
    Gone,
    /// All ranks have.
    Forget,
}

/// What an object's home node replies to a rank that has asked it for something.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// Which numbers of the counter the asker has; none where there are too few.
    Counted(Option<Taken>),
    /// About a waiting list.
    Wait(Answer),
    /// About a ledger.
    Ledger(LedgerAnswer),
}

impl Message {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // More than all but long values need beside them.
        const REST: usize = 256;
        let size = match self {
            Message::On(_, Word::Report { report, .. }) => report.size(),
            Message::On(_, Word::Supply(supply)) => supply.size(),
            Message::On(_, Word::Piece { bytes, .. }) => bytes.len(),
            #[cfg(feature = "region")]
            Message::On(_, Word::Change(change)) => change.size(),
            Message::On(_, Word::Wait(word)) => word.size(),
            Message::On(
                _,
                Word::Reply {
                    reply: Reply::Wait(answer),
                    ..
                },
            ) => answer.size(),
            _ => 0,
        };
        let bytes = Vec::with_capacity(size + REST);
        postcard::to_extend(self, bytes).expect("a message is plain data")
    }
}
