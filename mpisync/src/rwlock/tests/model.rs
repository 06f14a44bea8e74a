//! The queue of nodes, the gates and the tree, explored in all their interleavings.
//!
//! What is explored is the protocol as it runs: the [`writer`], the [`RecoveringServer`], [`QueueState`]
//! and the tree. Around them stands a small world that is a [`Site`] for each node: ranks and a
//! server, the turn of each node, flags of readers, and a network that delivers in any order. A
//! rank may give up wherever it waits, and die wherever it is. What a dead rank has sent about the data may be lost.

use crate::rwlock::global::recovery::{
    RecoveringServer, RecoveryMessage, RecoverySite, ServerMessage,
};
use crate::rwlock::global::site::{Asker, LockMessage, Site};
use crate::rwlock::global::token::{Claim, QueueState, Token};
use crate::rwlock::global::tree::Node;
use crate::rwlock::global::version::Version;
use crate::rwlock::global::writer;
use crate::rwlock::global::writer::{Drain, Next};
use crate::rwlock::node::Closed;
use stateright::{Checker, Model, Property};
use std::cell::RefCell;

/// Ranks are numbered through all nodes, each of which has at most so many.
const RANKS: u32 = 2;

/// What a rank is about to do, once each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Job {
    Read,
    Write,
    /// Gives up if it has to wait, at any point of the wait.
    TryWrite,
    /// Writes, and goes on as a reader.
    Downgrade,
    /// Writes, and leaves with a change that the other nodes do not have yet.
    LeaveBehind,
    /// The same, and may die at any point.
    LeaveBehindOrDie,
    /// Writes, and may die at any point.
    Dies,
    /// Takes over from a rank that died as a writer, if there is one.
    TakeOver,
    /// The same, and may die at any point.
    TakeOverOrDie,
}

impl Job {
    fn may_die(self) -> bool {
        matches!(self, Job::Dies | Job::TakeOverOrDie | Job::LeaveBehindOrDie)
    }

    fn leaves_behind(self) -> bool {
        matches!(self, Job::LeaveBehind | Job::LeaveBehindOrDie)
    }

    fn takes_over(self) -> bool {
        matches!(self, Job::TakeOver | Job::TakeOverOrDie)
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Idle,
    WantsTurn,
    AwaitsGrant,
    Closes(Drain),
    Writes,
    /// Has decided what becomes of the lock, and still has its node's turn.
    Leaves,
    /// Waits for an opening after so many.
    WantsToRead(u32),
    Reads,
    Dead,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Rank {
    jobs: Vec<Job>,
    phase: Phase,
    /// To which close, in which generation, and how many.
    answers: (u32, u32, u32),
    /// It has taken the poison off the token.
    has_forgiven: bool,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct QNode {
    queue_state: QueueState,
    successor: Option<Node>,
    granted: Option<Token>,
    /// Somebody has the node's turn.
    taken: bool,
    /// Openings, and whether it is closed.
    gate: (u32, bool),
    server: RecoveringServer,
    /// The dead rank that has the turn.
    dead: Option<u32>,
    /// The server has the turn.
    is_served: bool,
    is_halting: bool,
    broken: Option<u32>,
    generation: u32,
    /// The version of the copy.
    version: Version,
    /// The last version that a rank of the node has made.
    made: Version,
    /// Writers that entered since a node was linked behind.
    passed: u32,
    ranks: Vec<Rank>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    stations: Vec<QNode>,
    tail: Option<Node>,
    /// Under way, in no order: kept sorted so that equal states are equal.
    network: Vec<(Node, ServerMessage)>,
    /// Changes under way, and the versions that they make; in no order, too.
    changes: Vec<(Node, Version)>,
    /// The last version of the data.
    version: Version,
    /// A rank has died in the middle of a write, and no other has taken over since.
    is_torn: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Action {
    Deliver(usize),
    /// A change comes to a node.
    Apply(usize),
    /// A change of a dead rank is lost.
    Lose(usize),
    Go(Node, usize),
    GiveUp(Node, usize),
    Die(Node, usize),
    /// The server goes on with what it could not do at once.
    Tend(Node),
    /// The server looks for the dead.
    Inspect(Node),
}

struct Cluster {
    jobs: Vec<Vec<Vec<Job>>>,
    max_local_handovers: u32,
}

/// A node as one of its ranks, or its server, sees it.
struct View<'a> {
    world: &'a RefCell<World>,
    node: Node,
    rank: usize,
    max_local_handovers: u32,
}

impl View<'_> {
    fn of<T>(&self, look: impl FnOnce(&QNode) -> T) -> T {
        look(&self.world.borrow().stations[self.node as usize])
    }

    fn change<T>(&self, change: impl FnOnce(&mut QNode) -> T) -> T {
        change(&mut self.world.borrow_mut().stations[self.node as usize])
    }

    fn raise_gate(&self, to: (u32, bool)) -> bool {
        self.change(|qnode| {
            qnode.gate = to.max(qnode.gate);
            qnode.gate == to
        })
    }
}

impl Site for View<'_> {
    fn node(&self) -> Node {
        self.node
    }

    fn nodes(&self) -> u32 {
        self.world.borrow().stations.len() as u32
    }

    fn home(&self) -> Node {
        0
    }

    fn max_local_handovers(&self) -> u32 {
        self.max_local_handovers
    }

    fn queue_state(&self) -> QueueState {
        self.of(|qnode| qnode.queue_state)
    }

    fn set_queue_state(&self, state: &QueueState) {
        self.change(|qnode| qnode.queue_state = *state);
    }

    fn take_successor(&self) -> Option<Node> {
        self.change(|qnode| qnode.successor.take())
    }

    fn take_granted(&self) -> Option<Token> {
        self.change(|qnode| qnode.granted.take())
    }

    fn pass_turn(&self) {
        self.change(|qnode| {
            qnode.taken = false;
            qnode.is_served = false;
        });
    }

    fn writers_wait(&self) -> bool {
        let wants = |rank: &Rank| rank.phase == Phase::WantsTurn;
        self.of(|qnode| qnode.ranks.iter().any(wants))
    }

    fn try_turn(&self) -> bool {
        let free = !self.of(|qnode| qnode.taken) && !self.writers_wait();
        self.change(|qnode| qnode.taken |= free);
        free
    }

    fn successor(&self) -> Option<Node> {
        self.of(|qnode| qnode.successor)
    }

    fn has_arrived(&self) -> bool {
        self.of(|qnode| qnode.granted.is_some())
    }

    fn exchange_tail(&self, node: Node) -> Option<Node> {
        self.world.borrow_mut().tail.replace(node)
    }

    fn set_successor(&self, node: Node) {
        self.change(|qnode| {
            assert_eq!(qnode.successor, None, "one node comes behind another");
            qnode.successor = Some(node);
            qnode.passed = 0;
        });
    }

    fn put_granted(&self, token: &Token) {
        self.change(|qnode| qnode.granted = Some(*token));
    }

    fn close_gate(&self, count: u32) -> Option<Closed> {
        let closed = self.raise_gate((count, true));
        closed.then_some(Closed { openings: count })
    }

    fn open_gate(&self, count: u32) {
        self.change(|qnode| qnode.broken = None);
        self.raise_gate((count, false));
    }

    /// Whether nobody reads behind the closed gate, nor is about to.
    fn readers_have_left(&self, closed: Closed) -> bool {
        let has_left = |rank: &Rank| match rank.phase {
            Phase::Reads => false,
            Phase::Leaves => rank.jobs.last() != Some(&Job::Downgrade),
            Phase::WantsToRead(since) => since == closed.openings,
            _ => true,
        };
        self.of(|qnode| qnode.ranks.iter().all(has_left))
    }

    fn version(&self) -> Version {
        self.of(|qnode| qnode.version)
    }

    fn asker(&self) -> Asker {
        Asker::Writer(self.number())
    }

    fn expect_answers(&self, count: u32) {
        self.change(|qnode| qnode.ranks[self.rank].answers = (count, qnode.generation, 0));
    }

    fn answers(&self, count: u32) -> u32 {
        let (to, generation, answers) = self.of(|qnode| qnode.ranks[self.rank].answers);
        let is_for = (to, generation) == (count, self.generation());
        if is_for { answers } else { 0 }
    }

    fn send(&self, node: Node, message: LockMessage) {
        let generation = self.generation();
        self.post(
            node,
            ServerMessage::Lock {
                generation,
                message,
            },
        );
    }

    fn answer(&self, asker: Asker, count: u32) {
        let node = match asker {
            Asker::Writer(rank) => rank / RANKS,
            Asker::Server(node) => node,
        };
        self.send(node, LockMessage::Drained { count, asker });
    }
}

impl RecoverySite for View<'_> {
    fn generation(&self) -> u32 {
        self.of(|qnode| qnode.generation)
    }

    fn send_recovery(&self, node: Node, message: RecoveryMessage) {
        self.post(node, ServerMessage::Recovery(message));
    }

    fn dead_writer(&self) -> Option<u32> {
        self.of(|qnode| qnode.dead)
    }

    fn note_death(&self, _rank: u32) {}

    fn set_halting(&self, is_halting: bool) {
        self.change(|qnode| qnode.is_halting = is_halting);
    }

    fn seize_turn(&self) -> Result<Option<u32>, ()> {
        self.change(|qnode| {
            let dead = qnode.dead.take();
            if qnode.taken && !qnode.is_served && dead.is_none() {
                return Err(());
            }
            qnode.taken = true;
            qnode.is_served = true;
            Ok(dead)
        })
    }

    fn poisoned_by(&self) -> Option<u32> {
        self.of(|qnode| qnode.broken)
    }

    fn set_poisoned_by(&self, rank: Option<u32>) {
        self.change(|qnode| qnode.broken = rank);
    }

    fn openings(&self) -> u32 {
        self.of(|qnode| qnode.gate.0)
    }

    fn claims(&self) -> [Claim; 2] {
        [Claim::default(); 2]
    }

    fn begin_generation(&self, generation: u32) {
        self.change(|qnode| {
            qnode.queue_state = QueueState::Idle;
            qnode.successor = None;
            qnode.granted = None;
            qnode.generation = generation;
        });
        if self.node == self.home() {
            self.world.borrow_mut().tail = None;
        }
    }
}

impl View<'_> {
    /// The number of the rank.
    fn number(&self) -> u32 {
        self.node * RANKS + self.rank as u32
    }

    /// Leaves with a change.
    fn leave_behind(&self) {
        let QueueState::Owner { token, .. } = self.queue_state() else {
            panic!("a writer has the token");
        };
        let version = token.version.next(self.number());
        self.change(|qnode| {
            qnode.made = version;
            qnode.version = version;
        });
        self.world.borrow_mut().version = version;
        let others = (0..self.nodes()).filter(|&node| node != self.node);
        others.for_each(|node| self.send_change(node, version));
        writer::note_version(self, version);
    }

    fn send_change(&self, node: Node, version: Version) {
        let changes = &mut self.world.borrow_mut().changes;
        let at = changes.partition_point(|sent| *sent < (node, version));
        changes.insert(at, (node, version));
    }

    /// As the server: puts a change into the copy.
    fn apply(&self, version: Version) {
        self.change(|qnode| {
            if !qnode.version.includes(version) {
                qnode.version = version;
            }
        });
    }

    /// As the server: lets the node of a dead writer send a change again for which this node waits.
    fn ask_again(&self) {
        let awaited = self.of(|qnode| qnode.server.awaited_version());
        let Some(version) = awaited.filter(|version| !self.version().includes(*version)) else {
            return;
        };
        let (there, rank) = (version.writer / RANKS, version.writer % RANKS);
        let is_dead_and_made = |qnode: &QNode| {
            qnode.ranks[rank as usize].phase == Phase::Dead && qnode.made == version
        };
        let is_sent = self.world.borrow().changes.contains(&(self.node, version));
        let can_repeat = is_dead_and_made(&self.world.borrow().stations[there as usize]);
        if can_repeat && !is_sent {
            self.send_change(self.node, version);
        }
    }

    fn post(&self, node: Node, message: ServerMessage) {
        let network = &mut self.world.borrow_mut().network;
        let at = network.partition_point(|sent| *sent < (node, message));
        network.insert(at, (node, message));
    }

    /// Goes on with a writer that has its node's turn, as far as it can.
    fn advance(&self) {
        if self.of(|qnode| qnode.is_halting) {
            return self.begin_again();
        }
        let takes_over = self.job().is_some_and(Job::takes_over);
        let has_forgiven = || self.of(|qnode| qnode.ranks[self.rank].has_forgiven);
        let phase = match writer::advance(self) {
            Next::Enter if takes_over && !has_forgiven() => {
                // Another rank has taken over before.
                self.change(|qnode| qnode.broken = None);
                return self.fail();
            }
            Next::Enter => {
                self.change(|qnode| qnode.passed += u32::from(qnode.successor.is_some()));
                if takes_over {
                    self.world.borrow_mut().is_torn = false;
                }
                Phase::Writes
            }
            Next::AwaitToken => Phase::AwaitsGrant,
            Next::AwaitReaders(drain) => Phase::Closes(drain),
            Next::GiveUp(_) if takes_over => {
                writer::forgive(self);
                self.change(|qnode| qnode.ranks[self.rank].has_forgiven = true);
                return self.advance();
            }
            Next::GiveUp(_) => return self.fail(),
        };
        self.set(phase);
    }

    /// Gives up with the turn.
    fn fail(&self) {
        self.end_job();
        self.set(Phase::Idle);
        writer::release(self);
    }

    /// Gives the turn to the server, which halts.
    fn begin_again(&self) {
        self.change(|qnode| {
            qnode.is_served = true;
            qnode.ranks[self.rank].has_forgiven = false;
        });
        self.set(Phase::Idle);
    }

    /// Ends the wait of a writer if the lock recovers or is poisoned. Returns what it is.
    fn must_stop(&self) -> Option<Stopped> {
        let (is_halting, is_broken) = self.of(|qnode| (qnode.is_halting, qnode.broken.is_some()));
        let takes_over = self.job().is_some_and(Job::takes_over);
        match (is_halting, is_broken) {
            (true, _) => Some(Stopped::Again),
            (false, true) if !takes_over => Some(Stopped::Poisoned),
            _ => None,
        }
    }

    fn phase(&self) -> Phase {
        self.of(|qnode| qnode.ranks[self.rank].phase.clone())
    }

    fn set(&self, phase: Phase) {
        self.change(|qnode| qnode.ranks[self.rank].phase = phase);
    }

    fn job(&self) -> Option<Job> {
        self.of(|qnode| qnode.ranks[self.rank].jobs.last().copied())
    }

    fn end_job(&self) -> Option<Job> {
        self.change(|qnode| {
            let rank = &mut qnode.ranks[self.rank];
            rank.has_forgiven = false;
            rank.jobs.pop()
        })
    }

    /// What a rank does next, if it does not have to wait.
    fn go(&self) {
        let (openings, closed) = self.of(|qnode| qnode.gate);
        match self.phase() {
            Phase::Idle => match self.job() {
                None => {}
                Some(Job::Read) if !closed => self.set(Phase::Reads),
                Some(job) if job.takes_over() && !self.may_be_poisoned() => {
                    self.end_job();
                }
                Some(Job::Read) => self.set(Phase::WantsToRead(openings)),
                Some(_) => self.set(Phase::WantsTurn),
            },
            Phase::WantsTurn if !self.of(|qnode| qnode.taken) => {
                self.change(|qnode| qnode.taken = true);
                self.set(Phase::Idle);
                self.advance();
            }
            Phase::AwaitsGrant => {
                if let Some(turn) = self.take_granted() {
                    writer::receive(self, turn);
                    self.advance();
                } else {
                    match self.must_stop() {
                        Some(Stopped::Again) => self.begin_again(),
                        Some(Stopped::Poisoned) => self.fail(),
                        None => {}
                    }
                }
            }
            Phase::Closes(drain) if writer::have_drained(self, drain) => {
                writer::note_drained(self);
                self.advance();
            }
            Phase::Closes(_) => match self.must_stop() {
                Some(Stopped::Again) => self.begin_again(),
                Some(Stopped::Poisoned) => {
                    writer::reopen(self);
                    self.fail();
                }
                None => {}
            },
            Phase::Writes => {
                self.set(Phase::Leaves);
                if self.job() == Some(Job::Downgrade) {
                    writer::note_reader(self);
                }
                if self.job().is_some_and(Job::leaves_behind) {
                    self.leave_behind();
                }
                writer::hand_on(self);
            }
            Phase::Leaves => {
                self.set(Phase::Idle);
                if self.end_job() == Some(Job::Downgrade) {
                    self.set(Phase::Reads);
                    self.change(|qnode| qnode.ranks[self.rank].jobs.push(Job::Read));
                }
                if writer::let_go(self, self.queue_state()) {
                    writer::release(self);
                }
            }
            Phase::WantsToRead(since) if openings != since || !closed => self.set(Phase::Reads),
            Phase::WantsToRead(_) if self.of(|qnode| qnode.broken.is_some()) => {
                self.end_job();
                self.set(Phase::Idle);
            }
            Phase::Reads => {
                self.end_job();
                self.set(Phase::Idle);
            }
            _ => {}
        }
    }

    fn give_up(&self) {
        let phase = self.phase();
        let waits = matches!(
            phase,
            Phase::WantsTurn | Phase::AwaitsGrant | Phase::Closes(_)
        );
        if self.job() != Some(Job::TryWrite) || !waits {
            return;
        }
        self.end_job();
        self.set(Phase::Idle);
        match phase {
            Phase::WantsTurn => writer::tidy(self),
            Phase::Closes(_) => {
                writer::reopen(self);
                writer::release(self);
            }
            _ => writer::release(self),
        }
    }

    fn may_be_poisoned(&self) -> bool {
        self.of(|qnode| qnode.is_halting || qnode.broken.is_some())
    }

    fn die(&self) {
        let phase = self.phase();
        if phase == Phase::Dead || !self.job().is_some_and(Job::may_die) {
            return;
        }
        let has_turn = matches!(
            phase,
            Phase::AwaitsGrant | Phase::Closes(_) | Phase::Writes | Phase::Leaves
        );
        let number = self.number();
        self.change(|qnode| {
            qnode.ranks[self.rank].jobs.clear();
            if has_turn {
                qnode.dead = Some(number);
            }
        });
        self.set(Phase::Dead);
        self.world.borrow_mut().is_torn |= phase == Phase::Writes;
    }

    /// Looks for dead ranks, as the server.
    fn inspect(&self) {
        if self.queue_state().keeps_gates_closed() {
            writer::tidy(self);
        }
        self.as_server(|server| server.inspect(self));
        self.ask_again();
    }

    /// What the server does, and what answers do to the rank that asked.
    fn receive(&self, message: ServerMessage) {
        if let ServerMessage::Lock {
            generation,
            message:
                LockMessage::Drained {
                    count,
                    asker: Asker::Writer(rank),
                },
        } = message
        {
            return self.change(|qnode| {
                let answers = &mut qnode.ranks[(rank % RANKS) as usize].answers;
                let is_awaited = (answers.0, answers.1) == (count, generation);
                answers.2 += u32::from(is_awaited);
            });
        }
        self.as_server(|server| server.receive(self, message));
    }

    fn as_server(&self, act: impl FnOnce(&mut RecoveringServer)) {
        let mut server = self.of(|qnode| qnode.server.clone());
        act(&mut server);
        self.change(|qnode| qnode.server = server);
    }
}

/// Why a writer ends its wait.
enum Stopped {
    Again,
    Poisoned,
}

impl World {
    fn ranks_in(&self, phase: &Phase) -> usize {
        let ranks = self.stations.iter().flat_map(|qnode| &qnode.ranks);
        ranks.filter(|rank| rank.phase == *phase).count()
    }

    fn is_done(&self) -> bool {
        let mut ranks = self.stations.iter().flat_map(|qnode| &qnode.ranks);
        ranks.all(|rank| rank.jobs.is_empty())
    }
}

impl Cluster {
    /// Whether there is a next state. Most worlds have many, so this stops at the first.
    fn can_go_on(&self, world: &World) -> bool {
        let mut actions = Vec::new();
        self.actions(world, &mut actions);
        let mut actions = actions.into_iter();
        actions.any(|action| self.next_state(world, action).is_some())
    }
}

impl Model for Cluster {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let qnode = |(node, ranks): (usize, &Vec<Vec<Job>>)| QNode {
            queue_state: match node {
                0 => QueueState::Owner {
                    token: Token::default(),
                    handovers: 0,
                },
                _ => QueueState::Idle,
            },
            successor: None,
            granted: None,
            taken: false,
            gate: (0, false),
            server: RecoveringServer::default(),
            dead: None,
            is_served: false,
            is_halting: false,
            broken: None,
            generation: 0,
            version: Version::default(),
            made: Version::default(),
            passed: 0,
            ranks: ranks
                .iter()
                .map(|jobs| Rank {
                    jobs: jobs.clone(),
                    phase: Phase::Idle,
                    answers: (0, 0, 0),
                    has_forgiven: false,
                })
                .collect(),
        };
        vec![World {
            stations: self.jobs.iter().enumerate().map(qnode).collect(),
            tail: None,
            network: Vec::new(),
            changes: Vec::new(),
            version: Version::default(),
            is_torn: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.extend((0..world.network.len()).map(Action::Deliver));
        for (index, (_, version)) in world.changes.iter().enumerate() {
            actions.push(Action::Apply(index));
            let (node, rank) = (version.writer / RANKS, version.writer % RANKS);
            if world.stations[node as usize].ranks[rank as usize].phase == Phase::Dead {
                actions.push(Action::Lose(index));
            }
        }
        for (node, qnode) in world.stations.iter().enumerate() {
            let node = node as Node;
            actions.push(Action::Tend(node));
            if world.ranks_in(&Phase::Dead) > 0 {
                actions.push(Action::Inspect(node));
            }
            for rank in 0..qnode.ranks.len() {
                actions.extend([Action::Go(node, rank), Action::GiveUp(node, rank)]);
                actions.push(Action::Die(node, rank));
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let next = RefCell::new(world.clone());
        let view = |node, rank| View {
            world: &next,
            node,
            rank,
            max_local_handovers: self.max_local_handovers,
        };
        match action {
            Action::Deliver(index) => {
                let (to, word) = next.borrow_mut().network.remove(index);
                view(to, 0).receive(word);
            }
            Action::Apply(index) => {
                let (to, version) = next.borrow_mut().changes.remove(index);
                view(to, 0).apply(version);
            }
            Action::Lose(index) => drop(next.borrow_mut().changes.remove(index)),
            Action::Go(node, rank) => view(node, rank).go(),
            Action::GiveUp(node, rank) => view(node, rank).give_up(),
            Action::Die(node, rank) => view(node, rank).die(),
            Action::Inspect(node) => view(node, 0).inspect(),
            Action::Tend(node) => {
                let view = view(node, 0);
                view.as_server(|server| {
                    server.go_on(&view);
                });
            }
        }
        let next = next.into_inner();
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a writer is alone", |_, world: &World| {
                let writers = world.ranks_in(&Phase::Writes);
                writers == 0 || writers == 1 && world.ranks_in(&Phase::Reads) == 0
            }),
            Property::always("there is one token", |_, world: &World| {
                let owners = world.stations.iter();
                let owners =
                    owners.filter(|qnode| matches!(qnode.queue_state, QueueState::Owner { .. }));
                let granted = world
                    .stations
                    .iter()
                    .filter(|qnode| qnode.granted.is_some() || qnode.server.holds_token());
                // Those of older generations are dropped.
                let is_grant = |(node, word): &&(Node, ServerMessage)| match word {
                    ServerMessage::Lock {
                        generation,
                        message: LockMessage::Grant(_),
                    } => *generation >= world.stations[*node as usize].generation,
                    _ => false,
                };
                let grants = world.network.iter().filter(is_grant);
                match owners.count() + granted.count() + grants.count() {
                    0 => world.stations[0].is_halting,
                    tokens => tokens == 1,
                }
            }),
            Property::always("nobody sees half a write", |_, world: &World| {
                let seeing = [Phase::Reads, Phase::Writes];
                !world.is_torn || seeing.iter().all(|phase| world.ranks_in(phase) == 0)
            }),
            Property::always("nobody sees an old version", |_, world: &World| {
                let is_inside = |rank: &Rank| matches!(rank.phase, Phase::Reads | Phase::Writes);
                let is_current = |qnode: &QNode| qnode.version == world.version;
                let mut stations = world.stations.iter();
                stations.all(|qnode| is_current(qnode) || !qnode.ranks.iter().any(is_inside))
            }),
            Property::always("nobody waits for ever", |cluster: &Self, world: &World| {
                world.is_done() || cluster.can_go_on(world)
            }),
            Property::always(
                "the gates open in the end",
                |cluster: &Self, world: &World| {
                    world.stations.iter().all(|qnode| !qnode.gate.1)
                        || world.stations.iter().all(|qnode| qnode.broken.is_some())
                        || cluster.can_go_on(world)
                },
            ),
            Property::always(
                "a node that waits is passed by few",
                |cluster: &Self, world: &World| {
                    let mut stations = world.stations.iter();
                    stations.all(|qnode| qnode.passed <= cluster.max_local_handovers)
                },
            ),
        ]
    }
}

/// Explores what the ranks of all nodes do, given by node and rank, the last job first.
fn explore(jobs: &[&[&[Job]]], max_local_handovers: u32) {
    let jobs = jobs
        .iter()
        .map(|ranks| ranks.iter().map(|jobs| jobs.to_vec()).collect())
        .collect();
    let checker = Cluster {
        jobs,
        max_local_handovers,
    }
    .checker()
    .threads(2)
    .spawn_dfs()
    .join();
    println!("{} states", checker.unique_state_count());
    assert!(
        checker.unique_state_count() > 1_000,
        "this did not explore much"
    );
    checker.assert_properties();
}

use Job::{
    Dies, Downgrade, LeaveBehind, LeaveBehindOrDie, Read, TakeOver, TakeOverOrDie, TryWrite, Write,
};

#[test]
fn two_nodes_of_two_ranks_write() {
    explore(
        &[&[&[Write, Write], &[Write]], &[&[Write], &[Write, Write]]],
        2,
    );
}

#[test]
fn two_nodes_of_two_ranks_read_and_write() {
    explore(
        &[
            &[&[Write, Write], &[Read, Read]],
            &[&[Read, Read], &[Write, Write]],
        ],
        1,
    );
}

#[test]
fn two_nodes_of_two_ranks_give_up() {
    explore(
        &[&[&[Write, TryWrite], &[Read]], &[&[Write], &[TryWrite]]],
        2,
    );
}

#[test]
fn two_nodes_downgrade() {
    explore(
        &[
            &[&[Write, Downgrade], &[Read]],
            &[&[Downgrade], &[TryWrite, Read]],
        ],
        1,
    );
}

#[test]
fn three_nodes_of_one_rank() {
    explore(&[&[&[Write, Write]], &[&[Read, Write]], &[&[TryWrite]]], 1);
}

#[test]
fn two_nodes_lose_a_writer() {
    explore(&[&[&[Dies], &[Write]], &[&[Write], &[TakeOver]]], 1);
    explore(&[&[&[Write], &[TakeOver]], &[&[Dies], &[Read]]], 1);
}

#[test]
fn two_ranks_take_over() {
    explore(&[&[&[Dies], &[TakeOver]], &[&[TakeOver], &[Read]]], 1);
}

#[test]
fn who_takes_over_dies() {
    explore(&[&[&[TakeOver], &[Dies]], &[&[TakeOverOrDie], &[Read]]], 1);
}

#[test]
fn three_nodes_lose_a_writer() {
    explore(&[&[&[Write]], &[&[Dies]], &[&[TakeOver]]], 1);
}

#[test]
fn two_nodes_leave_changes_behind() {
    explore(
        &[
            &[&[LeaveBehind], &[Read, Read]],
            &[&[LeaveBehind], &[Read, TryWrite]],
        ],
        1,
    );
}

#[test]
fn three_nodes_leave_changes_behind() {
    explore(&[&[&[LeaveBehind]], &[&[Read, LeaveBehind]], &[&[Read]]], 1);
}

#[test]
fn who_leaves_a_change_behind_dies() {
    explore(
        &[&[&[LeaveBehindOrDie], &[Read]], &[&[Write], &[TakeOver]]],
        1,
    );
    explore(&[&[&[Write]], &[&[LeaveBehindOrDie]], &[&[TakeOver]]], 1);
}

#[test]
fn a_writer_dies_with_a_change_under_way() {
    explore(&[&[&[LeaveBehind], &[TakeOver]], &[&[Dies], &[Read]]], 1);
}
