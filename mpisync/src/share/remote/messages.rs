//! The messages between mailboxes on different nodes.

use crate::net::Message;
use serde::{Deserialize, Serialize};

/// The outcome of a call, for the mailboxes of other nodes.
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
    /// The name of the writer's call.
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) reason: String,
    /// A small value. A large one follows in pieces.
    #[serde(with = "serde_bytes")]
    pub(crate) data: Vec<u8>,
}

/// A message to the mailbox of a node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum MailboxMessage {
    /// The outcome of a call.
    Value(Box<Value>),
    /// The next bytes of a large value of the sender.
    Piece {
        call: u64,
        #[serde(with = "serde_bytes")]
        bytes: Vec<u8>,
    },
    /// Asks why `rank`, of the receiver's node, shares nothing in `call`. The sender has come to
    /// this number of meetings.
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
    /// A node has accepted the value of this call.
    Accepted { call: u64 },
    /// The answer to [`MailboxMessage::Ask`].
    Answer { call: u64, reason: Reason },
}

impl Message for MailboxReply {}

/// Why a rank shares nothing in a call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Reason {
    /// It waits, or has waited, for this rank to share a value.
    WaitsFor {
        rank: u32,
        /// The site of the call, unless it has gone on.
        site: Option<Site>,
    },
    /// It waits for the rank that asked in a meeting.
    IsElsewhere,
}

/// The site of a call, for errors.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Site {
    pub(crate) called: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}
