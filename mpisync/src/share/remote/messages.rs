//! What mailboxes on different nodes send each other.

use crate::net::Message;
use serde::{Deserialize, Serialize};

/// What came of a call, for the mailboxes of other nodes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Value {
    pub(crate) call: u64,
    pub(crate) writer: u32,
    pub(crate) outcome: u32,
    pub(crate) kind: u64,
    pub(crate) layout: u64,
    pub(crate) label: String,
    pub(crate) length: u64,
    pub(crate) site: u64,
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) reason: String,
    /// A small value; a large one follows in pieces.
    #[serde(with = "serde_bytes")]
    pub(crate) data: Vec<u8>,
}

/// A message to the mailbox of a node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum MailboxMessage {
    /// What came of a call.
    Value(Box<Value>),
    /// The next bytes of a value of the rank that sends this.
    Piece {
        call: u64,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// What does `rank`, a rank of the node, do about the call that the sender waits for? The
    /// sender has come to so many meetings.
    Ask { call: u64, rank: u32, meetings: u64 },
}

impl Message for MailboxMessage {
    fn size(&self) -> usize {
        match self {
            MailboxMessage::Value(value) => value.data.len(),
            MailboxMessage::Piece { bytes, .. } => bytes.len(),
            MailboxMessage::Ask { .. } => 0,
        }
    }
}

/// A message to a rank.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum MailboxReply {
    /// A node has taken over what the rank shared in this call.
    Accepted { call: u64 },
    /// Why the rank that was asked about shares nothing in this call.
    Answer { call: u64, reason: Reason },
}

impl Message for MailboxReply {}

/// Why a rank shares nothing in a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Reason {
    /// It waits for this rank to share something.
    WaitsFor(u32),
    /// It waits for the rank that asked in a meeting.
    IsElsewhere,
}
