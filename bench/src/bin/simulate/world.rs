//! The nodes, the network between them, and the run.

mod view;

use crate::clock::{Clock, Random};
use crate::model::{Drain, Machine, Report, Workload};
use crate::node::{Node, Writer};
use crate::rwlock::global::site::{Asker, LockMessage};
use crate::rwlock::global::token::{QueueState, Token};
use crate::rwlock::global::tree::Node as Number;
use crate::rwlock::global::writer;
use crate::world::view::View;
use std::cell::{Cell, RefCell};

struct World<'a> {
    machine: &'a Machine,
    workload: &'a Workload,
    nodes: Vec<Node>,
    tail: Option<Number>,
    clock: Clock<(Number, Event)>,
    random: Random,
    /// The node of the writer that holds the lock.
    inside: Option<Number>,
    tally: Tally,
}

/// Something that happens on a node.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A reader of the node requests to write, unless the schedule has changed since.
    Write { change: u64 },
    /// This rank of the node has the turn.
    Turn { rank: u32 },
    /// Its writer releases the lock.
    Leave { rank: u32 },
    /// A message has arrived.
    Message(LockMessage),
    /// The writer, or else the server, has time for the next message.
    Serve { writer: bool },
    /// The wait of the writer may be over.
    Look,
}

/// The measurements, from the end of the first fifth on.
#[derive(Default)]
struct Tally {
    writes: u64,
    from: u64,
    reading_before: u128,
    latencies: Vec<u64>,
    drains: Vec<u64>,
    messages: u64,
    most_at_the_writer: u64,
}

pub(super) fn simulate(machine: &Machine, workload: &Workload) -> Report {
    simulate_with_writers(machine, workload, |_| true)
}

/// The same, where only the ranks that `acts` selects take part; they are numbered over all nodes.
pub(super) fn simulate_with_writers(
    machine: &Machine,
    workload: &Workload,
    acts: impl Fn(u32) -> bool,
) -> Report {
    let first = QueueState::Owner {
        token: Token::default(),
        handovers: 0,
    };
    let world = RefCell::new(World {
        machine,
        workload,
        nodes: (0..workload.nodes)
            .map(|node| Node::new(if node == 0 { first } else { QueueState::Idle }))
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
        let (at, (node, event)) = next.expect("the lock never stands still");
        now = at;
        happen(&world, now, node, event);
    }
    world.into_inner().report(now)
}

/// Runs an event and everything that it causes on this node at once.
fn happen(world: &RefCell<World<'_>>, now: u64, node: Number, event: Event) {
    let view = |acts_for_writer| View {
        world,
        node,
        now: Cell::new(now),
        acts_for_writer,
    };
    match event {
        Event::Write { change } => world.borrow_mut().request(now, node, change),
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
        Event::Message(message) => view(is_for_writer(message)).put_by(message),
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

/// Whether the message is for the writer itself, not the server.
fn is_for_writer(message: LockMessage) -> bool {
    let LockMessage::Drained { asker, .. } = message else {
        return false;
    };
    matches!(asker, Asker::Writer(_))
}

impl World<'_> {
    /// A rank reads until it wants to write again.
    fn read_on(&mut self, node: Number, rank: u32, now: u64) {
        let reads = self.random.failures(self.workload.writers);
        let here = &mut self.nodes[node as usize];
        here.readers
            .add(now, rank, reads * self.machine.read.max(1));
    }

    /// Schedules the next write request of the node's readers.
    fn watch_readers(&mut self, node: Number) {
        let readers = &mut self.nodes[node as usize].readers;
        if let Some(at) = readers.next_at() {
            let change = readers.change;
            self.clock.set(at, (node, Event::Write { change }));
        }
    }

    /// A reader requests to write, unless the schedule has changed since.
    fn request(&mut self, now: u64, node: Number, change: u64) {
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
        self.clock.set(now, (node, Event::Turn { rank }));
    }

    /// A writer enters; no other rank may hold the lock.
    fn enter(&mut self, now: u64, node: Number) {
        assert_eq!(self.inside, None, "two writers, on node {node} and another");
        self.inside = Some(node);
        // Checked in debug builds only: it takes time.
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

    /// The total reading time of all ranks.
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
            mut drains,
            messages,
            most_at_the_writer,
            ..
        } = self.tally;
        latencies.sort_unstable();
        drains.sort_unstable();
        let writes = latencies.len() as f64;
        let span = (now - from).max(1);
        let per_second = 1e9 / span as f64;
        let at = |sorted: &[u64], share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
        Report {
            operations_per_second: (reads + writes) * per_second,
            writes_per_second: writes * per_second,
            write_median: at(&latencies, 0.5),
            write_p99: at(&latencies, 0.99),
            drain: (!drains.is_empty()).then(|| Drain {
                mean: drains.iter().sum::<u64>() as f64 / drains.len() as f64,
                first_decile: at(&drains, 0.1),
                median: at(&drains, 0.5),
                last_decile: at(&drains, 0.9),
            }),
            messages_per_write: messages as f64 / writes,
            most_at_the_writer,
            span,
        }
    }
}
