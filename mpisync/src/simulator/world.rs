//! The nodes, the network between them, and the run.

use crate::rwlock::global::node_server::NodeServer;
use crate::rwlock::global::site::{Asker, LockMessage, Site};
use crate::rwlock::global::standing::{Standing, Turn};
use crate::rwlock::global::tree::Node as Number;
use crate::rwlock::global::writer;
use crate::rwlock::global::writer::Next;
use crate::rwlock::node::Closed;
use crate::simulator::clock::{Clock, Event, Random};
use crate::simulator::node::{Gate, Node, Waits, Writer};
use crate::simulator::{Machine, Report, Workload};
use std::cell::{Cell, RefCell};

struct World<'a> {
    machine: &'a Machine,
    workload: &'a Workload,
    nodes: Vec<Node>,
    tail: Option<Number>,
    clock: Clock,
    random: Random,
    /// The node of the writer that is in.
    inside: Option<Number>,
    tally: Tally,
}

/// What is counted, from the end of the first fifth on.
#[derive(Default)]
struct Tally {
    writes: u64,
    from: u64,
    reading_before: u128,
    latencies: Vec<u64>,
    drains: (u64, u64),
    messages: u64,
    most_at_the_writer: u64,
}

/// A node as its writer or its server sees it, at work from some moment on.
struct View<'a, 'w> {
    world: &'a RefCell<World<'w>>,
    node: Number,
    /// The time up to which it has worked.
    now: Cell<u64>,
    acts_for_writer: bool,
}

/// The length of a message in bytes, with what MPI adds.
const MESSAGE: f64 = 64.0;

pub(super) fn simulate(machine: &Machine, workload: &Workload) -> Report {
    simulate_with_writers(machine, workload, |_| true)
}

/// The same, where only some ranks, numbered through all nodes, do anything.
pub(super) fn simulate_with_writers(
    machine: &Machine,
    workload: &Workload,
    acts: impl Fn(u32) -> bool,
) -> Report {
    let first = Standing::Owner {
        turn: Turn::default(),
        row: 0,
    };
    let world = RefCell::new(World {
        machine,
        workload,
        nodes: (0..workload.nodes)
            .map(|node| Node::new(if node == 0 { first } else { Standing::Out }))
            .collect(),
        tail: None,
        clock: Clock::default(),
        random: Random(workload.seed),
        inside: None,
        tally: Tally::default(),
    });
    for node in 0..workload.nodes {
        for rank in 0..workload.ranks_per_node {
            if acts(node * workload.ranks_per_node + rank) {
                world.borrow_mut().read_on(node, rank, 0);
            }
        }
        world.borrow_mut().watch_readers(node);
    }
    let mut now = 0;
    while world.borrow().tally.writes < workload.writes {
        let next = world.borrow_mut().clock.next();
        let (at, node, event) = next.expect("the lock never stands still");
        now = at;
        happen(&world, now, node, event);
    }
    world.into_inner().report(now)
}

/// Lets an event happen, and all that it brings about on that node at once.
fn happen(world: &RefCell<World<'_>>, now: u64, node: Number, event: Event) {
    let view = |acts_for_writer| View {
        world,
        node,
        now: Cell::new(now),
        acts_for_writer,
    };
    match event {
        Event::Write { change } => world.borrow_mut().wish(now, node, change),
        Event::Turn { rank } => {
            debug_assert!(
                view(true).of(|here| here.turn.is_some_and(|turn| turn.rank == Some(rank)))
            );
            view(true).advance();
        }
        Event::Leave { rank } => {
            world.borrow_mut().let_out(node);
            let view = view(true);
            writer::release(&view);
            view.finish();
            let mut world = world.borrow_mut();
            world.count_write(now);
            world.read_on(node, rank, now);
        }
        Event::Word(word) => view(is_for_writer(word)).put_by(word),
        Event::Serve { writer } => view(writer).serve(),
        Event::Look => {}
    }
    view(true).look();
    if view(false).of(|here| here.busy) {
        let server = view(false);
        server.as_server(|lock| lock.go_on(&server));
        view(true).look();
    }
    world.borrow_mut().watch_readers(node);
}

/// Whether the writer itself gets the word, and not the server.
fn is_for_writer(word: LockMessage) -> bool {
    let LockMessage::Drained { asker, .. } = word else {
        return false;
    };
    matches!(asker, Asker::Writer(_))
}

impl View<'_, '_> {
    /// Puts a message to those that wait for the writer, or the server, to have time.
    fn put_by(&self, word: LockMessage) {
        let (is_first, free_at) = self.change(|here| {
            let worker = here.worker(self.acts_for_writer);
            worker.inbox.push_back(word);
            (worker.inbox.len() == 1, worker.works_until)
        });
        if is_first {
            self.serve_at(free_at.max(self.now.get()));
        }
    }

    fn serve_at(&self, at: u64) {
        let writer = self.acts_for_writer;
        let mut world = self.world.borrow_mut();
        world.clock.set(at, self.node, Event::Serve { writer });
    }

    /// Handles the first message, if there is time for it now.
    fn serve(&self) {
        let free_at = self.change(|here| here.worker(self.acts_for_writer).works_until);
        if free_at > self.now.get() {
            return self.serve_at(free_at);
        }
        let word = self.change(|here| here.worker(self.acts_for_writer).inbox.pop_front());
        self.work(self.world.borrow().machine.overhead);
        match word.expect("it was put by") {
            LockMessage::Drained { count, .. } if self.acts_for_writer => {
                self.change(|here| {
                    if let Some(turn) = &mut here.turn {
                        turn.answers.1 += u32::from(turn.answers.0 == count);
                    }
                });
                self.finish();
                let done = self.now.get();
                let mut world = self.world.borrow_mut();
                world.clock.set(done, self.node, Event::Look);
            }
            word => self.as_server(|server| {
                server.handle(self, word);
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

    fn of<T>(&self, look: impl FnOnce(&Node) -> T) -> T {
        look(&self.world.borrow().nodes[self.node as usize])
    }

    fn change<T>(&self, change: impl FnOnce(&mut Node) -> T) -> T {
        change(&mut self.world.borrow_mut().nodes[self.node as usize])
    }

    /// Is busy for that time.
    fn work(&self, time: u64) {
        self.now.set(self.now.get() + time);
    }

    /// Notes how long it was busy.
    fn finish(&self) {
        let now = self.now.get();
        self.change(|here| {
            let until = &mut here.worker(self.acts_for_writer).works_until;
            *until = now.max(*until);
        });
    }

    fn as_server(&self, act: impl FnOnce(&mut NodeServer) -> bool) {
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

    /// Goes on with the writer, as far as it can.
    fn advance(&self) {
        let next = writer::advance(self);
        self.finish();
        let waits = match next {
            Next::Enter => return self.enter(),
            Next::AwaitTurn => Waits::Turn,
            Next::AwaitReaders(drain) => Waits::Readers(drain),
            Next::GiveUp(_) => unreachable!("nobody dies here"),
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
            tally.drains.0 += now - closed_at;
            tally.drains.1 += 1;
        }
        let rank = turn.rank.expect("a server does not write");
        let until = now + world.machine.write;
        world.clock.set(until, self.node, Event::Leave { rank });
    }

    /// Whether what the writer waits for is there.
    fn look(&self) {
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

    /// Sends a word to a node, whoever handles it there.
    fn send(&self, node: Number, word: LockMessage) {
        let mut world = self.world.borrow_mut();
        self.work(world.machine.overhead);
        let travels = world.machine.latency + (MESSAGE / world.machine.bandwidth) as u64;
        let at = self.now.get() + travels;
        world.clock.set(at, node, Event::Word(word));
        world.tally.messages += 1;
        if self.acts_for_writer
            && let Some(turn) = &mut world.nodes[self.node as usize].turn
        {
            turn.sent += 1;
        }
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

    fn standing(&self) -> Standing {
        self.of(|here| here.standing)
    }

    fn set_standing(&self, standing: &Standing) {
        self.change(|here| here.standing = *standing);
    }

    fn take_successor(&self) -> Option<Number> {
        self.change(|here| here.successor.take())
    }

    fn take_granted(&self) -> Option<Turn> {
        self.change(|here| here.granted.take())
    }

    fn pass_turn(&self) {
        let mut world = self.world.borrow_mut();
        let at = self.now.get() + world.machine.handover;
        let here = &mut world.nodes[self.node as usize];
        let next = here.queue.pop_front();
        here.turn = next.map(|(rank, since)| Writer::new(Some(rank), since));
        if let Some((rank, _)) = next {
            world.clock.set(at, self.node, Event::Turn { rank });
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

    fn put_granted(&self, turn: &Turn) {
        self.change(|here| here.granted = Some(*turn));
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
            // The last of those who are in has just begun.
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
            world.clock.set(empty_at, self.node, Event::Look);
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

    fn tell(&self, node: Number, word: LockMessage) {
        self.send(node, word);
    }

    fn answer(&self, asker: Asker, count: u32) {
        let (Asker::Writer(node) | Asker::Server(node)) = asker;
        self.send(node, LockMessage::Drained { count, asker });
    }
}

impl World<'_> {
    /// A rank reads until it wants to write again.
    fn read_on(&mut self, node: Number, rank: u32, now: u64) {
        let reads = self.random.failures(self.workload.writers);
        let here = &mut self.nodes[node as usize];
        here.readers
            .add(now, rank, reads * self.machine.read.max(1));
    }

    /// Sets the clock for the next reader of a node that wants to write.
    fn watch_readers(&mut self, node: Number) {
        let readers = &mut self.nodes[node as usize].readers;
        if let Some(at) = readers.next_at() {
            let change = readers.change;
            self.clock.set(at, node, Event::Write { change });
        }
    }

    /// A reader wants to write, as it was foreseen, or not if something changed since.
    fn wish(&mut self, now: u64, node: Number, change: u64) {
        let here = &mut self.nodes[node as usize];
        if here.readers.change != change {
            return;
        }
        let Some(rank) = here.readers.take(now) else {
            return;
        };
        if here.turn.is_some() {
            return here.queue.push_back((rank, now));
        }
        here.turn = Some(Writer::new(Some(rank), now));
        self.clock.set(now, node, Event::Turn { rank });
    }

    /// A writer is in: nobody else is.
    fn enter(&mut self, now: u64, node: Number) {
        assert_eq!(self.inside, None, "two writers, on node {node} and another");
        self.inside = Some(node);
        // Looked at only where it may take long.
        debug_assert!(
            self.nodes
                .iter()
                .all(|node| node.gate.closed && node.gate.empty_at <= now),
            "readers beside a writer"
        );
    }

    fn let_out(&mut self, node: Number) {
        assert_eq!(self.inside.take(), Some(node), "it was in");
    }

    fn count_write(&mut self, now: u64) {
        self.tally.writes += 1;
        if self.tally.writes == self.workload.writes / 5 {
            self.tally = Tally {
                writes: self.tally.writes,
                from: now,
                reading_before: self.reading(now),
                ..Tally::default()
            };
        }
    }

    /// The time that all ranks together have read.
    fn reading(&mut self, now: u64) -> u128 {
        self.nodes
            .iter_mut()
            .map(|node| node.readers.sum(now))
            .sum()
    }

    fn report(mut self, now: u64) -> Report {
        let reading = self.reading(now) - self.tally.reading_before;
        let reads = reading as f64 / self.machine.read.max(1) as f64;
        let Tally {
            mut latencies,
            from,
            drains,
            messages,
            most_at_the_writer,
            ..
        } = self.tally;
        latencies.sort_unstable();
        let writes = latencies.len() as f64;
        let span = (now - from).max(1);
        let per_second = 1e9 / span as f64;
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        Report {
            operations_per_second: (reads + writes) * per_second,
            writes_per_second: writes * per_second,
            write_median: at(0.5),
            write_p99: at(0.99),
            drain_mean: (drains.1 > 0).then(|| drains.0 as f64 / drains.1 as f64),
            messages_per_write: messages as f64 / writes,
            most_at_the_writer,
            span,
        }
    }
}
