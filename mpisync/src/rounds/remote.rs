//! What nodes tell each other about turns, barriers and votes, and what they do with it.

use super::Ballot;
use super::barrier::{Gathering, News};
use super::turn::Turns;
use crate::memory::atomic::{AtomicU32, Ordering};
use crate::memory::block::Block;
use crate::memory::lock;
use crate::net::{Client, Link, Message, Port, Service};
use crate::wait::{Deadline, wait_for_answer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A message to a node about a turn.
#[derive(Debug, Serialize, Deserialize)]
enum TurnMessage {
    /// So many turns are over, and the next one is that of a rank of the node.
    Over { turns: u64 },
    /// A rank died before its turn was over.
    Lost { rank: u32 },
}

impl Message for TurnMessage {}

/// The other nodes of a turn.
pub(crate) struct TurnNodes(Port);

impl TurnNodes {
    /// Opens the port of an object's turn, and begins to serve it on a leader.
    pub(crate) fn open(link: &Link) -> Self {
        let port = link.port();
        if let Some(block) = link.leader() {
            port.serve(TurnServer {
                port: port.clone(),
                turns: Turns::new(block.first_part()),
                is_loss_told: false,
            });
        }
        TurnNodes(port)
    }

    /// Tells the node of `rank` that so many turns are over.
    pub(crate) fn pass_on(&self, turns: u64, rank: u32) {
        let node = self.0.net().topology().node_of(rank);
        self.0.send(node, &TurnMessage::Over { turns });
    }
}

/// Acts for the ranks of a node in a turn.
struct TurnServer {
    port: Port,
    turns: Turns,
    /// Whether the other nodes know that a rank died.
    is_loss_told: bool,
}

impl Service for TurnServer {
    type Message = TurnMessage;

    fn receive(&mut self, _from: u32, message: TurnMessage) {
        match message {
            TurnMessage::Over { turns } => self.turns.receive(turns),
            TurnMessage::Lost { rank } => {
                self.turns.lose(rank);
                self.is_loss_told = true;
            }
        }
    }

    fn inspect(&mut self) {
        self.turns.inspect();
        if !self.is_loss_told
            && let Some(rank) = self.turns.lost()
        {
            self.is_loss_told = true;
            self.port.send_to_others(&TurnMessage::Lost { rank });
        }
    }
}

/// A message to a node about a barrier.
#[derive(Debug, Serialize, Deserialize)]
enum BarrierMessage {
    /// All ranks that could be heard of before this round have come so often.
    Heard { round: usize, time: u64 },
    /// A rank died when it had come so often.
    Lost { rank: u32, after: u64 },
    /// Which ranks of the node have not come for that time?
    AskMissing { request: u32, time: u64 },
}

impl Message for BarrierMessage {}

/// To a rank that has asked: these ranks of a node have not come.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Missing {
    request: u32,
    node: u32,
    ranks: Vec<u32>,
}

impl Message for Missing {}

/// The other nodes of a barrier.
pub(crate) struct BarrierNodes {
    port: Port,
    pending: Arc<PendingMissing>,
}

/// What a rank has been told about those that are missing.
#[derive(Default)]
struct PendingMissing {
    request: AtomicU32,
    answers: Mutex<Vec<Missing>>,
}

impl Client for PendingMissing {
    type Message = Missing;

    fn receive(&self, _from: u32, answer: Missing) {
        lock(&self.answers).push(answer);
    }
}

impl PendingMissing {
    /// The answers to this request.
    fn answers(&self, request: u32) -> Vec<Missing> {
        let mut answers = lock(&self.answers);
        answers.retain(|answer| answer.request == request);
        answers.clone()
    }
}

impl BarrierNodes {
    /// Opens the port of an object's barrier, and begins to serve it on a leader.
    pub(crate) fn open(link: &Link) -> Self {
        let port = link.port();
        let pending = Arc::default();
        port.listen(&pending);
        if let Some(block) = link.leader() {
            port.serve(BarrierServer {
                port: port.clone(),
                gathering: Gathering::new(block.first_part()),
                told: BTreeSet::new(),
            });
        }
        BarrierNodes { port, pending }
    }

    /// Sends what this node has heard on its way.
    pub(crate) fn tell(&self, news: News) {
        tell(&self.port, news);
    }

    /// Asks the other nodes which of their ranks have not come for that time; waits `limit` at most. The second list
    /// has the ranks of the nodes that did not answer.
    pub(crate) fn missing(
        &self,
        block: &Block,
        time: u64,
        limit: Duration,
    ) -> (Vec<u32>, Vec<u32>) {
        let topology = self.port.net().topology();
        let request = (self.pending.request.fetch_add(1, Ordering::Relaxed)).wrapping_add(1);
        self.port
            .send_to_others(&BarrierMessage::AskMissing { request, time });
        let others: Vec<u32> = topology.other_nodes().collect();
        let all = || (self.pending.answers(request).len() == others.len()).then_some(());
        // What has come by then has to do.
        let _ = wait_for_answer(block, Deadline::after(limit), all);
        let answers = self.pending.answers(request);
        let (mut missing, mut silent) = (Vec::new(), Vec::new());
        for node in others {
            match answers.iter().find(|answer| answer.node == node) {
                Some(answer) => missing.extend(&answer.ranks),
                None => {
                    let all = 0..topology.size() as u32;
                    silent.extend(all.filter(|&rank| topology.node_of(rank) == node));
                }
            }
        }
        (missing, silent)
    }
}

fn tell(port: &Port, news: News) {
    let News { to, round, time } = news;
    port.send(to, &BarrierMessage::Heard { round, time });
}

/// Acts for the ranks of a node in a barrier.
struct BarrierServer {
    port: Port,
    gathering: Gathering,
    /// The seats of those that died and of which the other nodes know.
    told: BTreeSet<usize>,
}

impl Service for BarrierServer {
    type Message = BarrierMessage;

    fn receive(&mut self, from: u32, message: BarrierMessage) {
        match message {
            BarrierMessage::Heard { round, time } => {
                let tell = |news| tell(&self.port, news);
                self.gathering.receive(round, time, tell);
            }
            BarrierMessage::Lost { rank, after } => self.gathering.lose(rank, after),
            BarrierMessage::AskMissing { request, time } => {
                let missing = Missing {
                    request,
                    node: self.port.net().node(),
                    ranks: self.gathering.missing(time),
                };
                self.port.send_to_rank(from, &missing);
            }
        }
    }

    fn inspect(&mut self) {
        let tell = |news| tell(&self.port, news);
        for (seat, after) in self.gathering.lost_here(u64::MAX) {
            let rank = self.port.net().topology().here()[seat];
            if self.told.insert(seat) {
                self.port
                    .send_to_others(&BarrierMessage::Lost { rank, after });
                // It may have died when it was about to send something.
                self.gathering.tell_again(tell);
            }
        }
        self.gathering.go_on(tell);
    }
}

/// To the first rank: what the sender makes of a round.
#[derive(Debug, Serialize, Deserialize)]
struct Vote {
    round: u64,
    ballot: Ballot,
}

impl Message for Vote {}

/// The other nodes of a vote.
pub(crate) struct VoteNodes {
    port: Port,
    received: Arc<ReceivedVotes>,
}

/// What ranks of other nodes make of what ranks do together, by rank.
#[derive(Default)]
struct ReceivedVotes(Mutex<Vec<(u32, Vote)>>);

impl Client for ReceivedVotes {
    type Message = Vote;

    fn receive(&self, from: u32, vote: Vote) {
        lock(&self.0).push((from, vote));
    }
}

impl VoteNodes {
    /// Opens the port of an object's vote.
    pub(crate) fn open(link: &Link) -> Self {
        let port = link.port();
        let received = Arc::default();
        port.listen(&received);
        VoteNodes { port, received }
    }

    /// Sends what this rank makes of a round to the first rank.
    pub(crate) fn cast(&self, round: u64, ballot: Ballot) {
        self.port.send_to_rank(0, &Vote { round, ballot });
    }

    /// What a rank of another node makes of a round, or that it takes no part any more. What was said of rounds before is
    /// forgotten.
    pub(crate) fn ballot(&self, rank: u32, round: u64) -> Option<Ballot> {
        let mut votes = lock(&self.received.0);
        let is_of_use =
            |vote: &Vote| vote.round >= round || round == u64::MAX || vote.ballot == Ballot::Left;
        votes.retain(|(_, vote)| is_of_use(vote));
        let of_rank = || votes.iter().filter(|vote| vote.0 == rank);
        let of_round = of_rank().find(|(_, vote)| vote.round == round);
        let left = || of_rank().find(|(_, vote)| vote.ballot == Ballot::Left);
        of_round.or_else(left).map(|(_, vote)| vote.ballot.clone())
    }
}
