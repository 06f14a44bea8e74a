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

use crate::rwlock::global::lock::GlobalLock;
use crate::rwlock::global::server::ServerMessage;
use crate::rwlock::global::token::{Claim, QueueState, Token};
use crate::rwlock::layout::GlobalGate;
use crate::rwlock::memory::{LockMemory, Memory};
use crate::rwlock::node::NodeLock;
use crate::shm::wait::Surroundings;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// A message between servers about the death of a writer.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum RecoveryMessage {
    /// To the home node: a writer has died in this generation.
    Died { generation: u32, rank: u32 },
    /// From the home node: a rank has died as a writer; halt, and begin this generation.
    Halt { generation: u32, rank: u32 },
    /// To the home node: a node has halted.
    Halted { generation: u32, found: Found },
    /// From the home node: all nodes have halted.
    Resume { generation: u32, start: Start },
}

/// What the halted nodes have found.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    /// The most openings of a gate.
    openings: u32,
    /// The rank that died when it may have written, if any.
    poisoned_by: Option<u32>,
    /// The last two fenced calls with a writer.
    claims: [Claim; 2],
}

/// How a generation starts.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Start {
    openings: u32,
    poisoned_by: Option<u32>,
}

/// The recovery of a lock, as the server of one node sees it.
#[derive(Default)]
pub(super) struct Recovery {
    /// The generation for which this node halts or has halted.
    next: Option<u32>,
    has_halted: bool,
    /// The generation in which a death was reported to the home node.
    reported: Option<u32>,
    /// On the home node: what the nodes that have halted have found, and how many they are.
    found: Option<(Found, u32)>,
}

/// What the server of a node needs for the recovery.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) global: &'a GlobalLock,
    pub(super) memory: &'a LockMemory,
}

impl<'a> Place<'a> {
    fn lock(self) -> NodeLock<&'a LockMemory> {
        NodeLock {
            memory: self.memory,
        }
    }

    fn is_home(self) -> bool {
        self.global.home() == self.global.net().node()
    }

    fn generation(self) -> u32 {
        self.memory.qnode().generation.load(Ordering::Relaxed)
    }

    fn send_to_others(self, message: RecoveryMessage) {
        self.global
            .send_to_others(&ServerMessage::Recovery(message));
    }
}

impl Recovery {
    /// Whether this node has halted, so that messages of the protocol have to wait.
    pub(super) fn has_halted(&self) -> bool {
        self.has_halted
    }

    /// Whether this node is to halt, or has halted.
    pub(super) fn is_under_way(&self) -> bool {
        self.next.is_some()
    }

    /// Looks for a writer of this node that has died.
    pub(super) fn inspect(&mut self, place: Place<'_>) {
        let generation = place.generation();
        if self.next.is_none()
            && self.reported != Some(generation)
            && let Some(rank) = place.global.dead_writer(place.lock())
        {
            self.reported = Some(generation);
            self.send_home(place, RecoveryMessage::Died { generation, rank });
        }
    }

    fn send_home(&mut self, place: Place<'_>, message: RecoveryMessage) {
        if place.is_home() {
            self.receive(place, message);
        } else {
            let home = place.global.home();
            place
                .global
                .send_to_server(home, &ServerMessage::Recovery(message));
        }
    }

    pub(super) fn receive(&mut self, place: Place<'_>, message: RecoveryMessage) {
        let mine = place.generation();
        match message {
            RecoveryMessage::Died { generation, rank } => {
                if generation == mine && self.next.is_none() {
                    let generation = mine.wrapping_add(1);
                    place.send_to_others(RecoveryMessage::Halt { generation, rank });
                    self.begin(place, generation, rank);
                }
            }
            RecoveryMessage::Halt { generation, rank } => self.begin(place, generation, rank),
            RecoveryMessage::Halted { generation, found } => {
                if self.next == Some(generation) {
                    self.count(place, found);
                }
            }
            RecoveryMessage::Resume { generation, start } => {
                debug_assert_eq!(
                    self.next,
                    Some(generation),
                    "the home node waits for this one"
                );
                self.resume(place, start, [Claim::default(); 2]);
            }
        }
    }

    fn begin(&mut self, place: Place<'_>, generation: u32, rank: u32) {
        // The other parts of the object must know it before the lock can be had again.
        place.global.net().domain().note_death(rank);
        self.next = Some(generation);
        // Release: a writer that finds it set leaves, and finds the turn of this node taken.
        place.memory.qnode().halting.store(1, Ordering::Release);
    }

    /// Halts, if that was asked for and no writer is inside. Returns whether this node has just
    /// halted.
    pub(super) fn try_halt(&mut self, place: Place<'_>) -> bool {
        let Some(generation) = self.next.filter(|_| !self.has_halted) else {
            return false;
        };
        let lock = place.lock();
        let dead = match lock.seize_turn() {
            Ok(dead) => dead,
            Err(()) => return false,
        };
        self.has_halted = true;
        let found = Self::leave_generation(place, generation, dead);
        self.send_home(place, RecoveryMessage::Halted { generation, found });
        true
    }

    /// As the holder of the turn, which was taken over from `dead`, if any: forgets the queue.
    fn leave_generation(place: Place<'_>, generation: u32, dead: Option<usize>) -> Found {
        let qnode = place.memory.qnode();
        let state = qnode.state();
        let (token, may_have_written) = match state {
            QueueState::Owner { token, .. } => (Some(token), token.drained),
            _ => (None, false),
        };
        let ranks = place.global.net().topology().local_ranks();
        let dead = dead.and_then(|local_rank| ranks.get(local_rank).copied());
        let was = qnode.broken.load(Ordering::Relaxed).checked_sub(1);
        let gate = place.memory.gate().openings(Ordering::Acquire);
        let found = Found {
            openings: token.map_or(gate, |token| later(gate, token.openings)),
            poisoned_by: dead.filter(|_| may_have_written).or(was),
            // Of a node without the token they may be old, but not wrong.
            claims: qnode.token.get().claims,
        };
        qnode.forget_queue();
        qnode.generation.store(generation, Ordering::Relaxed);
        found
    }

    /// On the home node: one more node has halted.
    fn count(&mut self, place: Place<'_>, found: Found) {
        let (all, count) = match self.found.take() {
            None => (found, 1),
            Some((before, count)) => (before.and(found), count + 1),
        };
        if count < place.global.net().nodes() {
            self.found = Some((all, count));
            return;
        }
        let start = Start {
            // The gates stay closed if the lock is poisoned. Else all of them open, whatever they were.
            openings: match all.poisoned_by {
                Some(_) => all.openings,
                None => all.openings.wrapping_add(1),
            },
            poisoned_by: all.poisoned_by,
        };
        let generation = place.generation();
        place.send_to_others(RecoveryMessage::Resume { generation, start });
        self.resume(place, start, all.claims);
    }

    fn resume(&mut self, place: Place<'_>, start: Start, claims: [Claim; 2]) {
        let Start {
            openings,
            poisoned_by,
        } = start;
        let (lock, qnode) = (place.lock(), place.memory.qnode());
        if place.is_home() {
            let token = Token {
                openings,
                closed: poisoned_by.is_some(),
                broken_by: poisoned_by,
                claims,
                ..Token::default()
            };
            let handovers = 0;
            qnode.set_state(&QueueState::Owner { token, handovers });
        }
        let broken = poisoned_by.map_or(0, |rank| rank + 1);
        qnode.broken.store(broken, Ordering::Relaxed);
        match poisoned_by {
            Some(_) => drop(lock.close_gate(openings)),
            None => drop(lock.open_gate(openings)),
        }
        *self = Recovery::default();
        qnode.halting.store(0, Ordering::Release);
        lock.pass_turn_without_opening();
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
        }
    }
}

/// The later of two numbers of openings, which wrap around.
fn later(one: u32, two: u32) -> u32 {
    let [first, second] = [one, two].map(GlobalGate::open);
    let latest = if second.is_past(first) { second } else { first };
    latest.openings()
}

/// As a rank.
impl LockMemory {
    /// Whether the server of this node takes the turn, and keeps it until the lock has recovered.
    pub(super) fn is_halting(&self) -> bool {
        self.qnode().halting.load(Ordering::Acquire) != 0
    }

    /// Whether the lock is poisoned, or may turn out to be.
    pub(super) fn may_be_poisoned(&self) -> bool {
        self.is_halting() || self.check().is_err()
    }
}
