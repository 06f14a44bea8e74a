//! The queue of nodes, the gates and the tree, explored in all their interleavings.
//!
//! What is explored is [`Standing`] and [`tree`], as they run; around them stands a small world: nodes with ranks and an
//! agent, the turn of each node, flags of readers, and a network that delivers in any order. A rank may give up
//! wherever it waits.

use super::standing::{Leave, Standing, Step, Turn};
use super::tree::{Node, children};
use stateright::{Checker, Model, Property};

/// What a rank is about to do, once each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Job {
    Read,
    Write,
    /// Gives up if it has to wait, at any point of the wait.
    TryWrite,
    /// Writes, and goes on as a reader.
    Downgrade,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Phase {
    Idle,
    WantsTurn,
    AwaitsGrant,
    Closes {
        count: u32,
        answers: u32,
    },
    Writes,
    /// Has decided what becomes of the lock, and still has its node's turn.
    Leaves,
    /// Waits for an opening after so many.
    WantsToRead(u32),
    Reads,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Rank {
    jobs: Vec<Job>,
    phase: Phase,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Closing {
    count: u32,
    parent: Parent,
    pending: u32,
}

/// Who waits for the answer to a close.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Parent {
    Root(Node, usize),
    Agent(Node),
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Station {
    standing: Standing,
    successor: Option<Node>,
    granted: Option<Turn>,
    /// The rank that has the node's turn.
    turn: Option<usize>,
    /// Openings, and whether it is closed.
    gate: (u32, bool),
    closing: Option<Closing>,
    unsettled: bool,
    /// Writers that entered since a node was linked behind.
    passed: u32,
    ranks: Vec<Rank>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Word {
    Enqueue(Node),
    Link(Node),
    Grant {
        openings: u32,
        closed: bool,
        drained: bool,
        run: u32,
    },
    Close {
        count: u32,
        root: Node,
        parent: Parent,
    },
    Drained {
        count: u32,
        root: Option<usize>,
    },
    Open {
        count: u32,
        root: Node,
    },
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct World {
    stations: Vec<Station>,
    tail: Node,
    /// Under way, in no order: kept sorted so that equal states are equal.
    network: Vec<(Node, Word)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Action {
    Deliver(usize),
    Go(Node, usize),
    GiveUp(Node, usize),
    Settle(Node),
    Answer(Node),
}

struct Cluster {
    jobs: Vec<Vec<Vec<Job>>>,
    handovers: u32,
}

impl World {
    fn nodes(&self) -> u32 {
        self.stations.len() as u32
    }

    fn send(&mut self, to: Node, word: Word) {
        let at = self.network.partition_point(|sent| *sent < (to, word));
        self.network.insert(at, (to, word));
    }

    fn tell_children(&mut self, from: Node, root: Node, word: Word) -> u32 {
        let below: Vec<Node> = children(from, root, self.nodes()).collect();
        below.iter().for_each(|&node| self.send(node, word));
        below.len() as u32
    }

    /// As the agent or a rank of the home node does it.
    fn enqueue(&mut self, node: Node) {
        let before = std::mem::replace(&mut self.tail, node);
        if before == 0 {
            self.link(0, node);
        } else {
            self.send(before, Word::Link(node));
        }
    }

    fn link(&mut self, at: Node, successor: Node) {
        let station = &mut self.stations[at as usize];
        assert_eq!(station.successor, None, "one node comes behind another");
        station.successor = Some(successor);
        station.passed = 0;
        station.unsettled = true;
    }

    fn raise_gate(&mut self, node: Node, to: (u32, bool)) {
        let gate = &mut self.stations[node as usize].gate;
        *gate = to.max(*gate);
    }

    /// Whether nobody reads behind the closed gate, nor is about to.
    fn have_left(&self, node: Node, count: u32) -> bool {
        self.stations[node as usize]
            .ranks
            .iter()
            .all(|rank| match rank.phase {
                Phase::Reads => false,
                Phase::Leaves => rank.jobs.last() != Some(&Job::Downgrade),
                Phase::WantsToRead(since) => since == count,
                _ => true,
            })
    }

    /// Goes on as far as a writer with its node's turn can.
    fn advance(&mut self, node: Node, rank: usize) {
        loop {
            let station = &mut self.stations[node as usize];
            match station.standing.advance() {
                Step::Enqueue if node == 0 => self.enqueue(node),
                Step::Enqueue => self.send(0, Word::Enqueue(node)),
                Step::Await => match station.granted.take() {
                    Some(turn) => station.standing.receive(turn),
                    None => return self.set(node, rank, Phase::AwaitsGrant),
                },
                Step::Close(count) => {
                    station.standing.note_closed();
                    self.raise_gate(node, (count, true));
                    let close = Word::Close {
                        count,
                        root: node,
                        parent: Parent::Root(node, rank),
                    };
                    self.tell_children(node, node, close);
                    return self.set(node, rank, Phase::Closes { count, answers: 0 });
                }
                Step::Enter => {
                    station.passed += u32::from(station.successor.is_some());
                    return self.set(node, rank, Phase::Writes);
                }
                Step::GiveUp(_) => unreachable!("nobody dies here"),
            }
        }
    }

    fn set(&mut self, node: Node, rank: usize, phase: Phase) {
        self.stations[node as usize].ranks[rank].phase = phase;
    }

    fn leave(&mut self, node: Node, leave: Leave) {
        if let Some(count) = leave.open {
            self.raise_gate(node, (count, false));
            self.tell_children(node, node, Word::Open { count, root: node });
        }
        if let Some((to, turn)) = leave.grant {
            let Turn {
                openings,
                closed,
                drained,
                run,
                ..
            } = turn;
            self.send(
                to,
                Word::Grant {
                    openings,
                    closed,
                    drained,
                    run,
                },
            );
        }
    }

    /// Lets the node's turn go, as a writer does and the agent in its place.
    fn release(&mut self, node: Node, handovers: u32) {
        self.hand_on(node, handovers);
        self.let_go(node, handovers);
    }

    /// Decides what becomes of the lock.
    fn hand_on(&mut self, node: Node, handovers: u32) {
        let station = &mut self.stations[node as usize];
        let wants = |rank: &Rank| rank.phase == Phase::WantsTurn;
        let waiters = station.ranks.iter().any(wants);
        let leave = station
            .standing
            .leave(station.successor, waiters, handovers);
        if leave.grant.is_some() {
            station.successor = None;
        }
        self.leave(node, leave);
    }

    /// Lets the turn go; takes it again where the gates are closed for a writer that has given up since.
    fn let_go(&mut self, node: Node, handovers: u32) {
        let station = &mut self.stations[node as usize];
        station.turn = None;
        let nobody_waits = station
            .ranks
            .iter()
            .all(|rank| rank.phase != Phase::WantsTurn);
        if station.standing.keeps_gates_closed() && nobody_waits {
            self.release(node, handovers);
        }
    }

    fn deliver(&mut self, node: Node, word: Word) {
        let station = &mut self.stations[node as usize];
        match word {
            Word::Enqueue(from) => self.enqueue(from),
            Word::Link(successor) => self.link(node, successor),
            Word::Grant {
                openings,
                closed,
                drained,
                run,
            } => {
                let turn = Turn {
                    openings,
                    closed,
                    drained,
                    run,
                    ..Turn::default()
                };
                station.granted = Some(turn);
                station.unsettled = true;
            }
            Word::Close {
                count,
                root,
                parent,
            } => {
                self.raise_gate(node, (count, true));
                let close = Word::Close {
                    count,
                    root,
                    parent: Parent::Agent(node),
                };
                let pending = self.tell_children(node, root, close);
                let station = &mut self.stations[node as usize];
                if station.gate == (count, true) {
                    station.closing = Some(Closing {
                        count,
                        parent,
                        pending,
                    });
                }
            }
            Word::Drained {
                count: answered,
                root: Some(rank),
            } => {
                if let Phase::Closes { count, answers } = &mut station.ranks[rank].phase
                    && *count == answered
                {
                    *answers += 1;
                }
            }
            Word::Drained { count, root: None } => {
                if let Some(closing) = &mut station.closing
                    && closing.count == count
                {
                    closing.pending -= 1;
                }
            }
            Word::Open { count, root } => {
                station.closing.take_if(|closing| closing.count < count);
                self.tell_children(node, root, word);
                self.raise_gate(node, (count, false));
            }
        }
    }

    /// What a rank does next; false if it can only wait.
    fn go(&mut self, node: Node, rank: usize, handovers: u32) -> bool {
        let below = children(node, node, self.nodes()).count() as u32;
        let gate = self.stations[node as usize].gate;
        let drained = self.have_left(node, gate.0);
        let station = &mut self.stations[node as usize];
        let turn_is_free = station.turn.is_none();
        let me = &mut station.ranks[rank];
        match me.phase.clone() {
            Phase::Idle => match me.jobs.last() {
                None => return false,
                Some(Job::Read) if !gate.1 => me.phase = Phase::Reads,
                Some(Job::Read) => me.phase = Phase::WantsToRead(gate.0),
                Some(_) => me.phase = Phase::WantsTurn,
            },
            Phase::WantsTurn if turn_is_free => {
                me.phase = Phase::Idle;
                station.turn = Some(rank);
                self.advance(node, rank);
            }
            Phase::AwaitsGrant if station.granted.is_some() => self.advance(node, rank),
            Phase::Closes { answers, .. } if answers == below && drained => {
                station.standing.note_drained();
                self.advance(node, rank);
            }
            Phase::Writes => {
                me.phase = Phase::Leaves;
                if me.jobs.last() == Some(&Job::Downgrade) {
                    station.standing.note_reader();
                }
                self.hand_on(node, handovers);
            }
            Phase::Leaves => {
                me.phase = Phase::Idle;
                if me.jobs.pop() == Some(Job::Downgrade) {
                    me.phase = Phase::Reads;
                    me.jobs.push(Job::Read);
                }
                self.let_go(node, handovers);
            }
            Phase::WantsToRead(since) if gate.0 != since || !gate.1 => me.phase = Phase::Reads,
            Phase::Reads => {
                me.jobs.pop();
                me.phase = Phase::Idle;
            }
            _ => return false,
        }
        true
    }

    fn give_up(&mut self, node: Node, rank: usize, handovers: u32) -> bool {
        let station = &mut self.stations[node as usize];
        let me = &mut station.ranks[rank];
        if me.jobs.last() != Some(&Job::TryWrite) {
            return false;
        }
        let phase = std::mem::replace(&mut me.phase, Phase::Idle);
        match phase {
            Phase::WantsTurn => {
                me.jobs.pop();
                // What it leaves behind is tidied up by it, or by who has the turn and finds nobody waiting.
                if station.turn.is_none() {
                    self.release(node, handovers);
                }
            }
            Phase::AwaitsGrant => {
                me.jobs.pop();
                self.release(node, handovers);
            }
            Phase::Closes { .. } => {
                me.jobs.pop();
                let open = station.standing.give_up_closing();
                self.leave(node, Leave { open, grant: None });
                self.release(node, handovers);
            }
            _ => return false,
        }
        true
    }

    fn settle(&mut self, node: Node, handovers: u32) -> bool {
        let station = &mut self.stations[node as usize];
        let waits = station
            .ranks
            .iter()
            .any(|rank| rank.phase == Phase::WantsTurn);
        let has_nothing = station.successor.is_none() && station.granted.is_none();
        if station.unsettled && has_nothing {
            station.unsettled = false;
            return true;
        }
        if !station.unsettled || station.turn.is_some() || waits {
            return false;
        }
        station.unsettled = false;
        if let Some(turn) = station.granted.take() {
            station.standing.receive(turn);
        }
        self.release(node, handovers);
        true
    }

    fn answer(&mut self, node: Node) -> bool {
        let Some(closing) = &self.stations[node as usize].closing else {
            return false;
        };
        let (count, parent) = (closing.count, closing.parent);
        if closing.pending > 0 || !self.have_left(node, count) {
            return false;
        }
        self.stations[node as usize].closing = None;
        match parent {
            Parent::Root(to, rank) => self.send(
                to,
                Word::Drained {
                    count,
                    root: Some(rank),
                },
            ),
            Parent::Agent(to) => self.send(to, Word::Drained { count, root: None }),
        }
        true
    }

    fn ranks_in(&self, phase: &Phase) -> usize {
        let ranks = self.stations.iter().flat_map(|station| &station.ranks);
        ranks.filter(|rank| rank.phase == *phase).count()
    }

    fn is_done(&self) -> bool {
        let mut ranks = self.stations.iter().flat_map(|station| &station.ranks);
        ranks.all(|rank| rank.jobs.is_empty())
    }
}

impl Model for Cluster {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let station = |(node, ranks): (usize, &Vec<Vec<Job>>)| Station {
            standing: match node {
                0 => Standing::Owner {
                    turn: Turn::default(),
                    row: 0,
                },
                _ => Standing::Out,
            },
            successor: None,
            granted: None,
            turn: None,
            gate: (0, false),
            closing: None,
            unsettled: false,
            passed: 0,
            ranks: ranks
                .iter()
                .map(|jobs| Rank {
                    jobs: jobs.clone(),
                    phase: Phase::Idle,
                })
                .collect(),
        };
        vec![World {
            stations: self.jobs.iter().enumerate().map(station).collect(),
            tail: 0,
            network: Vec::new(),
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.extend((0..world.network.len()).map(Action::Deliver));
        for (node, station) in world.stations.iter().enumerate() {
            let node = node as Node;
            actions.extend([Action::Settle(node), Action::Answer(node)]);
            for rank in 0..station.ranks.len() {
                actions.extend([Action::Go(node, rank), Action::GiveUp(node, rank)]);
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        let changed = match action {
            Action::Deliver(index) => {
                let (to, word) = next.network.remove(index);
                next.deliver(to, word);
                true
            }
            Action::Go(node, rank) => next.go(node, rank, self.handovers),
            Action::GiveUp(node, rank) => next.give_up(node, rank, self.handovers),
            Action::Settle(node) => next.settle(node, self.handovers),
            Action::Answer(node) => next.answer(node),
        };
        changed.then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a writer is alone", |_, world: &World| {
                let writers = world.ranks_in(&Phase::Writes);
                writers == 0 || writers == 1 && world.ranks_in(&Phase::Reads) == 0
            }),
            Property::always("there is one turn", |_, world: &World| {
                let owners = world.stations.iter();
                let owners =
                    owners.filter(|station| matches!(station.standing, Standing::Owner { .. }));
                let granted = world
                    .stations
                    .iter()
                    .filter(|station| station.granted.is_some());
                let grants = world.network.iter();
                let grants = grants.filter(|(_, word)| matches!(word, Word::Grant { .. }));
                owners.count() + granted.count() + grants.count() == 1
            }),
            Property::always("nobody waits for ever", |cluster: &Self, world: &World| {
                world.is_done() || !cluster.next_states(world).is_empty()
            }),
            Property::always(
                "the gates open in the end",
                |cluster: &Self, world: &World| {
                    !cluster.next_states(world).is_empty()
                        || world.stations.iter().all(|station| !station.gate.1)
                },
            ),
            Property::always(
                "a node that waits is passed by few",
                |cluster: &Self, world: &World| {
                    let mut stations = world.stations.iter();
                    stations.all(|station| station.passed <= cluster.handovers)
                },
            ),
        ]
    }
}

/// Explores what the ranks of all nodes do, given by node and rank, the last job first.
fn explore(jobs: &[&[&[Job]]], handovers: u32) {
    let jobs = jobs
        .iter()
        .map(|ranks| ranks.iter().map(|jobs| jobs.to_vec()).collect())
        .collect();
    let checker = Cluster { jobs, handovers }
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

use Job::{Downgrade, Read, TryWrite, Write};

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
fn three_nodes() {
    explore(&[&[&[Write, Write]], &[&[Read, Write]], &[&[TryWrite]]], 1);
}
