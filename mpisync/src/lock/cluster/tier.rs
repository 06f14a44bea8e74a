//! A writer's way through the queue of nodes, and what a node does about it.

use super::standing::{Claim, Leave, Standing, Step, Turn};
use super::tree;
use crate::cluster::{Desk, Hub, Word};
use crate::lock::node::NodeLock;
use crate::memory::block::Block;
use crate::memory::event::Event;
use crate::memory::words::lock::READING;
use crate::memory::words::station::{OUT, OWNER, QUEUED, Station, TurnWords};
use crate::memory::{Memory, Surroundings};
use crate::wait::{Deadline, Stop, wait};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a writer that does not want to wait waits for the network.
const TRY: Duration = Duration::from_millis(50);

/// The cluster's side of one controller, as one rank sees it.
pub(crate) struct Tier {
    pub(crate) hub: Arc<Hub>,
    /// The controller's number.
    pub(crate) number: u64,
    /// What this rank waits for, from other nodes.
    pub(crate) desk: Arc<Desk>,
    /// How many writers of a node may follow each other while another node waits.
    pub(crate) handovers: u32,
    /// The node with the queue's tail.
    pub(crate) home: u32,
}

/// As a writer.
impl Tier {
    /// Takes the lock for writing.
    pub(crate) fn write(&self, lock: &NodeLock<Block>, deadline: Deadline) -> Result<(), Stop> {
        if let Err(stop) = lock.take_turn(|| deadline) {
            // The writer before may have left the gates closed for this one.
            self.tidy(lock);
            return Err(stop);
        }
        self.enter(lock, deadline)
    }

    /// Takes the lock for writing if that can be had within a few round trips.
    pub(crate) fn try_write(&self, lock: &NodeLock<Block>) -> bool {
        lock.try_turn() && self.enter(lock, Deadline::after(TRY)).is_ok()
    }

    /// From the node's turn to the cluster's, and in. Lets the node's turn go on an error.
    fn enter(&self, lock: &NodeLock<Block>, deadline: Deadline) -> Result<(), Stop> {
        let station = lock.memory.station();
        let mut standing = station.standing();
        let stop = loop {
            match standing.advance() {
                Step::Enqueue => {
                    station.set_standing(&standing);
                    self.enqueue(station);
                }
                Step::Await => match self.await_turn(lock, deadline) {
                    Ok(turn) => standing.receive(turn),
                    Err(stop) => break stop,
                },
                Step::Close(count) => {
                    standing.note_closed();
                    match self.close(lock, count, deadline) {
                        Ok(()) => standing.note_drained(),
                        Err(stop) => {
                            let open = standing.give_up_closing();
                            self.leave(lock, Leave { open, grant: None });
                            break stop;
                        }
                    }
                }
                Step::Enter => {
                    station.set_standing(&standing);
                    return Ok(());
                }
                Step::GiveUp(rank) => break Stop::RankDied(rank),
            }
        };
        self.release(lock, standing);
        Err(stop)
    }

    /// Puts this node into the queue; the node before it hears of it.
    fn enqueue(&self, station: &Station) {
        let node = self.hub.node();
        if self.home == node {
            self.hub.enqueue_at_home(self.number, station, node);
        } else {
            self.hub
                .tell(self.home, self.number, Word::Enqueue { node });
        }
    }

    fn await_turn(&self, lock: &NodeLock<Block>, deadline: Deadline) -> Result<Turn, Stop> {
        let station = lock.memory.station();
        wait(
            &lock.memory,
            station.arrival(),
            deadline,
            || station.take_granted(),
            || lock.memory.check(),
        )
    }

    /// Takes readers of this node that died for readers that left.
    pub(crate) fn clear_dead_readers(&self, lock: &NodeLock<Block>) {
        (0..lock.memory.seats_of_ranks()).for_each(|seat| lock.clear_dead_reader(seat));
    }

    /// The rank of this node that died as a writer, if one did.
    pub(crate) fn dead_writer(&self, lock: &NodeLock<Block>) -> Option<u32> {
        match lock.inspect_owner() {
            Err(Stop::Died(seat)) => self.hub.topology().here().get(seat).copied(),
            _ => None,
        }
    }

    /// Closes all gates and waits until no reader is inside.
    fn close(&self, lock: &NodeLock<Block>, count: u32, deadline: Deadline) -> Result<(), Stop> {
        let (root, parent) = (self.hub.node(), self.hub.rank());
        self.desk.expect_answers(count);
        let mut told = 0;
        for node in tree::children(root, root, self.hub.nodes()) {
            let close = Word::Close {
                count,
                root,
                parent,
            };
            self.hub.tell(node, self.number, close);
            told += 1;
        }
        let closed = lock.close_gate(count);
        let closed = closed.expect("nobody but who has the turn opens the gate");
        wait(
            &lock.memory,
            lock.left(),
            deadline,
            || {
                let answered = self.desk.answers(count) == told;
                (answered && lock.readers_have_left(closed)).then_some(())
            },
            || {
                self.clear_dead_readers(lock);
                lock.memory.check()
            },
        )
    }

    /// Lets the lock go after writing; waits for nobody.
    pub(crate) fn unlock_write(&self, lock: &NodeLock<Block>) {
        self.release(lock, lock.memory.station().standing());
    }

    /// Turns the write lock into a read lock; no other writer gets in between.
    pub(crate) fn downgrade(&self, lock: &NodeLock<Block>) {
        let mut standing = lock.memory.station().standing();
        standing.note_reader();
        let slot = &lock.memory.my_words().slot;
        // Before the gate opens or the turn goes on: who closes the gate again finds it.
        slot.store(READING, Ordering::Release);
        self.release(lock, standing);
    }

    /// Hands the cluster's turn on where that is due, and lets the node's turn go.
    fn release(&self, lock: &NodeLock<Block>, mut standing: Standing) {
        let station = lock.memory.station();
        loop {
            let waiters = lock.waiting_writers() > 0;
            let leave = standing.leave(station.successor(), waiters, self.handovers);
            if leave.grant.is_some() {
                station.take_successor();
            }
            self.leave(lock, leave);
            station.set_standing(&standing);
            let keeps_closed = standing.keeps_gates_closed();
            lock.pass_turn_without_opening();
            // The writer for which the gates stay closed may have given up in the meantime.
            if !(keeps_closed && lock.try_turn()) {
                return;
            }
            standing = station.standing();
        }
    }

    /// Forgets writers of this node that died while they waited.
    pub(crate) fn forget_dead_writers(&self, lock: &NodeLock<Block>) {
        if lock.waiting_writers() > 0 {
            lock.forget_dead_writers();
            self.tidy(lock);
        }
    }

    /// Opens the gates where they are closed for no writer.
    fn tidy(&self, lock: &NodeLock<Block>) {
        if lock.try_turn() {
            self.release(lock, lock.memory.station().standing());
        }
    }

    fn leave(&self, lock: &NodeLock<Block>, leave: Leave) {
        if let Some(count) = leave.open {
            lock.open_gate(count);
            let root = self.hub.node();
            for node in tree::children(root, root, self.hub.nodes()) {
                self.hub.tell(node, self.number, Word::Open { count, root });
            }
        }
        if let Some((node, turn)) = leave.grant {
            self.hub.tell(node, self.number, Word::Grant(turn));
        }
    }

    /// What the node's agent does about the turn while no writer of the node is at it: takes up a turn that came too
    /// late for who had asked, and hands over to the node behind. False where a writer is at it and the agent has to
    /// come again.
    pub(crate) fn settle(&self, lock: &NodeLock<Block>) -> bool {
        let station = lock.memory.station();
        if station.successor().is_none() && !station.has_arrived() {
            return true;
        }
        if !lock.try_turn() {
            return false;
        }
        let mut standing = station.standing();
        if let Some(turn) = station.take_granted() {
            standing.receive(turn);
        }
        self.release(lock, standing);
        true
    }

    /// Makes `writer` the writer of `call`; only under the write lock. The error is who is it already.
    pub(crate) fn claim(&self, station: &Station, call: u64, writer: u32) -> Result<(), u32> {
        let mut standing = station.standing();
        if let Standing::Owner { turn, .. } = &mut standing {
            if let Some(claim) = turn.claims.iter().find(|claim| claim.call == call) {
                return Err(claim.writer);
            }
            turn.claims[(call % 2) as usize] = Claim { call, writer };
        }
        station.set_standing(&standing);
        Ok(())
    }
}

/// Between words and values. The words are stored with the node's turn, which orders them.
impl Station {
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

    /// The node behind this one.
    pub(crate) fn successor(&self) -> Option<u32> {
        self.successor.load(Ordering::Acquire).checked_sub(1)
    }

    pub(crate) fn set_successor(&self, node: u32) {
        self.successor.store(node + 1, Ordering::Release);
    }

    pub(crate) fn take_successor(&self) -> Option<u32> {
        self.successor.swap(0, Ordering::AcqRel).checked_sub(1)
    }

    pub(crate) fn has_arrived(&self) -> bool {
        self.arrived.load(Ordering::Acquire) != 0
    }

    /// Puts a turn there that was handed over.
    pub(crate) fn put_granted(&self, turn: &Turn) {
        self.granted.set(turn);
        self.arrived.swap(1, Ordering::SeqCst);
        self.arrival().wake(crate::memory::event::ALL);
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
            run: self.run.load(Ordering::Relaxed),
            broken_by: self.broken_by.load(Ordering::Relaxed).checked_sub(1),
            claims: [claim(0), claim(1)],
        }
    }

    fn set(&self, turn: &Turn) {
        self.openings.store(turn.openings, Ordering::Relaxed);
        self.closed.store(turn.closed.into(), Ordering::Relaxed);
        self.drained.store(turn.drained.into(), Ordering::Relaxed);
        self.run.store(turn.run, Ordering::Relaxed);
        let broken_by = turn.broken_by.map_or(0, |rank| rank + 1);
        self.broken_by.store(broken_by, Ordering::Relaxed);
        for (index, claim) in turn.claims.iter().enumerate() {
            self.calls[index].store(claim.call, Ordering::Relaxed);
            self.writers[index].store(claim.writer, Ordering::Relaxed);
        }
    }
}
