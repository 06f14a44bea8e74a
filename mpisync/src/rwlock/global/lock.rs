//! The lock across nodes: the protocol on real nodes, with words in shared memory and messages
//! between the nodes.

use crate::net::{Acknowledged, Acknowledgements, Link, Network, Port};
use crate::rwlock::global::layout::{IDLE, OWNER, QNode, QUEUED, TokenWords};
use crate::rwlock::global::server::{LockServer, ServerMessage};
use crate::rwlock::global::site::{Asker, LockMessage, Site};
use crate::rwlock::global::token::{Claim, QueueState, Token};
use crate::rwlock::global::tree::Node;
use crate::rwlock::global::writer;
use crate::rwlock::global::writer::{Drain, Next};
use crate::rwlock::layout::{GlobalGate, READING};
use crate::rwlock::memory::{LockMemory, Memory};
use crate::rwlock::node::{Closed, NodeLock};
use crate::shm::event::{ALL, Event};
use crate::shm::wait::{Deadline, Stop, Surroundings, wait};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long `try_write` waits for the network.
const TRY: Duration = Duration::from_millis(50);

/// The lock across nodes, as one rank sees it.
pub(crate) struct GlobalLock {
    port: Port,
    /// The answers of other nodes to this rank's close.
    answers: Arc<Acknowledgements>,
    max_local_handovers: u32,
    home: u32,
}

impl GlobalLock {
    /// Opens the port of an object's lock and, on a leader, begins to serve it.
    pub(crate) fn open(link: &Link, max_local_handovers: u32) -> Self {
        let port = link.port();
        let global = || GlobalLock {
            port: port.clone(),
            answers: Arc::default(),
            max_local_handovers,
            home: link.home(),
        };
        if let Some(block) = link.leader() {
            let memory = LockMemory::new(block.first_part());
            if link.is_home() {
                // The queue begins here.
                memory.qnode().set_state(&QueueState::Owner {
                    token: Token::default(),
                    handovers: 0,
                });
            }
            port.serve(LockServer::new(global(), memory));
        }
        let global = global();
        port.listen(&global.answers);
        global
    }

    pub(super) fn net(&self) -> &Network {
        self.port.net()
    }

    pub(super) fn home(&self) -> Node {
        self.home
    }

    pub(super) fn send_to_server(&self, node: Node, message: &ServerMessage) {
        self.port.send(node, message);
    }

    pub(super) fn send_to_others(&self, message: &ServerMessage) {
        self.port.send_to_others(message);
    }
}

/// As a writer.
impl GlobalLock {
    /// Enters as a writer.
    pub(crate) fn write(
        &self,
        lock: NodeLock<&LockMemory>,
        deadline: Deadline<'_>,
    ) -> Result<(), Stop> {
        loop {
            if let Err(stop) = lock.take_turn(|| deadline) {
                // The last writer may have left the gates closed for this one.
                writer::tidy(&self.at(lock));
                return Err(stop);
            }
            match self.enter(lock, deadline, OnPoison::GiveUp) {
                // The server of this node has the turn meanwhile.
                Err(Stop::Again) => {}
                entered => return entered.map(drop),
            }
        }
    }

    /// Enters as a writer in place of a rank that died as one. Returns that rank; none if the lock
    /// is not poisoned, and then this rank has not entered.
    pub(crate) fn take_over(
        &self,
        lock: NodeLock<&LockMemory>,
        deadline: Deadline<'_>,
    ) -> Result<Option<u32>, Stop> {
        while lock.memory.may_be_poisoned() {
            if let Err(stop) = lock.take_turn(|| deadline) {
                writer::tidy(&self.at(lock));
                return Err(stop);
            }
            match self.enter(lock, deadline, OnPoison::TakeOver) {
                Err(Stop::Again) => {}
                Ok(None) => {
                    // Another rank has taken over before.
                    self.unlock_write(lock);
                    return Ok(None);
                }
                entered => return entered,
            }
        }
        Ok(None)
    }

    /// Enters as a writer if that takes a few round trips only.
    pub(crate) fn try_write(&self, lock: NodeLock<&LockMemory>) -> bool {
        let soon = || Deadline::after(TRY);
        lock.try_turn() && self.enter(lock, soon(), OnPoison::GiveUp).is_ok()
    }

    /// Enters with the node's turn: takes the token, then waits until all readers have left. Releases
    /// the turn on an error. Returns the dead rank from which it has taken over, if any.
    fn enter(
        &self,
        lock: NodeLock<&LockMemory>,
        deadline: Deadline<'_>,
        on_poison: OnPoison,
    ) -> Result<Option<u32>, Stop> {
        let site = self.at(lock);
        let mut dead = None;
        let check = || match lock.memory.is_halting() {
            true => Err(Stop::Again),
            false if on_poison == OnPoison::TakeOver => Ok(()),
            false => lock.memory.check(),
        };
        let stop = loop {
            if lock.memory.is_halting() {
                break Stop::Again;
            }
            match writer::advance(&site) {
                Next::Enter => {
                    if on_poison == OnPoison::TakeOver {
                        // With a token that is not poisoned. That the gates have opened may not be known here yet.
                        site.qnode.broken.store(0, Ordering::Relaxed);
                    }
                    return Ok(dead);
                }
                Next::AwaitToken => match self.await_token(lock, deadline, check) {
                    Ok(token) => writer::receive(&site, token),
                    Err(stop) => break stop,
                },
                Next::AwaitReaders(drain) => {
                    match self.await_readers(&site, drain, deadline, check) {
                        Ok(()) => writer::note_drained(&site),
                        Err(Stop::Again) => break Stop::Again,
                        Err(stop) if dead.is_some() => {
                            // The lock stays poisoned.
                            writer::poison(&site, dead);
                            break stop;
                        }
                        Err(stop) => {
                            writer::reopen(&site);
                            break stop;
                        }
                    }
                }
                Next::GiveUp(rank) if on_poison == OnPoison::TakeOver => {
                    writer::forgive(&site);
                    dead = Some(rank);
                }
                Next::GiveUp(rank) => break Stop::RankDied(rank),
            }
        };
        if stop == Stop::Again {
            // All that this rank has done is void.
            let server = lock.memory.local_size();
            lock.give_turn(server);
        } else {
            writer::release(&site);
        }
        Err(stop)
    }

    fn await_token(
        &self,
        lock: NodeLock<&LockMemory>,
        deadline: Deadline<'_>,
        check: impl FnMut() -> Result<(), Stop>,
    ) -> Result<Token, Stop> {
        let qnode = lock.memory.qnode();
        wait(
            lock.memory,
            qnode.arrival(),
            deadline,
            || qnode.take_granted(),
            check,
        )
    }

    fn await_readers(
        &self,
        site: &Here<'_>,
        drain: Drain,
        deadline: Deadline<'_>,
        check: impl Fn() -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let lock = site.lock;
        wait(
            lock.memory,
            lock.left(),
            deadline,
            || writer::have_drained(site, drain).then_some(()),
            || {
                self.clear_dead_readers(lock);
                check()
            },
        )
    }

    /// Leaves as a writer; does not wait.
    pub(crate) fn unlock_write(&self, lock: NodeLock<&LockMemory>) {
        writer::release(&self.at(lock));
    }

    /// Turns the write lock into a read lock; no other rank writes in between.
    pub(crate) fn downgrade(&self, lock: NodeLock<&LockMemory>) {
        let site = self.at(lock);
        writer::note_reader(&site);
        let slot = &lock.memory.my_words().slot;
        // Before the gate opens or the token is handed over: whoever closes the gate again finds the slot.
        slot.store(READING, Ordering::Release);
        writer::release(&site);
    }

    /// This node, as the protocol sees it.
    pub(crate) fn at<'a>(&'a self, lock: NodeLock<&'a LockMemory>) -> Here<'a> {
        Here {
            global: self,
            qnode: lock.memory.qnode(),
            lock,
        }
    }
}

/// Recovery from dead ranks.
impl GlobalLock {
    /// Clears the slots of dead ranks of this node.
    pub(crate) fn clear_dead_readers(&self, lock: NodeLock<&LockMemory>) {
        (0..lock.memory.local_size()).for_each(|local_rank| lock.clear_dead_reader(local_rank));
    }

    /// The rank of this node that died as a writer, if any.
    pub(crate) fn dead_writer(&self, lock: NodeLock<&LockMemory>) -> Option<u32> {
        let local_rank = lock.dead_writer()?;
        self.net().topology().local_ranks().get(local_rank).copied()
    }

    /// Withdraws the requests of writers of this node that died while they waited, and opens gates
    /// that are closed for a writer that died.
    pub(crate) fn forget_dead_writers(&self, lock: NodeLock<&LockMemory>) {
        let site = self.at(lock);
        let writers_wait = site.writers_wait();
        if writers_wait {
            lock.forget_dead_writers();
        }
        if writers_wait || site.queue_state().keeps_gates_closed() {
            writer::tidy(&site);
        }
    }
}

/// In fenced calls.
impl GlobalLock {
    /// Makes this rank the writer of `call`; only under the write lock. The error is the rank that
    /// already is.
    pub(crate) fn claim(&self, qnode: &QNode, call: u64) -> Result<(), u32> {
        let writer = self.net().rank();
        let mut state = qnode.state();
        if let QueueState::Owner { token, .. } = &mut state {
            if let Some(claim) = token.claims.iter().find(|claim| claim.call == call) {
                return Err(claim.writer);
            }
            token.claims[(call % 2) as usize] = Claim { call, writer };
        }
        qnode.set_state(&state);
        Ok(())
    }
}

/// What a writer does if the lock is poisoned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnPoison {
    GiveUp,
    TakeOver,
}

/// This node: its words in shared memory, and messages to the other nodes.
pub(crate) struct Here<'a> {
    global: &'a GlobalLock,
    lock: NodeLock<&'a LockMemory>,
    qnode: &'a QNode,
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
    pub(super) fn forget_queue(&self) {
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

    fn take_granted(&self) -> Option<Token> {
        if !self.has_arrived() {
            return None;
        }
        let token = self.granted.get();
        self.arrived.store(0, Ordering::Relaxed);
        Some(token)
    }

    fn arrival(&self) -> Event<'_> {
        Event {
            word: &self.arrived,
            sleepers: &self.arrival_sleepers,
        }
    }
}

impl TokenWords {
    pub(super) fn get(&self) -> Token {
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
        let broken_by = token.broken_by.map_or(0, |rank| rank + 1);
        self.broken_by.store(broken_by, Ordering::Relaxed);
        for (index, claim) in token.claims.iter().enumerate() {
            self.calls[index].store(claim.call, Ordering::Relaxed);
            self.writers[index].store(claim.writer, Ordering::Relaxed);
        }
    }
}
