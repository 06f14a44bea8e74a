//! Where a node stands in the queue for the cluster's turn: the decisions, without memory or
//! messages.
//!
//! The nodes queue as the threads do in an MCS lock (Mellor-Crummey and Scott, "Algorithms for
//! Scalable Synchronization on Shared-Memory Multiprocessors", TOCS 1991): a node exchanges the
//! tail, is linked behind the node that was there, and waits where it is until that one hands the
//! turn over. It differs in one thing: a node that lets the turn go while nobody waits keeps it, so
//! that its next writer asks nobody; the node's server hands it over when another node is linked
//! behind it.
//!
//! What is known of the gates travels with the turn: how often they were opened, and whether all
//! readers are out.

use crate::rwlock::global::tree::Node;
use serde::{Deserialize, Serialize};

/// How many writers in a row may follow each other, on all nodes together, before readers are let
/// in.
pub(crate) const RUN: u32 = 64;

/// How many writers of one node may follow each other while another node waits, unless the builder
/// says otherwise.
pub(crate) const MAX_LOCAL_HANDOVERS: u32 = 16;

/// What a node that has the turn knows, and hands over with it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub(crate) struct Turn {
    /// How often the gates have been opened.
    pub(crate) openings: u32,
    /// Gates are closed, or being closed.
    pub(crate) closed: bool,
    /// All gates are closed and no reader is inside.
    pub(crate) drained: bool,
    /// So much is known of the node that handed the turn over: its gate is closed and no reader is
    /// inside.
    pub(crate) empty: Option<Node>,
    /// How many writers there were since the gates were opened.
    pub(crate) run: u32,
    /// The rank that died as a writer, if one did: then nobody can have the lock any more.
    pub(crate) broken_by: Option<u32>,
    /// The last two calls for which a writer was settled, and who it is.
    pub(crate) claims: [Claim; 2],
}

/// Who writes in a call.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub(crate) struct Claim {
    pub(crate) call: u64,
    pub(crate) writer: u32,
}

/// Where a node stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Standing {
    /// It has not asked for the turn.
    Out,
    /// It is in the queue.
    Queued,
    /// It has the turn, and so many of its writers in a row have had it.
    Owner { turn: Turn, row: u32 },
}

/// What a writer that has its node's turn has to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// Put the node into the queue.
    Enqueue,
    /// Wait until the turn is handed over.
    Await,
    /// Close the gates, and wait until all readers have left.
    Close(Turn),
    /// Write.
    Enter,
    /// Give up: this rank died as a writer.
    GiveUp(u32),
}

/// What a writer that leaves has to do, in this order, before it lets its node's turn go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Leave {
    /// Open the gates, for the so-manieth time.
    pub(crate) open: Option<u32>,
    /// Hand the turn over.
    pub(crate) grant: Option<(Node, Turn)>,
}

impl Standing {
    /// What comes next for a writer. A node that has to enqueue is in the queue from here on.
    pub(crate) fn advance(&mut self) -> Step {
        match *self {
            Standing::Out => {
                *self = Standing::Queued;
                Step::Enqueue
            }
            Standing::Queued => Step::Await,
            Standing::Owner { turn, .. } => match turn.broken_by {
                Some(rank) => Step::GiveUp(rank),
                None if turn.drained => Step::Enter,
                None => Step::Close(turn),
            },
        }
    }

    /// The gates are about to be closed.
    pub(crate) fn note_closed(&mut self) {
        if let Standing::Owner { turn, .. } = self {
            turn.closed = true;
        }
    }

    /// Whether this node has to see to it that the gates open again.
    pub(crate) fn keeps_gates_closed(&self) -> bool {
        matches!(self, Standing::Owner { turn, .. } if turn.closed)
    }

    /// The turn has been handed over to this node.
    pub(crate) fn receive(&mut self, turn: Turn) {
        debug_assert_eq!(
            *self,
            Standing::Queued,
            "who is granted the turn has asked for it"
        );
        *self = Standing::Owner { turn, row: 0 };
    }

    /// All readers have left.
    pub(crate) fn note_drained(&mut self) {
        if let Standing::Owner { turn, .. } = self {
            turn.drained = true;
            turn.empty = None;
        }
    }

    /// The writer goes on as a reader, so the next one has to wait for it.
    pub(crate) fn note_reader(&mut self) {
        if let Standing::Owner { turn, .. } = self {
            turn.drained = false;
        }
    }

    /// What a writer that leaves has to do, or the node's server in its place. `successor` is the
    /// node that was linked behind this one; `waiters` tells whether other writers of this node
    /// wait.
    pub(crate) fn leave(
        &mut self,
        successor: Option<Node>,
        waiters: bool,
        max_local_handovers: u32,
    ) -> Leave {
        let Standing::Owner { turn, row } = self else {
            return Leave::default();
        };
        turn.run += 1;
        *row += 1;
        let next = successor.filter(|_| !waiters || *row >= max_local_handovers);
        let mut leave = Leave::default();
        if turn.closed && ((next.is_none() && !waiters) || turn.run >= RUN) {
            leave.open = Some(turn.open());
        }
        if let Some(node) = next {
            leave.grant = Some((node, *turn));
            *self = Standing::Out;
        }
        leave
    }

    /// The writer did not get in: the gates that it has begun to close open again.
    pub(crate) fn give_up_closing(&mut self) -> Option<u32> {
        match self {
            Standing::Owner { turn, .. } => Some(turn.open()),
            _ => None,
        }
    }
}

impl Turn {
    fn open(&mut self) -> u32 {
        self.openings = self.openings.wrapping_add(1);
        self.closed = false;
        self.drained = false;
        self.empty = None;
        self.run = 0;
        self.openings
    }

    /// Whether who hands the turn over may close its own gate already: the next writer will do so
    /// at once.
    pub(crate) fn may_be_closed_ahead(&self) -> bool {
        !self.drained && self.broken_by.is_none()
    }

    /// The gate of `node` is closed, and readers are inside or not.
    pub(crate) fn note_closed_at(&mut self, node: Node, is_empty: bool) {
        self.closed = true;
        self.empty = is_empty.then_some(node);
    }
}
