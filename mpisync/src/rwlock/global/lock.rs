//! The protocol on real nodes: their words lie in shared memory, and what they say to each other
//! goes by messages.

use crate::net::{Acknowledged, Acknowledgements, Link, Network, Port};
use crate::rwlock::global::layout::{OUT, OWNER, QNode, QUEUED, TurnWords};
use crate::rwlock::global::server::{LockServer, ServerMessage};
use crate::rwlock::global::site::{Asker, LockMessage, Site};
use crate::rwlock::global::standing::{Claim, Standing, Turn};
use crate::rwlock::global::tree::Node;
use crate::rwlock::global::writer;
use crate::rwlock::global::writer::{Drain, Next};
use crate::rwlock::layout::READING;
use crate::rwlock::memory::{LockMemory, Memory};
use crate::rwlock::node::{Closed, NodeLock};
use crate::shm::event::{ALL, Event};
use crate::shm::wait::{Deadline, Stop, Surroundings, wait};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a writer that does not want to wait waits for the network.
const TRY: Duration = Duration::from_millis(50);

/// The lock across nodes, as one rank sees it.
pub(crate) struct GlobalLock {
    port: Port,
    /// What this rank's closing of the gates has come to on other nodes.
    answers: Arc<Acknowledgements>,
    /// How many writers of a node may follow each other while another node waits.
    max_local_handovers: u32,
    /// The node with the queue's tail.
    home: u32,
}

impl GlobalLock {
    /// Opens the port of an object's lock, and begins to serve it on a leader.
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
                let turn = Turn::default();
                let owner = Standing::Owner { turn, row: 0 };
                memory.qnode().set_standing(&owner);
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

    /// Tells all other nodes that a rank died as a writer.
    pub(super) fn send_broken(&self, rank: u32) {
        self.port.send_to_others(&ServerMessage::Broken { rank });
    }
}

/// As a writer.
impl GlobalLock {
    /// Takes the lock for writing.
    pub(crate) fn write(
        &self,
        lock: NodeLock<&LockMemory>,
        deadline: Deadline,
    ) -> Result<(), Stop> {
        if let Err(stop) = lock.take_turn(|| deadline) {
            // The writer before may have left the gates closed for this one.
            writer::tidy(&self.at(lock));
            return Err(stop);
        }
        self.enter(lock, deadline)
    }

    /// Takes the lock for writing if that can be had within a few round trips.
    pub(crate) fn try_write(&self, lock: NodeLock<&LockMemory>) -> bool {
        lock.try_turn() && self.enter(lock, Deadline::after(TRY)).is_ok()
    }

    /// From the node's turn to the cluster's, and in. Lets the node's turn go on an error.
    fn enter(&self, lock: NodeLock<&LockMemory>, deadline: Deadline) -> Result<(), Stop> {
        let site = self.at(lock);
        let stop = loop {
            match writer::advance(&site) {
                Next::Enter => return Ok(()),
                Next::AwaitTurn => match self.await_turn(lock, deadline) {
                    Ok(turn) => writer::receive(&site, turn),
                    Err(stop) => break stop,
                },
                Next::AwaitReaders(drain) => match self.await_readers(&site, drain, deadline) {
                    Ok(()) => writer::note_drained(&site),
                    Err(stop) => {
                        writer::reopen(&site);
                        break stop;
                    }
                },
                Next::GiveUp(rank) => break Stop::RankDied(rank),
            }
        };
        writer::release(&site);
        Err(stop)
    }

    fn await_turn(&self, lock: NodeLock<&LockMemory>, deadline: Deadline) -> Result<Turn, Stop> {
        let qnode = lock.memory.qnode();
        wait(
            lock.memory,
            qnode.arrival(),
            deadline,
            || qnode.take_granted(),
            || lock.memory.check(),
        )
    }

    fn await_readers(&self, site: &Here<'_>, drain: Drain, deadline: Deadline) -> Result<(), Stop> {
        let lock = site.lock;
        wait(
            lock.memory,
            lock.left(),
            deadline,
            || writer::have_drained(site, drain).then_some(()),
            || {
                self.clear_dead_readers(lock);
                lock.memory.check()
            },
        )
    }

    /// Lets the lock go after writing; waits for nobody.
    pub(crate) fn unlock_write(&self, lock: NodeLock<&LockMemory>) {
        writer::release(&self.at(lock));
    }

    /// Turns the write lock into a read lock; no other writer gets in between.
    pub(crate) fn downgrade(&self, lock: NodeLock<&LockMemory>) {
        let site = self.at(lock);
        writer::note_reader(&site);
        let slot = &lock.memory.my_words().slot;
        // Before the gate opens or the turn goes on: who closes the gate again finds it.
        slot.store(READING, Ordering::Release);
        writer::release(&site);
    }

    /// The node, for the protocol.
    pub(crate) fn at<'a>(&'a self, lock: NodeLock<&'a LockMemory>) -> Here<'a> {
        Here {
            global: self,
            qnode: lock.memory.qnode(),
            lock,
        }
    }
}

/// About ranks that died.
impl GlobalLock {
    /// Takes readers of this node that died for readers that left.
    pub(crate) fn clear_dead_readers(&self, lock: NodeLock<&LockMemory>) {
        (0..lock.memory.seats_of_ranks()).for_each(|seat| lock.clear_dead_reader(seat));
    }

    /// The rank of this node that died as a writer, if one did.
    pub(crate) fn dead_writer(&self, lock: NodeLock<&LockMemory>) -> Option<u32> {
        match lock.inspect_owner() {
            Err(Stop::Died(seat)) => self.net().topology().local_ranks().get(seat).copied(),
            _ => None,
        }
    }

    /// Forgets writers of this node that died while they waited, or before they took up the turn
    /// for which the gates stay closed.
    pub(crate) fn forget_dead_writers(&self, lock: NodeLock<&LockMemory>) {
        let site = self.at(lock);
        let somebody_waits = lock.waiting_writers() > 0;
        if somebody_waits {
            lock.forget_dead_writers();
        }
        if somebody_waits || site.standing().keeps_gates_closed() {
            writer::tidy(&site);
        }
    }
}

/// In calls.
impl GlobalLock {
    /// Makes this rank the writer of `call`; only under the write lock. The error is who is it
    /// already.
    pub(crate) fn claim(&self, qnode: &QNode, call: u64) -> Result<(), u32> {
        let writer = self.net().rank();
        let mut standing = qnode.standing();
        if let Standing::Owner { turn, .. } = &mut standing {
            if let Some(claim) = turn.claims.iter().find(|claim| claim.call == call) {
                return Err(claim.writer);
            }
            turn.claims[(call % 2) as usize] = Claim { call, writer };
        }
        qnode.set_standing(&standing);
        Ok(())
    }
}

/// This node: its words in shared memory, and messages to the others.
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

    fn standing(&self) -> Standing {
        self.qnode.standing()
    }

    fn set_standing(&self, standing: &Standing) {
        self.qnode.set_standing(standing);
    }

    fn take_successor(&self) -> Option<Node> {
        self.qnode
            .successor
            .swap(0, Ordering::AcqRel)
            .checked_sub(1)
    }

    fn take_granted(&self) -> Option<Turn> {
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

    fn put_granted(&self, turn: &Turn) {
        self.qnode.granted.set(turn);
        self.qnode.arrived.swap(1, Ordering::SeqCst);
        self.qnode.arrival().wake(ALL);
    }

    fn close_gate(&self, count: u32) -> Option<Closed> {
        self.lock.close_gate(count)
    }

    fn open_gate(&self, count: u32) {
        self.lock.open_gate(count);
    }

    fn readers_have_left(&self, closed: Closed) -> bool {
        self.lock.readers_have_left(closed)
    }

    fn asker(&self) -> Asker {
        Asker::Writer(self.global.net().rank())
    }

    fn expect_answers(&self, count: u32) {
        self.global.answers.expect(count);
    }

    fn answers(&self, count: u32) -> u32 {
        self.global.answers.count(count)
    }

    fn tell(&self, node: Node, word: LockMessage) {
        self.global.port.send(node, &ServerMessage::Lock(word));
    }

    fn answer(&self, asker: Asker, count: u32) {
        match asker {
            Asker::Writer(rank) => {
                let number = count;
                self.global
                    .port
                    .send_to_rank(rank, &Acknowledged { number });
            }
            Asker::Server(node) => self.tell(node, LockMessage::Drained { count, asker }),
        }
    }
}

/// Between words and values. The words are stored with the node's turn, which orders them.
impl QNode {
    pub(crate) fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Relaxed) {
            OUT => Standing::Out,
            QUEUED => Standing::Queued,
            _ => Standing::Owner {
                turn: self.turn.get(),
                row: self.row.load(Ordering::Relaxed),
            },
        }
    }

    pub(crate) fn set_standing(&self, standing: &Standing) {
        let word = match standing {
            Standing::Out => OUT,
            Standing::Queued => QUEUED,
            Standing::Owner { turn, row } => {
                self.turn.set(turn);
                self.row.store(*row, Ordering::Relaxed);
                OWNER
            }
        };
        self.standing.store(word, Ordering::Relaxed);
    }

    pub(crate) fn has_arrived(&self) -> bool {
        self.arrived.load(Ordering::Acquire) != 0
    }

    pub(crate) fn take_granted(&self) -> Option<Turn> {
        if !self.has_arrived() {
            return None;
        }
        let turn = self.granted.get();
        self.arrived.store(0, Ordering::Relaxed);
        Some(turn)
    }

    fn arrival(&self) -> Event<'_> {
        Event {
            word: &self.arrived,
            sleepers: &self.arrival_sleepers,
        }
    }
}

impl TurnWords {
    pub(crate) fn get(&self) -> Turn {
        let claim = |index: usize| Claim {
            call: self.calls[index].load(Ordering::Relaxed),
            writer: self.writers[index].load(Ordering::Relaxed),
        };
        Turn {
            openings: self.openings.load(Ordering::Relaxed),
            closed: self.closed.load(Ordering::Relaxed) != 0,
            drained: self.drained.load(Ordering::Relaxed) != 0,
            empty: self.empty.load(Ordering::Relaxed).checked_sub(1),
            run: self.run.load(Ordering::Relaxed),
            broken_by: self.broken_by.load(Ordering::Relaxed).checked_sub(1),
            claims: [claim(0), claim(1)],
        }
    }

    fn set(&self, turn: &Turn) {
        self.openings.store(turn.openings, Ordering::Relaxed);
        self.closed.store(turn.closed.into(), Ordering::Relaxed);
        self.drained.store(turn.drained.into(), Ordering::Relaxed);
        let empty = turn.empty.map_or(0, |node| node + 1);
        self.empty.store(empty, Ordering::Relaxed);
        self.run.store(turn.run, Ordering::Relaxed);
        let broken_by = turn.broken_by.map_or(0, |rank| rank + 1);
        self.broken_by.store(broken_by, Ordering::Relaxed);
        for (index, claim) in turn.claims.iter().enumerate() {
            self.calls[index].store(claim.call, Ordering::Relaxed);
            self.writers[index].store(claim.writer, Ordering::Relaxed);
        }
    }
}
