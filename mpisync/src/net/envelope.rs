//! The header of a message: its sender and its destination.

use crate::net::Message;
use crate::shm::arrival::AnnouncementData;
use crate::shm::survivors::Position;
use crate::shm::waiting::hosts::{HostLook, HostsDeadlock};
use crate::shm::waiting::want::Want;
use serde::{Deserialize, Serialize};

/// The header of a message. The object's message follows it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Envelope {
    /// The rank that sent it.
    pub(super) from: u32,
    pub(super) to: To,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum To {
    /// To a node's leader: an object's service.
    Service(Address),
    /// To a rank: its client of an object.
    Client(Address),
    /// To an object's home node: all ranks of a node have dropped the object.
    Dropped { object: u64 },
    /// To a node's leader: all ranks of all nodes have dropped the object.
    Forget { object: u64 },
    /// To a node's leader: the announcements of another node's ranks for a rendezvous.
    Announcements {
        number: u64,
        announcements: Announcements,
    },
    /// To a node's leader: a rank has died.
    Dead { rank: u32 },
    /// To a node's leader: the node of this leader does not answer.
    Silent { rank: u32 },
    /// To a node's leader: the sender runs.
    Beat,
    /// To a node's leader: a rank has ended.
    Ended { rank: u32, panicked: bool },
    /// To a node's leader: the sender has posted a step of the agreement on the ranks that are left.
    SurvivorStep { step: u64, position: Position },
    /// To a node's leader: the decision of an attempt at it.
    Decision {
        step: u64,
        excluded: Vec<u32>,
        resumed: Position,
    },
    /// To a node's leader: a message of the search for deadlocks.
    Search(SearchMessage),
    /// Two messages, of which the first one has this length.
    Both { first: u32 },
}

/// A message of a search for deadlocks over several nodes. The leader of the first node coordinates
/// the searches, which are numbered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum SearchMessage {
    /// To the coordinator: ranks of the sender's node have waited for long.
    Suspect,
    /// From the coordinator: take the records of the node for the first time.
    LookFirst { search: u32 },
    /// The answer: what the ranks of a node want.
    Wants { search: u32, wants: Vec<Want> },
    /// From the coordinator, after all answers: take the records for the second time. Ranks of all
    /// nodes have these wants, which are sorted.
    LookAgain { search: u32, wants: Vec<Want> },
    /// The answer.
    Waits { search: u32, look: HostLook },
    /// From the coordinator: ranks of the node are in this deadlock.
    Found(HostsDeadlock),
}

/// The announcements of one node's ranks for a rendezvous, by rank.
pub(super) type Announcements = Vec<(u32, AnnouncementData<'static>)>;

/// A part of an object. The numbers are the same on all ranks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) struct Address {
    pub(super) object: u64,
    pub(super) part: u8,
}

impl Envelope {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("plain data")
    }

    /// The bytes of this envelope and a message.
    pub(super) fn with(&self, message: &impl Message) -> Vec<u8> {
        // Enough for the envelope and for the message without its long values.
        const REST: usize = 256;
        let bytes = Vec::with_capacity(message.size() + REST);
        let bytes = postcard::to_extend(self, bytes).expect("plain data");
        postcard::to_extend(message, bytes).expect("plain data")
    }

    /// The envelope and the message behind it.
    pub(super) fn open(bytes: &[u8]) -> (Self, &[u8]) {
        postcard::take_from_bytes(bytes).expect("as it was sent by the same program")
    }
}
