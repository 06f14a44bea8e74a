//! A node of the simulation, as the protocol sees it.

use crate::node::{Gate, Node, Waits, Writer};
use crate::rwlock::global::node_server::NodeServer;
use crate::rwlock::global::site::{Asker, LockMessage, Site};
use crate::rwlock::global::token::{QueueState, Token};
use crate::rwlock::global::tree::Node as Number;
use crate::rwlock::global::version::Version;
use crate::rwlock::global::writer;
use crate::rwlock::global::writer::Next;
use crate::rwlock::node::Closed;
use crate::world::{Event, World};
use std::cell::{Cell, RefCell};

/// A node as its writer or its server sees it, from some moment on.
pub(super) struct View<'a, 'w> {
    pub(super) world: &'a RefCell<World<'w>>,
    pub(super) node: Number,
    /// The time up to which it has worked.
    pub(super) now: Cell<u64>,
    pub(super) acts_for_writer: bool,
}

/// The length of a message in bytes, with the header of MPI.
const MESSAGE: f64 = 64.0;

impl View<'_, '_> {
    /// Queues a message until the writer, or the server, has time.
    pub(super) fn put_by(&self, message: LockMessage) {
        let (is_first, free_at) = self.change(|here| {
            let worker = here.worker(self.acts_for_writer);
            worker.inbox.push_back(message);
            (worker.inbox.len() == 1, worker.works_until)
        });
        if is_first {
            self.serve_at(free_at.max(self.now.get()));
        }
    }

    fn serve_at(&self, at: u64) {
        let writer = self.acts_for_writer;
        let mut world = self.world.borrow_mut();
        world.clock.set(at, (self.node, Event::Serve { writer }));
    }

    /// Handles the first message if there is time for it now.
    pub(super) fn serve(&self) {
        let free_at = self.change(|here| here.worker(self.acts_for_writer).works_until);
        if free_at > self.now.get() {
            return self.serve_at(free_at);
        }
        let message = self.change(|here| here.worker(self.acts_for_writer).inbox.pop_front());
        self.work(self.world.borrow().machine.overhead);
        match message.expect("it is queued") {
            LockMessage::Drained { count, .. } if self.acts_for_writer => {
                self.change(|here| {
                    if let Some(turn) = &mut here.turn {
                        turn.answers.1 += u32::from(turn.answers.0 == count);
                    }
                });
                self.finish();
                let done = self.now.get();
                let mut world = self.world.borrow_mut();
                world.clock.set(done, (self.node, Event::Look));
            }
            message => self.as_server(|server| {
                server.handle(self, message);
                server.go_on(self)
            }),
        }
        let (is_more, free_at) = self.change(|here| {
            let worker = here.worker(self.acts_for_writer);
            (!worker.inbox.is_empty(), worker.works_until)
        });
        if is_more {
            self.serve_at(free_at);
        }
    }

    pub(super) fn of<T>(&self, look: impl FnOnce(&Node) -> T) -> T {
        look(&self.world.borrow().nodes[self.node as usize])
    }

    fn change<T>(&self, change: impl FnOnce(&mut Node) -> T) -> T {
        change(&mut self.world.borrow_mut().nodes[self.node as usize])
    }

    /// Is busy for this time.
    fn work(&self, time: u64) {
        self.now.set(self.now.get() + time);
    }

    /// Records how long it was busy.
    pub(super) fn finish(&self) {
        let now = self.now.get();
        self.change(|here| {
            let until = &mut here.worker(self.acts_for_writer).works_until;
            *until = now.max(*until);
        });
    }

    pub(super) fn as_server(&self, act: impl FnOnce(&mut NodeServer) -> bool) {
        let mut server = self
            .change(|here| here.server.take())
            .expect("one at a time");
        let busy = act(&mut server);
        self.change(|here| {
            here.server = Some(server);
            here.busy = busy;
        });
        self.finish();
    }

    /// Advances the writer as far as possible.
    pub(super) fn advance(&self) {
        let next = writer::advance(self);
        self.finish();
        let waits = match next {
            Next::Enter => return self.enter(),
            Next::AwaitToken => Waits::Turn,
            Next::AwaitReaders(drain) => Waits::Readers(drain),
            Next::GiveUp(_) => unreachable!("no rank dies here"),
        };
        self.change(|here| {
            let turn = here.turn.as_mut().expect("it has the turn");
            turn.waits = Some(waits);
        });
    }

    fn enter(&self) {
        let now = self.now.get();
        let turn = self.of(|here| here.turn).expect("it has the turn");
        let mut world = self.world.borrow_mut();
        world.enter(now, self.node);
        let tally = &mut world.tally;
        tally.latencies.push(now - turn.since);
        tally.most_at_the_writer = tally.most_at_the_writer.max(turn.sent);
        if let Some(closed_at) = turn.closed_at {
            tally.drains.push(now - closed_at);
        }
        let rank = turn.rank.expect("a server does not write");
        let until = now + world.machine.write;
        world.clock.set(until, (self.node, Event::Leave { rank }));
    }

    /// Advances the writer if its wait is over.
    pub(super) fn look(&self) {
        let Some(turn) = self.of(|here| here.turn) else {
            return;
        };
        match turn.waits {
            Some(Waits::Turn) => {
                if let Some(granted) = self.take_granted() {
                    writer::receive(self, granted);
                    self.forget_wait();
                    self.advance();
                }
            }
            Some(Waits::Readers(drain)) if writer::have_drained(self, drain) => {
                writer::note_drained(self);
                self.forget_wait();
                self.advance();
            }
            _ => {}
        }
    }

    fn forget_wait(&self) {
        self.change(|here| {
            if let Some(turn) = &mut here.turn {
                turn.waits = None;
            }
        });
    }
}

impl Site for View<'_, '_> {
    fn node(&self) -> Number {
        self.node
    }

    fn nodes(&self) -> u32 {
        self.world.borrow().workload.nodes
    }

    fn home(&self) -> Number {
        0
    }

    fn max_local_handovers(&self) -> u32 {
        self.world.borrow().workload.max_local_handovers
    }

    fn fan_out(&self) -> u32 {
        self.world.borrow().workload.fan_out
    }

    fn queue_state(&self) -> QueueState {
        self.of(|here| here.queue_state)
    }

    fn set_queue_state(&self, state: &QueueState) {
        self.change(|here| here.queue_state = *state);
    }

    fn take_successor(&self) -> Option<Number> {
        self.change(|here| here.successor.take())
    }

    fn take_granted(&self) -> Option<Token> {
        self.change(|here| here.granted.take())
    }

    fn pass_turn(&self) {
        let mut world = self.world.borrow_mut();
        let at = self.now.get() + world.machine.handover;
        let here = &mut world.nodes[self.node as usize];
        let next = here.queue.pop_front();
        here.turn = next.map(|(rank, since)| Writer::new(Some(rank), since));
        if let Some((rank, _)) = next {
            world.clock.set(at, (self.node, Event::Turn { rank }));
        }
    }

    fn writers_wait(&self) -> bool {
        self.of(|here| !here.queue.is_empty())
    }

    fn try_turn(&self) -> bool {
        let now = self.now.get();
        self.change(|here| {
            let free = here.turn.is_none() && here.queue.is_empty();
            if free {
                here.turn = Some(Writer::new(None, now));
            }
            free
        })
    }

    fn successor(&self) -> Option<Number> {
        self.of(|here| here.successor)
    }

    fn has_arrived(&self) -> bool {
        self.of(|here| here.granted.is_some())
    }

    fn exchange_tail(&self, node: Number) -> Option<Number> {
        self.world.borrow_mut().tail.replace(node)
    }

    fn set_successor(&self, node: Number) {
        self.change(|here| here.successor = Some(node));
    }

    fn put_granted(&self, token: &Token) {
        self.change(|here| here.granted = Some(*token));
    }

    fn close_gate(&self, count: u32) -> Option<Closed> {
        let now = self.now.get();
        let mut world = self.world.borrow_mut();
        let read = world.machine.read;
        let here = &mut world.nodes[self.node as usize];
        if here.gate.openings > count {
            return None;
        }
        if here.gate.openings < count || !here.gate.closed {
            here.readers.stop(now);
            // The last reader inside has just begun.
            let empty_at = if here.readers.is_empty() {
                now
            } else {
                now + read
            };
            here.gate = Gate {
                openings: count,
                closed: true,
                empty_at,
            };
            world.clock.set(empty_at, (self.node, Event::Look));
        }
        Some(Closed { openings: count })
    }

    fn open_gate(&self, count: u32) {
        let now = self.now.get();
        self.change(|here| {
            if here.gate.openings < count {
                here.gate.openings = count;
                here.gate.closed = false;
                here.readers.start(now);
            }
        });
    }

    fn readers_have_left(&self, closed: Closed) -> bool {
        let now = self.now.get();
        self.of(|here| here.gate.openings == closed.openings && here.gate.empty_at <= now)
    }

    /// There are no data.
    fn version(&self) -> Version {
        Version::default()
    }

    fn asker(&self) -> Asker {
        Asker::Writer(self.node)
    }

    fn expect_answers(&self, count: u32) {
        let now = self.now.get();
        self.change(|here| {
            let turn = here.turn.as_mut().expect("it has the turn");
            turn.answers = (count, 0);
            turn.closed_at = Some(now);
        });
    }

    fn answers(&self, count: u32) -> u32 {
        let answers = self.of(|here| here.turn.map_or((0, 0), |turn| turn.answers));
        if answers.0 == count { answers.1 } else { 0 }
    }

    fn send(&self, node: Number, message: LockMessage) {
        let mut world = self.world.borrow_mut();
        self.work(world.machine.overhead);
        let travels = world.machine.latency + (MESSAGE / world.machine.bandwidth) as u64;
        let at = self.now.get() + travels;
        world.clock.set(at, (node, Event::Message(message)));
        world.tally.messages += 1;
        if self.acts_for_writer
            && let Some(turn) = &mut world.nodes[self.node as usize].turn
        {
            turn.sent += 1;
        }
    }

    fn answer(&self, asker: Asker, count: u32) {
        let (Asker::Writer(node) | Asker::Server(node)) = asker;
        self.send(node, LockMessage::Drained { count, asker });
    }
}
