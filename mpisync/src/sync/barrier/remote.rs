//! A barrier over several nodes.

use super::node::{Dissemination, Signal};
use crate::net::{Client, Link, Message, Port, Service};
use crate::shm::atomic::{AtomicU32, Ordering};
use crate::shm::block::Block;
use crate::shm::lock;
use crate::shm::wait::{Deadline, wait_for_answer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
                dissemination: Dissemination::new(block.first_part()),
                told: BTreeSet::new(),
            });
        }
        BarrierNodes { port, pending }
    }

    /// Sends what this node has heard on its way.
    pub(crate) fn tell(&self, signal: Signal) {
        tell(&self.port, signal);
    }

    /// Asks the other nodes which of their ranks have not come for that time; waits `limit` at
    /// most. The second list has the ranks of the nodes that did not answer.
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

fn tell(port: &Port, signal: Signal) {
    let Signal { to, round, time } = signal;
    port.send(to, &BarrierMessage::Heard { round, time });
}

/// Acts for the ranks of a node in a barrier.
struct BarrierServer {
    port: Port,
    dissemination: Dissemination,
    /// The slots of those that died and of which the other nodes know.
    told: BTreeSet<usize>,
}

impl Service for BarrierServer {
    type Message = BarrierMessage;

    fn receive(&mut self, from: u32, message: BarrierMessage) {
        match message {
            BarrierMessage::Heard { round, time } => {
                let tell = |signal| tell(&self.port, signal);
                self.dissemination.receive(round, time, tell);
            }
            BarrierMessage::Lost { rank, after } => self.dissemination.lose(rank, after),
            BarrierMessage::AskMissing { request, time } => {
                let missing = Missing {
                    request,
                    node: self.port.net().node(),
                    ranks: self.dissemination.missing(time),
                };
                self.port.send_to_rank(from, &missing);
            }
        }
    }

    fn inspect(&mut self) {
        let tell = |signal| tell(&self.port, signal);
        for (slot, after) in self.dissemination.lost_locally(u64::MAX) {
            let rank = self.port.net().topology().local_ranks()[slot];
            if self.told.insert(slot) {
                self.port
                    .send_to_others(&BarrierMessage::Lost { rank, after });
                // It may have died when it was about to send something.
                self.dissemination.tell_again(tell);
            }
        }
        self.dissemination.go_on(tell);
    }
}
