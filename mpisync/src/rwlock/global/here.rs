//! A node as the protocol sees it: its words in shared memory, and messages to the other nodes.

use crate::net::Acknowledged;
use crate::rwlock::global::layout::{IDLE, OWNER, QNode, QUEUED, TokenWords, VersionWords};
use crate::rwlock::global::lock::GlobalLock;
use crate::rwlock::global::recovery::{RecoveryMessage, RecoverySite, ServerMessage};
use crate::rwlock::global::site::{Asker, LockMessage, Site};
use crate::rwlock::global::token::{Claim, QueueState, Token};
use crate::rwlock::global::tree::Node;
use crate::rwlock::global::version::Version;
use crate::rwlock::layout::{GlobalGate, Turn};
use crate::rwlock::memory::{LockMemory, Memory};
use crate::rwlock::node::{Closed, NodeLock};
use crate::shm::event::{ALL, Event};
use crate::shm::wait::Stop;
use std::sync::atomic::Ordering;

/// This node: its words in shared memory, and messages to the other nodes.
pub(crate) struct Here<'a> {
    pub(super) global: &'a GlobalLock,
    pub(super) lock: NodeLock<&'a LockMemory>,
    pub(super) qnode: &'a QNode,
}

impl Site for Here<'_> {
    fn node(&self) -> Node {
        self.global.net().node()
    }

    fn nodes(&self) -> u32 {
        self.global.net().nodes()
    }

    fn home(&self) -> Node {
        self.global.home
    }

    fn max_local_handovers(&self) -> u32 {
        self.global.max_local_handovers
    }

    fn queue_state(&self) -> QueueState {
        self.qnode.state()
    }

    fn set_queue_state(&self, state: &QueueState) {
        self.qnode.set_state(state);
    }

    fn take_successor(&self) -> Option<Node> {
        self.qnode
            .successor
            .swap(0, Ordering::AcqRel)
            .checked_sub(1)
    }

    fn take_granted(&self) -> Option<Token> {
        self.qnode.take_granted()
    }

    fn pass_turn(&self) {
        self.lock.pass_turn_without_opening();
    }

    fn writers_wait(&self) -> bool {
        self.lock.waiting_writers() > 0
    }

    fn try_turn(&self) -> bool {
        self.lock.try_turn() || self.lock.try_forsaken_turn()
    }

    fn successor(&self) -> Option<Node> {
        self.qnode.successor.load(Ordering::Acquire).checked_sub(1)
    }

    fn has_arrived(&self) -> bool {
        self.qnode.has_arrived()
    }

    fn exchange_tail(&self, node: Node) -> Option<Node> {
        self.qnode
            .tail
            .swap(node + 1, Ordering::AcqRel)
            .checked_sub(1)
    }

    fn set_successor(&self, node: Node) {
        self.qnode.successor.store(node + 1, Ordering::Release);
    }

    fn put_granted(&self, token: &Token) {
        self.qnode.granted.set(token);
        self.qnode.arrived.swap(1, Ordering::SeqCst);
        self.qnode.arrival().wake(ALL);
    }

    fn close_gate(&self, count: u32) -> Option<Closed> {
        self.lock.close_gate(count)
    }

    fn open_gate(&self, count: u32) {
        // Before the gate opens: a reader that is let in, and then waits again, must not find it.
        self.qnode.broken.store(0, Ordering::Relaxed);
        self.lock.open_gate(count);
    }

    fn readers_have_left(&self, closed: Closed) -> bool {
        self.lock.readers_have_left(closed)
    }

    fn version(&self) -> Version {
        self.qnode.copy.version.get()
    }

    fn asker(&self) -> Asker {
        Asker::Writer(self.global.net().rank())
    }

    fn expect_answers(&self, count: u32) {
        self.global.answers.expect(self.qnode.number(count));
    }

    fn answers(&self, count: u32) -> u32 {
        self.global.answers.count(self.qnode.number(count))
    }

    fn send(&self, node: Node, message: LockMessage) {
        let generation = self.qnode.generation.load(Ordering::Relaxed);
        let message = ServerMessage::Lock {
            generation,
            message,
        };
        self.global.port.send(node, &message);
    }

    fn answer(&self, asker: Asker, count: u32) {
        match asker {
            Asker::Writer(rank) => {
                let number = self.qnode.number(count);
                self.global
                    .port
                    .send_to_rank(rank, &Acknowledged { number });
            }
            Asker::Server(node) => self.send(node, LockMessage::Drained { count, asker }),
        }
    }
}

impl RecoverySite for Here<'_> {
    fn generation(&self) -> u32 {
        self.qnode.generation.load(Ordering::Relaxed)
    }

    fn send_recovery(&self, node: Node, message: RecoveryMessage) {
        let message = ServerMessage::Recovery(message);
        self.global.port.send(node, &message);
    }

    fn dead_writer(&self) -> Option<u32> {
        match self.lock.inspect_owner() {
            Err(Stop::Died(local_rank)) => self.rank_of(local_rank),
            Err(Stop::RankDied(rank)) => Some(rank),
            _ => None,
        }
    }

    fn note_death(&self, rank: u32) {
        self.global.net().domain().note_death(rank);
    }

    fn set_halting(&self, is_halting: bool) {
        // Release: a writer that finds it cleared finds what the server has done.
        self.qnode
            .halting
            .store(is_halting.into(), Ordering::Release);
    }

    fn seize_turn(&self) -> Result<Option<u32>, ()> {
        let member = self.lock.dead_member();
        let dead = self.lock.seize_turn()?;
        Ok(dead.and_then(|owner| match owner {
            Turn::RANGES => member,
            local_rank => self.rank_of(local_rank),
        }))
    }

    fn poisoned_by(&self) -> Option<u32> {
        self.qnode.broken.load(Ordering::Relaxed).checked_sub(1)
    }

    fn set_poisoned_by(&self, rank: Option<u32>) {
        let broken = rank.map_or(0, |rank| rank + 1);
        self.qnode.broken.store(broken, Ordering::Relaxed);
    }

    fn openings(&self) -> u32 {
        self.lock.memory.gate().openings(Ordering::Acquire)
    }

    fn claims(&self) -> [Claim; 2] {
        self.qnode.token.get().claims
    }

    fn begin_generation(&self, generation: u32) {
        self.qnode.forget_queue();
        self.qnode.generation.store(generation, Ordering::Relaxed);
    }
}

impl Here<'_> {
    /// Whether this local rank, which does not wait for the lock, has it as a writer.
    pub(super) fn writes(&self, local_rank: usize) -> bool {
        // The words of a turn change only with it.
        let is_drained =
            matches!(self.qnode.state(), QueueState::Owner { token, .. } if token.drained);
        is_drained && self.lock.holders().writer == Some(local_rank)
    }

    /// The rank with this local rank; none for the server.
    fn rank_of(&self, local_rank: usize) -> Option<u32> {
        let ranks = self.global.net().topology().local_ranks();
        ranks.get(local_rank).copied()
    }
}

/// The words as values. The words are stored with the node's turn, which orders them.
impl QNode {
    pub(super) fn state(&self) -> QueueState {
        match self.state.load(Ordering::Relaxed) {
            IDLE => QueueState::Idle,
            QUEUED => QueueState::Queued,
            _ => QueueState::Owner {
                token: self.token.get(),
                handovers: self.handovers.load(Ordering::Relaxed),
            },
        }
    }

    pub(super) fn set_state(&self, state: &QueueState) {
        let word = match state {
            QueueState::Idle => IDLE,
            QueueState::Queued => QUEUED,
            QueueState::Owner { token, handovers } => {
                self.token.set(token);
                self.handovers.store(*handovers, Ordering::Relaxed);
                OWNER
            }
        };
        self.state.store(word, Ordering::Relaxed);
    }

    /// As the server with the node's turn: forgets the queue and the token.
    fn forget_queue(&self) {
        self.set_state(&QueueState::Idle);
        for word in [&self.tail, &self.successor, &self.arrived] {
            word.store(0, Ordering::Release);
        }
    }

    /// The number under which the answers to a close are counted: the same number of openings may
    /// be closed again in the next generation, when late answers may still come.
    fn number(&self, count: u32) -> u32 {
        let generation = self.generation.load(Ordering::Relaxed);
        GlobalGate::open(count).openings() | generation << 30
    }

    fn has_arrived(&self) -> bool {
        self.arrived.load(Ordering::Acquire) != 0
    }

    pub(super) fn take_granted(&self) -> Option<Token> {
        if !self.has_arrived() {
            return None;
        }
        let token = self.granted.get();
        self.arrived.store(0, Ordering::Relaxed);
        Some(token)
    }

    pub(super) fn arrival(&self) -> Event<'_> {
        Event {
            word: &self.arrived,
            sleepers: &self.arrival_sleepers,
        }
    }
}

impl TokenWords {
    fn get(&self) -> Token {
        let claim = |index: usize| Claim {
            call: self.calls[index].load(Ordering::Relaxed),
            writer: self.writers[index].load(Ordering::Relaxed),
        };
        Token {
            openings: self.openings.load(Ordering::Relaxed),
            closed: self.closed.load(Ordering::Relaxed) != 0,
            drained: self.drained.load(Ordering::Relaxed) != 0,
            empty: self.empty.load(Ordering::Relaxed).checked_sub(1),
            run: self.run.load(Ordering::Relaxed),
            version: self.version.get(),
            broken_by: self.broken_by.load(Ordering::Relaxed).checked_sub(1),
            claims: [claim(0), claim(1)],
        }
    }

    fn set(&self, token: &Token) {
        self.openings.store(token.openings, Ordering::Relaxed);
        self.closed.store(token.closed.into(), Ordering::Relaxed);
        self.drained.store(token.drained.into(), Ordering::Relaxed);
        let empty = token.empty.map_or(0, |node| node + 1);
        self.empty.store(empty, Ordering::Relaxed);
        self.run.store(token.run, Ordering::Relaxed);
        self.version.set(token.version);
        let broken_by = token.broken_by.map_or(0, |rank| rank + 1);
        self.broken_by.store(broken_by, Ordering::Relaxed);
        for (index, claim) in token.claims.iter().enumerate() {
            self.calls[index].store(claim.call, Ordering::Relaxed);
            self.writers[index].store(claim.writer, Ordering::Relaxed);
        }
    }
}

impl VersionWords {
    pub(super) fn get(&self) -> Version {
        Version {
            number: self.number.load(Ordering::Acquire),
            writer: self.writer.load(Ordering::Relaxed),
        }
    }

    pub(super) fn set(&self, version: Version) {
        self.writer.store(version.writer, Ordering::Relaxed);
        // Release: whoever finds the number finds what has changed.
        self.number.store(version.number, Ordering::Release);
    }
}
