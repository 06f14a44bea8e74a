//! Recovery after the death of a writer.
//!
//! A writer that dies may leave more behind than data that is half written: the token may be on its
//! node, on its way, or asked for with a message that was not sent. So the servers begin anew. The
//! server of the dead rank's node tells that of the home node, which starts a new generation: it
//! lets all servers halt. A server halts as soon as it has the turn of its node, when no writer of
//! the node is inside; from then on it drops messages of older generations. When all have halted,
//! there is no token any more and nobody has one on the way. The home node makes a new one and lets
//! the servers resume. Messages of the new generation that come before that wait.
//!
//! If a dead rank may have written, the new token says so: the lock is poisoned, and stays so, with
//! its gates closed, until a rank takes it over. It takes the token as any writer does, and takes
//! the poison off it. When it leaves, it opens all gates, and each node that opens its gate learns
//! from that that the poison is gone. A rank that dies before that poisons the lock anew.
//!
//! A node resumes once its copy of the data has the last version.

use crate::rwlock::global::node_server::NodeServer;
use crate::rwlock::global::site::{LockMessage, Site};
use crate::rwlock::global::token::{Claim, QueueState, Token};
use crate::rwlock::global::tree::Node;
use crate::rwlock::global::version::Version;
use crate::rwlock::layout::GlobalGate;
use serde::{Deserialize, Serialize};

/// A message to the server of a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum ServerMessage {
    /// Of the protocol, in this generation.
    Lock {
        generation: u32,
        message: LockMessage,
    },
    Recovery(RecoveryMessage),
}

/// A message between servers about the death of a writer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(crate) enum RecoveryMessage {
    /// To the home node: a rank has died as a writer in this generation.
    Died { generation: u32, rank: u32 },
    /// From the home node: a rank has died as a writer; halt, and begin this generation.
    Halt { generation: u32, rank: u32 },
    /// To the home node: a node has halted.
    Halted { generation: u32, found: Found },
    /// From the home node: all nodes have halted.
    Resume { generation: u32, start: Start },
}

/// What the halted nodes have found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    /// The most openings of a gate.
    openings: u32,
    /// The rank that died when it may have written, if any.
    poisoned_by: Option<u32>,
    /// The last two fenced calls with a writer.
    claims: [Claim; 2],
    /// The last version of the data.
    version: Version,
}

/// How a generation starts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    openings: u32,
    poisoned_by: Option<u32>,
    /// The last version of the data.
    version: Version,
}

/// A node as its server sees it when the lock recovers.
pub(crate) trait RecoverySite: Site {
    fn generation(&self) -> u32;
    fn send_recovery(&self, node: Node, message: RecoveryMessage);
    /// The rank of this node that has died as a writer and still has the turn.
    fn dead_writer(&self) -> Option<u32>;
    /// Notes that a rank, of any node, has died.
    fn note_death(&self, rank: u32);
    /// The ranks of this node give the turn to the server from now on, or do not any more.
    fn set_halting(&self, is_halting: bool);
    /// Takes the turn if no living rank has it. Returns the dead rank that had it, if any.
    fn seize_turn(&self) -> Result<Option<u32>, ()>;

    /// The rank that has poisoned the lock. This and the following need the turn.
    fn poisoned_by(&self) -> Option<u32>;
    fn set_poisoned_by(&self, rank: Option<u32>);
    /// How often the gate has been opened.
    fn openings(&self) -> u32;
    /// The last fenced calls in the last token of this node.
    fn claims(&self) -> [Claim; 2];
    /// Forgets the queue, the token and the messages of the generations before this one.
    fn begin_generation(&self, generation: u32);
}

/// The server of one node: the protocol, and its recovery.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct RecoveringServer {
    protocol: NodeServer,
    /// The generation for which this node halts or has halted.
    next: Option<u32>,
    has_halted: bool,
    /// How it resumes, as soon as it has the last version of the data.
    start: Option<(Start, [Claim; 2])>,
    /// The generation in which a death was reported to the home node.
    reported: Option<u32>,
    /// On the home node: what the nodes that have halted have found, and how many they are.
    found: Option<(Found, u32)>,
    /// Messages of a generation that this node has not begun yet.
    early: Vec<(u32, LockMessage)>,
}

impl RecoveringServer {
    pub(crate) fn receive(&mut self, site: &impl RecoverySite, message: ServerMessage) {
        match message {
            ServerMessage::Lock {
                generation,
                message,
            } => self.handle(site, generation, message),
            ServerMessage::Recovery(message) => self.recover(site, message),
        }
    }

    /// Does what can be done now. Returns whether work is left.
    pub(crate) fn go_on(&mut self, site: &impl RecoverySite) -> bool {
        self.try_halt(site);
        self.try_resume(site);
        self.start.is_some()
            || !self.has_halted && (self.protocol.go_on(site) || self.next.is_some())
    }

    /// The version of the data that this node waits for.
    pub(crate) fn awaited_version(&self) -> Option<Version> {
        let start = self.start.map(|(start, _)| start.version);
        start.or_else(|| self.protocol.awaited_version())
    }

    /// Whether it has the token and has not put it where the node's writers find it.
    #[cfg(test)]
    pub(crate) fn holds_token(&self) -> bool {
        self.protocol.holds_token()
    }

    /// Whether it waits for readers of this node or of its children.
    pub(crate) fn waits_for_readers(&self) -> bool {
        self.protocol.waits_for_readers()
    }

    /// Looks for a writer of this node that has died.
    pub(crate) fn inspect(&mut self, site: &impl RecoverySite) {
        let generation = site.generation();
        if self.next.is_none()
            && self.reported != Some(generation)
            && let Some(rank) = site.dead_writer()
        {
            self.reported = Some(generation);
            self.send_home(site, RecoveryMessage::Died { generation, rank });
        }
    }

    fn handle(&mut self, site: &impl RecoverySite, generation: u32, message: LockMessage) {
        let mine = site.generation();
        let is_later = generation.wrapping_sub(mine) as i32 > 0;
        if is_later || generation == mine && self.has_halted {
            self.early.push((generation, message));
        } else if generation == mine {
            self.protocol.handle(site, message);
        }
    }

    fn recover(&mut self, site: &impl RecoverySite, message: RecoveryMessage) {
        let mine = site.generation();
        match message {
            RecoveryMessage::Died { generation, rank } => {
                // Otherwise the death was found by another recovery.
                if generation == mine && self.next.is_none() {
                    let generation = mine.wrapping_add(1);
                    send_to_others(site, RecoveryMessage::Halt { generation, rank });
                    self.begin(site, generation, rank);
                }
            }
            RecoveryMessage::Halt { generation, rank } => self.begin(site, generation, rank),
            RecoveryMessage::Halted { generation, found } => {
                if self.next == Some(generation) {
                    self.count(site, found);
                }
            }
            RecoveryMessage::Resume { generation, start } => {
                debug_assert_eq!(self.next, Some(generation), "the home node waits for it");
                self.resume(site, start, [Claim::default(); 2]);
            }
        }
    }

    fn send_home(&mut self, site: &impl RecoverySite, message: RecoveryMessage) {
        if site.home() == site.node() {
            self.recover(site, message);
        } else {
            site.send_recovery(site.home(), message);
        }
    }

    fn begin(&mut self, site: &impl RecoverySite, generation: u32, rank: u32) {
        // The other parts of the object must know it before the lock can be had again.
        site.note_death(rank);
        self.next = Some(generation);
        // It halts anew if it has not resumed yet.
        self.has_halted = false;
        site.set_halting(true);
        self.try_halt(site);
    }

    /// Halts, if that was asked for and no writer is inside.
    fn try_halt(&mut self, site: &impl RecoverySite) {
        let Some(generation) = self.next.filter(|_| !self.has_halted) else {
            return;
        };
        let Ok(dead) = site.seize_turn() else {
            return;
        };
        let (token, may_have_written) = match site.queue_state() {
            QueueState::Owner { token, .. } => (Some(token), token.drained),
            _ => (None, false),
        };
        let gate = site.openings();
        let mut found = Found {
            openings: token.map_or(gate, |token| later(gate, token.openings)),
            poisoned_by: dead.filter(|_| may_have_written).or(site.poisoned_by()),
            // Of a node without the token they may be old, but not wrong.
            claims: site.claims(),
            version: token.map_or(site.version(), |token| token.version.later(site.version())),
        };
        if let Some((start, claims)) = self.start.take() {
            found = found.and(start.found(claims));
        }
        site.begin_generation(generation);
        self.protocol = NodeServer::default();
        self.has_halted = true;
        self.send_home(site, RecoveryMessage::Halted { generation, found });
    }

    /// On the home node: one more node has halted.
    fn count(&mut self, site: &impl RecoverySite, found: Found) {
        let (all, count) = match self.found.take() {
            None => (found, 1),
            Some((before, count)) => (before.and(found), count + 1),
        };
        if count < site.nodes() {
            self.found = Some((all, count));
            return;
        }
        let start = Start {
            // The gates stay closed if the lock is poisoned. Otherwise all of them open, whatever they were.
            openings: match all.poisoned_by {
                Some(_) => all.openings,
                None => all.openings.wrapping_add(1),
            },
            poisoned_by: all.poisoned_by,
            version: all.version,
        };
        let generation = site.generation();
        send_to_others(site, RecoveryMessage::Resume { generation, start });
        self.resume(site, start, all.claims);
    }

    fn resume(&mut self, site: &impl RecoverySite, start: Start, claims: [Claim; 2]) {
        self.start = Some((start, claims));
        self.next = None;
        self.try_resume(site);
    }

    fn try_resume(&mut self, site: &impl RecoverySite) {
        let may_resume = |(start, _): &mut (Start, _)| site.version().includes(start.version);
        let Some((start, claims)) = self.start.take_if(may_resume) else {
            return;
        };
        let Start {
            openings,
            poisoned_by,
            version,
        } = start;
        if site.home() == site.node() {
            let token = Token {
                openings,
                closed: poisoned_by.is_some(),
                broken_by: poisoned_by,
                version,
                claims,
                ..Token::default()
            };
            let handovers = 0;
            site.set_queue_state(&QueueState::Owner { token, handovers });
        }
        match poisoned_by {
            Some(_) => drop(site.close_gate(openings)),
            // Takes the poison off as well.
            None => site.open_gate(openings),
        }
        site.set_poisoned_by(poisoned_by);
        let early = std::mem::take(&mut self.early);
        *self = RecoveringServer::default();
        site.set_halting(false);
        site.pass_turn();
        for (generation, message) in early {
            self.handle(site, generation, message);
        }
    }
}

fn send_to_others(site: &impl RecoverySite, message: RecoveryMessage) {
    let others = (0..site.nodes()).filter(|node| *node != site.node());
    others.for_each(|node| site.send_recovery(node, message));
}

impl Start {
    /// What a node has found that has not resumed yet.
    fn found(self, claims: [Claim; 2]) -> Found {
        Found {
            openings: self.openings,
            poisoned_by: self.poisoned_by,
            claims,
            version: self.version,
        }
    }
}

impl Found {
    /// What two nodes have found.
    fn and(self, other: Found) -> Found {
        let newer = |index: usize| {
            let [one, two] = [self.claims[index], other.claims[index]];
            if one.call >= two.call { one } else { two }
        };
        Found {
            openings: later(self.openings, other.openings),
            poisoned_by: self.poisoned_by.or(other.poisoned_by),
            claims: [newer(0), newer(1)],
            version: self.version.later(other.version),
        }
    }
}

/// The later of two numbers of openings, which wrap around.
fn later(one: u32, two: u32) -> u32 {
    let [first, second] = [one, two].map(GlobalGate::open);
    let latest = if second.is_past(first) { second } else { first };
    latest.openings()
}
