//! The client: a rank that shares a value or waits for one.

use crate::net::{Client, Link, Port};
use crate::share::CallNumber;
use crate::share::layout::{Filling, Record};
use crate::share::mailbox::MailboxMemory;
use crate::share::remote::messages::{MailboxMessage, MailboxReply, Reason, Value};
use crate::share::remote::server::MailboxServer;
use crate::shm::absence::HostLoss;
use crate::shm::block::Block;
use crate::shm::lock;
use crate::shm::wait::{Deadline, wait_for_answer, wait_for_network};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The most unsent messages before a writer of a large value waits for the network.
const WINDOW: usize = 64;

/// The mailboxes of an object on other nodes.
pub(crate) struct Mailboxes {
    port: Port,
    pending: Arc<Pending>,
}

/// The pending requests of this rank.
#[derive(Default)]
struct Pending {
    /// The last even and the last odd call in which this rank was the writer, 0 if none, and how
    /// many nodes have accepted its value.
    accepted: Mutex<[(u64, u32); 2]>,
    /// A call, and the reason why the rank that this one asked shares nothing in it.
    answer: Mutex<Option<(u64, Reason)>>,
    /// The time of the last question.
    asked: Mutex<Option<Instant>>,
}

impl Client for Pending {
    type Message = MailboxReply;

    fn receive(&self, _from: u32, message: MailboxReply) {
        match message {
            MailboxReply::Accepted { call } => {
                let accepted = &mut lock(&self.accepted)[(call % 2) as usize];
                if accepted.0 == call {
                    accepted.1 += 1;
                }
            }
            MailboxReply::Answer { call, reason } => *lock(&self.answer) = Some((call, reason)),
        }
    }
}

impl Pending {
    /// Whether `nodes` have accepted the last value that this rank shared in the record of `call`,
    /// in the epoch of `call`.
    fn is_accepted(&self, call: CallNumber, nodes: u32) -> bool {
        let (shared, accepted) = lock(&self.accepted)[call.record()];
        shared == 0 || call.epoch() != CallNumber(shared).epoch() || accepted >= nodes
    }

    /// Why the rank that this one has asked about shares nothing in `call`, if it is known.
    fn answer(&self, call: CallNumber) -> Option<Reason> {
        let answer = lock(&self.answer);
        let of_call = answer.as_ref().filter(|answer| answer.0 == call.0);
        of_call.map(|answer| answer.1.clone())
    }

    /// Whether it is time to ask another rank's node.
    fn may_ask(&self) -> bool {
        const INTERVAL: Duration = Duration::from_millis(50);
        let mut asked = lock(&self.asked);
        let is_time = asked.is_none_or(|asked| asked.elapsed() >= INTERVAL);
        if is_time {
            *asked = Some(Instant::now());
        }
        is_time
    }
}

impl Mailboxes {
    /// Opens the port of an object's mailbox and, on a leader, begins to serve it. `mailbox` finds
    /// it in a view of the block.
    pub(crate) fn open(link: &Link, mailbox: impl FnOnce(&Block) -> MailboxMemory) -> Self {
        let port = link.port();
        let pending = Arc::default();
        port.listen(&pending);
        if let Some(block) = link.leader() {
            port.serve(MailboxServer::new(port.clone(), mailbox(block)));
        }
        Mailboxes { port, pending }
    }

    /// Waits until the other nodes have accepted the last value that this rank shared in the record
    /// of `call`: in that call or, if others have written since, in an earlier one.
    ///
    /// Until then a rank of another node may wait for that value, and ask about this rank. The wait
    /// also ends if a host is lost.
    pub(crate) fn wait_until_accepted(
        &self,
        block: &Block,
        call: CallNumber,
        deadline: Deadline<'_>,
    ) {
        let _ = wait_for_answer(block, deadline, || {
            self.is_accepted(block, call).then_some(())
        });
    }

    /// Whether [`wait_until_accepted`](Self::wait_until_accepted) does not wait.
    pub(crate) fn is_accepted(&self, block: &Block, call: CallNumber) -> bool {
        let others = self.port.net().nodes() - 1;
        self.pending.is_accepted(call, others) || block.domain().has_dead_participants()
    }

    /// The last call in which this rank was the writer, in the record of `call`; 0 if there is none.
    pub(crate) fn last_shared(&self, call: CallNumber) -> CallNumber {
        let (shared, _) = lock(&self.pending.accepted)[call.record()];
        CallNumber(shared)
    }

    /// Waits until no other writer fills `record`, and begins to fill it.
    ///
    /// # Errors
    /// If a host is lost.
    pub(crate) fn begin_filling<'a>(
        &self,
        block: &Block,
        mailbox: &MailboxMemory,
        record: &'a Record,
    ) -> Result<Filling<'a>, HostLoss> {
        wait_for_network(block, "its mailbox record", || mailbox.try_to_fill(record))
    }

    /// Sends the outcome of `call`.
    pub(crate) fn publish(&self, call: CallNumber, value: Value) {
        lock(&self.pending.accepted)[call.record()] = (call.0, 0);
        self.port
            .send_to_others(&MailboxMessage::Value(Box::new(value)));
    }

    /// Sends the next bytes of a large value.
    ///
    /// # Errors
    /// If a host is lost.
    pub(crate) fn send_piece(
        &self,
        block: &Block,
        call: CallNumber,
        bytes: &[u8],
    ) -> Result<(), HostLoss> {
        let (call, bytes) = (call.0, bytes.to_vec());
        self.port
            .send_to_others(&MailboxMessage::Piece { call, bytes });
        wait_for_network(block, "the network", || {
            (self.port.net().unsent() < WINDOW).then_some(())
        })
    }

    /// Asks why `rank`, on another node, shares nothing in `call`. Returns the answer once it has
    /// come.
    pub(crate) fn ask(&self, block: &Block, call: CallNumber, rank: usize) -> Option<Reason> {
        let answer = self.pending.answer(call);
        if answer.is_none() && self.pending.may_ask() {
            let rank = rank as u32;
            let my_arrival_slot = block.domain().my_arrival_slot();
            let ask = MailboxMessage::Ask {
                call: call.0,
                rank,
                meetings: my_arrival_slot.posted.load(Ordering::Relaxed),
            };
            self.port
                .send(self.port.net().topology().node_of(rank), &ask);
        }
        answer
    }
}
