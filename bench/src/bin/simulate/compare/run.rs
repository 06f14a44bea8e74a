//! Clients that take locks of a table again and again.

use crate::clock::Random;
use crate::compare::engine::{Program, Task};
use crate::compare::network::Network;
use crate::compare::popularity::Zipf;
use std::cell::RefCell;
use std::collections::HashMap;

/// A thread that takes locks. The tasks of all clients are numbered from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Client {
    pub(super) task: Task,
    pub(super) machine: u32,
}

/// A lock of the table, and the machine with its memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) home: u32,
}

/// A kind of lock.
pub(super) trait Design {
    const NAME: &'static str;

    /// Waits until the client has the lock, alone if it `writes`.
    async fn acquire(&self, me: Client, lock: Place, writes: bool);

    /// Lets the lock go, and waits until the client may go on.
    async fn release(&self, me: Client, lock: Place, writes: bool);

    /// The tasks besides those of the clients, which are numbered after them.
    fn servers(&self) -> Vec<Program<'_>> {
        Vec::new()
    }
}

/// The work of the clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workload {
    /// The machines with clients.
    pub(super) machines: u32,
    /// All locks are in the memory of one more machine, which has no clients; otherwise each machine
    /// has a part of them.
    pub(super) has_lock_machine: bool,
    /// Clients on each machine.
    pub(super) clients: u32,
    /// The locks among which a client chooses: all, or those of one machine with `local`.
    pub(super) popularity: Zipf,
    /// The share of acquisitions of a lock on the client's own machine.
    pub(super) local: Option<f64>,
    /// The share of acquisitions for reading.
    pub(super) reads: f64,
    /// The time that a client keeps a lock, in nanoseconds.
    pub(super) hold: u64,
    /// How many clients of one kind or one machine follow each other while others wait.
    pub(super) handovers: u32,
    /// The run ends after this many acquisitions; the first fifth of it is not measured.
    pub(super) operations: u64,
}

impl Workload {
    /// The machines with clients or locks.
    pub(super) fn all_machines(&self) -> u32 {
        self.machines + u32::from(self.has_lock_machine)
    }

    pub(super) fn all_clients(&self) -> u32 {
        self.machines * self.clients
    }

    fn choose(&self, random: &mut Random, me: Client) -> Place {
        let machines = u64::from(self.machines);
        let mut number = self.popularity.draw(random);
        if let Some(local) = self.local {
            let own = u64::from(me.machine);
            let is_local = machines == 1 || random.uniform() <= local;
            let home = match is_local {
                true => own,
                false => (own + 1 + random.below(machines - 1)) % machines,
            };
            number = number * machines + home;
        }
        let home = match self.has_lock_machine {
            true => self.machines,
            false => (number % machines) as u32,
        };
        Place { number, home }
    }
}

/// The results of a run, in simulated time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    /// Acquisitions of all clients.
    pub(super) operations_per_second: f64,
    /// The median time of an acquisition, in nanoseconds.
    pub(super) median: u64,
    /// Its 99th percentile.
    pub(super) p99: u64,
    /// The mean times of acquisitions for reading and for writing; None if there are none.
    pub(super) mean_read: Option<f64>,
    pub(super) mean_write: Option<f64>,
    /// One-sided operations per acquisition with its release.
    pub(super) one_sided: f64,
    /// Messages that a thread handles, likewise.
    pub(super) messages: f64,
}

/// The measurements, from the end of the first fifth on.
#[derive(Default)]
struct Tally {
    operations: u64,
    from: u64,
    one_sided_before: u64,
    messages_before: u64,
    reads: Vec<u64>,
    writes: Vec<u64>,
    /// The number of readers of each lock that somebody has, or a writer.
    inside: HashMap<u64, Inside>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Inside {
    Readers(u32),
    Writer,
}

/// Runs a design until the operations of the workload are done.
///
/// # Panics
/// If two clients have a lock that must not, or all wait for ever, which is a bug of the design.
pub(super) fn run(network: &Network, design: &impl Design, workload: &Workload) -> Report {
    let tally = RefCell::new(Tally::default());
    let random = RefCell::new(Random(1));
    let mut tasks: Vec<Program<'_>> = Vec::new();
    for machine in 0..workload.machines {
        for _ in 0..workload.clients {
            let task = tasks.len();
            let me = Client { task, machine };
            let (tally, random) = (&tally, &random);
            tasks.push(Box::pin(async move {
                loop {
                    operate(network, design, workload, tally, random, me).await;
                }
            }));
        }
    }
    tasks.extend(design.servers());
    let is_done = || tally.borrow().operations >= workload.operations;
    network.engine.run(tasks, is_done);
    tally.into_inner().report(network)
}

/// Takes a lock once.
async fn operate(
    network: &Network,
    design: &impl Design,
    workload: &Workload,
    tally: &RefCell<Tally>,
    random: &RefCell<Random>,
    me: Client,
) {
    let lock = workload.choose(&mut random.borrow_mut(), me);
    let writes = random.borrow_mut().uniform() > workload.reads;
    let from = network.engine.now();
    design.acquire(me, lock, writes).await;
    let time = network.engine.now() - from;
    tally.borrow_mut().enter(lock, writes, time);
    network.engine.sleep(workload.hold).await;
    tally.borrow_mut().leave(lock);
    design.release(me, lock, writes).await;
    tally.borrow_mut().count(network, workload);
}

impl Tally {
    fn enter(&mut self, lock: Place, writes: bool, time: u64) {
        let before = self.inside.get(&lock.number).copied();
        let inside = match (before, writes) {
            (None, true) => Inside::Writer,
            (None, false) => Inside::Readers(1),
            (Some(Inside::Readers(count)), false) => Inside::Readers(count + 1),
            (Some(before), _) => panic!("a client enters beside {before:?}"),
        };
        self.inside.insert(lock.number, inside);
        let times = match writes {
            true => &mut self.writes,
            false => &mut self.reads,
        };
        times.push(time);
    }

    fn leave(&mut self, lock: Place) {
        match self.inside.remove(&lock.number) {
            Some(Inside::Readers(count)) if count > 1 => {
                let readers = Inside::Readers(count - 1);
                self.inside.insert(lock.number, readers);
            }
            before => assert!(before.is_some(), "it was in"),
        }
    }

    fn count(&mut self, network: &Network, workload: &Workload) {
        self.operations += 1;
        if self.operations == workload.operations / 5 {
            *self = Tally {
                operations: self.operations,
                from: network.engine.now(),
                one_sided_before: network.one_sided.get(),
                messages_before: network.messages.get(),
                inside: std::mem::take(&mut self.inside),
                ..Tally::default()
            };
        }
    }

    fn report(self, network: &Network) -> Report {
        let mut all: Vec<u64> = [&self.reads[..], &self.writes[..]].concat();
        all.sort_unstable();
        let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
        let mean = |times: &[u64]| {
            let sum: u64 = times.iter().sum();
            (!times.is_empty()).then(|| sum as f64 / times.len() as f64)
        };
        let count = all.len() as f64;
        let span = (network.engine.now() - self.from).max(1);
        Report {
            operations_per_second: count * 1e9 / span as f64,
            median: at(0.5),
            p99: at(0.99),
            mean_read: mean(&self.reads),
            mean_write: mean(&self.writes),
            one_sided: (network.one_sided.get() - self.one_sided_before) as f64 / count,
            messages: (network.messages.get() - self.messages_before) as f64 / count,
        }
    }
}
