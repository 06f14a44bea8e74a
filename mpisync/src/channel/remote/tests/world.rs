//! A simulation: the real queues, node proxies and coordinator, with ranks that act at random, one
//! step at a time. Messages between servers take any time.

use crate::channel::remote::{Coordinator, Grant, NodeProxy, Report};
use crate::channel::ring::layout::{NO_NUMBER, NO_PRODUCER, WAITING};
use crate::channel::ring::memory::{
    Layout, MessageLayout, Opaque, QueueMemory, RelayLayout, RelaySlots, Slots,
};
use crate::channel::ring::{Generation, NoMessage, NoRoom, Queue};
use crate::shm::domain::Domain;
use crate::shm::mapping::Mapping;
use crate::shm::topology::Topology;
use crate::shm::waiting::want::{Tally, Wanted};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// The behaviour of ranks in a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behaviour {
    pub(super) nodes: usize,
    pub(super) capacity: u64,
    pub(super) ring: u64,
    /// The number of messages that each rank puts.
    pub(super) messages: u64,
    /// Ranks do not close their producers, but wait for messages until the stream ends.
    pub(super) make_tasks: bool,
    /// Ranks sometimes stop waiting.
    pub(super) give_up: bool,
    /// A rank of the last node dies during the run.
    pub(super) die: bool,
}

const RANKS: usize = 3;
/// The number of steps from one check of what the nodes say to the next.
const BETWEEN_CHECKS: u64 = 5;

pub(super) struct World {
    random: Random,
    behaviour: Behaviour,
    coordinator: Coordinator,
    nodes: Vec<Node>,
    /// The number of messages that were put, and how often each message was taken.
    put: u64,
    taken: HashMap<u64, u32>,
    dead: usize,
    /// The number of messages sent to nodes. A message may be sent more than once.
    sent: usize,
    /// How often the channel was found to be empty, and how often full.
    quiet: Quiet,
}

/// How often, between steps, nothing was under way that could end a wait for a message, or for room.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Quiet {
    pub(super) empty: u64,
    pub(super) full: u64,
}

struct Node {
    domain: Arc<Domain>,
    proxy: NodeProxy,
    ranks: Vec<Rank>,
    up: VecDeque<Report>,
    down: VecDeque<Grant>,
    is_forgotten: bool,
}

struct Rank {
    takes: Queue<Slots<Opaque>>,
    puts: Queue<Slots<Opaque>>,
    state: State,
    name: u64,
    /// The number of steps for which the rank does something else.
    busy: usize,
    puts_left: u64,
    next: u64,
    /// The last message of each producer.
    last: HashMap<u64, u64>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    Puts,
    Takes(Generation),
    /// With the number of its question.
    AsksToTake(Generation, u64),
    AsksToPut(u64),
    /// Neither takes nor closes anything until the other ranks are done.
    Away,
    Done,
    Dead,
}

pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

impl Rank {
    fn wait(queue: &Queue<Slots<Opaque>>, Generation(began): Generation) {
        queue.my_state().call.store(began | WAITING, SeqCst);
    }

    fn ask(queue: &Queue<Slots<Opaque>>, began: Generation) -> u64 {
        let rank_state = queue.my_state();
        rank_state.question.store(NO_NUMBER, SeqCst);
        Self::wait(queue, began);
        let relay = queue.memory.relay().unwrap();
        let number = relay.asked.fetch_add(1, SeqCst) + 1;
        rank_state.question.store(number, SeqCst);
        number
    }

    fn leave(queue: &Queue<Slots<Opaque>>) {
        let rank_state = queue.my_state();
        rank_state.call.store(0, SeqCst);
        rank_state.question.store(0, SeqCst);
        queue.stop_waiting();
    }

    fn is_answered(queue: &Queue<Slots<Opaque>>, number: u64) -> bool {
        queue.memory.relay().unwrap().answered.load(SeqCst) >= number
    }

    /// Puts its next message if there is room.
    fn try_put(&mut self) -> Result<(), NoRoom> {
        let mut putting = self.puts.try_put(1)?;
        let message = self.name << 32 | self.next;
        let index = putting.index().unwrap();
        // SAFETY: the slot is reserved.
        unsafe { self.puts.memory.copy_from(index, &message.to_ne_bytes()) };
        putting.publish();
        self.next += 1;
        self.puts_left -= 1;
        Ok(())
    }

    fn try_take(&mut self) -> Option<u64> {
        let mut taking = self.takes.try_take(1)?;
        let index = taking.index().unwrap();
        // SAFETY: the message is this rank's.
        let bytes = unsafe { self.takes.memory.bytes_of(index) };
        let message = u64::from_ne_bytes(bytes.try_into().unwrap());
        taking.free();
        Some(message)
    }
}

impl World {
    pub(super) fn new(seed: u64, behaviour: Behaviour) -> Self {
        let leaders: Vec<u32> = (0..behaviour.nodes * RANKS)
            .map(|rank| (rank / RANKS * RANKS) as u32)
            .collect();
        let node = |node: usize| {
            // The view of a rank that is not the leader, because the test drives the server itself.
            let topology = Topology::new((node * RANKS + 1) as u32, &leaders);
            let members = RANKS + usize::from(behaviour.nodes > 1);
            let domain = Domain::imagined(topology);
            let ring =
                Layout::of(MessageLayout::of::<u64>(), behaviour.ring as usize, members).unwrap();
            let layout = RelayLayout(ring);
            let mapping = Arc::new(Mapping::private(layout.length()));
            let rank = |local_rank: usize| {
                let RelaySlots { takes, puts } =
                    RelaySlots::at_local_rank(&domain, layout, &mapping, local_rank);
                Rank {
                    takes: Queue { memory: takes },
                    puts: Queue { memory: puts },
                    state: State::Idle,
                    name: (node * RANKS + local_rank) as u64,
                    busy: 0,
                    // One rank only takes.
                    puts_left: match local_rank {
                        0 if !behaviour.make_tasks => 0,
                        _ => behaviour.messages,
                    },
                    next: 0,
                    last: HashMap::new(),
                }
            };
            let mut proxy = NodeProxy::new(RelaySlots::for_server(&domain, layout, &mapping));
            // Messages arrive immediately here, so the report delay is short, too.
            proxy.report_delay = Duration::from_nanos(seed % 7 * 700);
            Node {
                proxy,
                ranks: (0..RANKS).map(rank).collect(),
                up: VecDeque::new(),
                down: VecDeque::new(),
                is_forgotten: false,
                domain: Arc::clone(&domain),
            }
        };
        World {
            random: Random(seed),
            behaviour,
            coordinator: Coordinator::new(behaviour.nodes, behaviour.capacity, behaviour.ring),
            nodes: (0..behaviour.nodes).map(node).collect(),
            put: 0,
            taken: HashMap::new(),
            dead: 0,
            sent: 0,
            quiet: Quiet::default(),
        }
    }

    fn step(&mut self) {
        let node = self.random.below(self.nodes.len());
        match self.random.below(4) {
            0 => {
                let (report, _) = self.nodes[node].proxy.report();
                self.nodes[node].up.extend(report);
            }
            1 => {
                if let Some(report) = self.nodes[node].up.pop_front() {
                    self.coordinator.receive(node, report);
                    for (node, grant) in self.coordinator.grants() {
                        let left = self.put - self.taken.len() as u64;
                        let is_end = grant.end.is_some();
                        self.sent += grant.messages.len();
                        assert!(!is_end || left <= self.dead as u64, "{left} left at an end");
                        self.nodes[node].down.push_back(grant);
                    }
                }
            }
            2 => {
                if let Some(grant) = self.nodes[node].down.pop_front() {
                    self.nodes[node].is_forgotten |= grant.forget;
                    self.nodes[node].proxy.receive(grant);
                }
            }
            _ => {
                let rank = self.random.below(RANKS);
                self.act(node, rank);
            }
        }
    }

    fn act(&mut self, node: usize, local_rank: usize) {
        let gives_up = self.behaviour.give_up && self.random.one_in(20);
        let rank = &mut self.nodes[node].ranks[local_rank];
        if rank.busy > 0 {
            rank.busy -= 1;
            return;
        }
        let done = match rank.state {
            State::Idle => return self.begin(node, local_rank),
            State::Puts => match rank.try_put() {
                Ok(()) => {
                    self.put += 1;
                    true
                }
                Err(no_room) => {
                    assert_eq!(no_room, NoRoom::Full);
                    gives_up
                }
            },
            State::AsksToPut(number) => {
                let is_answered = Rank::is_answered(&rank.puts, number);
                match rank.try_put() {
                    Ok(()) => {
                        self.put += 1;
                        true
                    }
                    Err(_) => is_answered,
                }
            }
            State::Takes(began) | State::AsksToTake(began, _) => {
                let is_answered = match rank.state {
                    State::AsksToTake(_, number) => Rank::is_answered(&rank.takes, number),
                    _ => false,
                };
                if let Some(message) = rank.try_take() {
                    let (producer, number) = (message >> 32, message & 0xffff_ffff);
                    let last = rank.last.insert(producer, number);
                    assert!(
                        last < Some(number) || self.behaviour.give_up || self.behaviour.die,
                        "of each producer in order: {last:?}, then {number}"
                    );
                    *self.taken.entry(message).or_default() += 1;
                    true
                } else if let Some(end) = rank.takes.end_of_wait(began) {
                    assert_eq!(end, NoMessage::Over);
                    // If ranks make tasks, a rank may put more after an end.
                    if rank.puts_left == 0 {
                        Rank::leave(&rank.takes);
                        rank.takes.close_producer();
                        rank.takes.close_consumer();
                        rank.state = State::Done;
                        return;
                    }
                    true
                } else {
                    is_answered || gives_up
                }
            }
            State::Away | State::Done | State::Dead => return,
        };
        if done {
            let took = matches!(rank.state, State::Takes(_));
            Rank::leave(&rank.takes);
            Rank::leave(&rank.puts);
            rank.state = State::Idle;
            if took && gives_up && rank.name > 0 && self.random.one_in(5) {
                rank.state = State::Away;
                if self.random.one_in(2) {
                    rank.takes.close_consumer();
                    rank.state = State::Done;
                }
                return;
            }
            if self.random.one_in(10) {
                rank.busy = self.random.below(300);
            }
            if gives_up && self.random.one_in(10) {
                // The rank puts no more messages.
                rank.puts_left = 0;
            }
        }
        let most = self.behaviour.capacity + self.dead as u64;
        assert!(
            self.put - self.taken.len() as u64 <= most,
            "more than there is room for"
        );
    }

    /// Begins a call.
    fn begin(&mut self, node: usize, local_rank: usize) {
        let Behaviour {
            make_tasks, die, ..
        } = self.behaviour;
        let choice = self.random.below(if make_tasks { 2 } else { 4 });
        let is_last = node + 1 == self.nodes.len();
        let rank = &mut self.nodes[node].ranks[local_rank];
        if die && is_last && local_rank == 2 && rank.puts_left < 3 {
            rank.state = State::Dead;
            self.dead = 1;
            return self.nodes[node].domain.reclaim(local_rank);
        }
        rank.state = match choice {
            0 | 2 if rank.puts_left > 0 => {
                let began = rank.puts.begin_waiting(false);
                if choice == 0 {
                    Rank::wait(&rank.puts, began);
                    State::Puts
                } else {
                    State::AsksToPut(Rank::ask(&rank.puts, began))
                }
            }
            3 => {
                let began = rank.takes.begin_waiting(false);
                State::AsksToTake(began, Rank::ask(&rank.takes, began))
            }
            // If ranks waited without end before they have put everything, all might wait for each
            // other.
            _ if rank.puts_left == 0 || make_tasks => {
                if !make_tasks {
                    rank.takes.close_producer();
                }
                let began = rank.takes.begin_waiting(!self.behaviour.give_up);
                Rank::wait(&rank.takes, began);
                State::Takes(began)
            }
            _ => State::Idle,
        };
    }

    /// Checks what the nodes say of waits against all that is under way.
    fn check_quiet(&mut self) {
        let is_quiet = |wanted| {
            let tally = |(number, node): (usize, &Node)| {
                let coordinator = (number == 0).then_some(&self.coordinator);
                node.proxy.tally(&wanted, coordinator).expect("it knows")
            };
            let tallies = self.nodes.iter().enumerate().map(tally);
            tallies
                .reduce(Tally::plus)
                .expect("there are nodes")
                .holds_back()
        };
        let (is_empty, is_full) = (is_quiet(Wanted::Message), is_quiet(Wanted::Room));
        self.quiet.empty += u64::from(is_empty);
        self.quiet.full += u64::from(is_full);
        let left = self.put - self.taken.len() as u64;
        assert!(
            !is_full || left == self.behaviour.capacity,
            "{left} left, and full"
        );
        if !is_empty {
            return;
        }
        assert!(left <= self.dead as u64, "{left} left, and empty");
        let mut ranks = self.nodes.iter().flat_map(|node| &node.ranks);
        let may_put = |rank: &Rank| {
            let ends = rank.takes.my_state().ends.load(SeqCst);
            ends & NO_PRODUCER == 0 && rank.takes.my_state().waits.load(SeqCst) == 0
        };
        assert!(ranks.any(may_put), "the stream is about to end");
        for node in &self.nodes {
            let is_end = |grant: &Grant| grant.end.is_some();
            assert!(!node.down.iter().any(is_end), "an end is under way");
            for rank in &node.ranks {
                if let State::Takes(began) = rank.state {
                    assert_eq!(rank.takes.end_of_wait(began), None, "an end has come");
                }
            }
        }
    }

    /// Ranks that are away come back once all other ranks are done.
    fn call_back(&mut self) {
        let mut ranks: Vec<_> = (self.nodes.iter_mut())
            .flat_map(|node| node.ranks.iter_mut())
            .collect();
        let is_over = |state| matches!(state, State::Away | State::Done | State::Dead);
        if ranks.iter().all(|rank| is_over(rank.state)) {
            for rank in &mut ranks {
                if matches!(rank.state, State::Away) {
                    rank.takes.close_consumer();
                    rank.state = State::Done;
                }
            }
        }
    }

    /// Runs until all ranks have seen the end, and all nodes have forgotten the channel.
    pub(super) fn run(mut self) -> Quiet {
        let start = Instant::now();
        let mut steps = 0_u64;
        while self.nodes.iter().any(|node| !node.is_forgotten) {
            self.step();
            steps += 1;
            if steps.is_multiple_of(BETWEEN_CHECKS) {
                self.check_quiet();
            }
            if steps.is_multiple_of(100) {
                self.call_back();
            }
            if self.behaviour.die && steps.is_multiple_of(100) {
                self.nodes.iter_mut().for_each(|node| node.proxy.inspect());
            }
            // A run takes seconds under valgrind.
            if steps.is_multiple_of(10_000) && start.elapsed() > Duration::from_secs(300) {
                let states: Vec<_> = (self.nodes.iter())
                    .flat_map(|node| node.ranks.iter().map(|rank| (rank.state, rank.puts_left)))
                    .collect();
                panic!(
                    "it does not end: {states:?}, {} put, {} taken",
                    self.put,
                    self.taken.len()
                );
            }
        }
        assert!(self.taken.values().all(|&times| times == 1), "once each");
        let most = 20 * self.put as usize;
        assert!(self.sent <= most, "{} sent for {} put", self.sent, self.put);
        let lost = self.put - self.taken.len() as u64;
        assert!(lost <= self.dead as u64, "{lost} lost");
        self.quiet
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}
