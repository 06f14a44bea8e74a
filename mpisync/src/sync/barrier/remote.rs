//! A barrier that spans nodes.

use super::node::{Dissemination, Signal};
use crate::net::{Client, Link, Message, Port, Service, Tail};
use crate::shm::atomic::{AtomicU32, Ordering};
use crate::shm::block::Block;
use crate::shm::lock;
use crate::shm::wait::{Deadline, wait_for_answer};
use crate::shm::waiting::want::{Kept, Wanted};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A message to a node of a barrier.
#[derive(Debug, Serialize, Deserialize)]
enum BarrierMessage {
    /// A signal: all ranks that the sender has heard of before this round have arrived at `phase`.
    Heard { round: usize, phase: u64 },
    /// A rank died after it had arrived at `after` phases.
    Lost { rank: u32, after: u64 },
    /// A question: which ranks of the receiving node have not arrived at `phase`?
    AskMissing { request: u32, phase: u64 },
}

impl Message for BarrierMessage {}

/// The answer: these ranks of a node have not arrived.
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

/// The answers to a rank's requests.
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
    /// Opens the port of an object's barrier. On a leader, also starts the node's server.
    pub(crate) fn open(link: &Link) -> Self {
        let port = link.port();
        let pending = Arc::default();
        port.listen(&pending);
        if let Some(block) = link.leader() {
            port.serve(BarrierServer {
                port: port.clone(),
                dissemination: Dissemination::new(block.first_part()),
                reported: BTreeSet::new(),
                participating: 0,
            });
        }
        BarrierNodes { port, pending }
    }

    /// Sends a signal to its node.
    pub(crate) fn send(&self, signal: Signal) {
        send(&self.port, signal);
    }

    /// Asks the other nodes which of their ranks have not arrived at `phase`, and waits at most
    /// `limit` for the answers. The second list has the ranks of the nodes that did not answer.
    pub(crate) fn missing(
        &self,
        block: &Block,
        phase: u64,
        limit: Duration,
    ) -> (Vec<u32>, Vec<u32>) {
        let topology = self.port.net().topology();
        let request = (self.pending.request.fetch_add(1, Ordering::Relaxed)).wrapping_add(1);
        self.port
            .send_to_others(&BarrierMessage::AskMissing { request, phase });
        let others: Vec<u32> = topology.other_nodes().collect();
        let all = || (self.pending.answers(request).len() == others.len()).then_some(());
        // After the limit, the answers so far are used.
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

fn send(port: &Port, signal: Signal) {
    let Signal { to, round, phase } = signal;
    port.send(to, &BarrierMessage::Heard { round, phase });
}

/// The server of a barrier on one node.
struct BarrierServer {
    port: Port,
    dissemination: Dissemination,
    /// The slots of the dead ranks that the other nodes know of.
    reported: BTreeSet<usize>,
    /// How many ranks of the node took part when these were reported.
    participating: usize,
}

impl Service for BarrierServer {
    type Message = BarrierMessage;

    fn receive(&mut self, from: u32, message: BarrierMessage, _: Tail<'_>) {
        match message {
            BarrierMessage::Heard { round, phase } => {
                let send = |signal| send(&self.port, signal);
                self.dissemination.receive(round, phase, send);
            }
            BarrierMessage::Lost { rank, after } => self.dissemination.lose(rank, after),
            BarrierMessage::AskMissing { request, phase } => {
                let missing = Missing {
                    request,
                    node: self.port.net().node(),
                    ranks: self.dissemination.missing(phase),
                };
                self.port.send_to_rank(from, &missing);
            }
        }
    }

    fn inspect(&mut self) {
        let send = |signal| send(&self.port, signal);
        // Other nodes remember one dead rank, which they may know to take no part any more.
        let participating = self.dissemination.participating();
        if participating != self.participating {
            self.participating = participating;
            self.reported.clear();
        }
        for (slot, after) in self.dissemination.lost_locally(u64::MAX) {
            let rank = self.port.net().topology().local_ranks()[slot];
            if self.reported.insert(slot) {
                self.port
                    .send_to_others(&BarrierMessage::Lost { rank, after });
                // The rank may have died while it was about to send a signal.
                self.dissemination.resend(send);
            }
        }
        self.dissemination.go_on(send);
    }

    fn keeps(&self, local_rank: usize, want: &Wanted, _: bool) -> Kept {
        let is_missing = |phase| !self.dissemination.has_arrived(local_rank, phase);
        Kept::one_if(matches!(*want, Wanted::Phase(phase) if is_missing(phase)))
    }
}
