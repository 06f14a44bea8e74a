//! The service of a mailbox on a node's server.

use crate::net::{Port, Progress, Service, Tail};
use crate::share::CallNumber;
use crate::share::mailbox::MailboxMemory;
use crate::share::remote::messages::{MailboxMessage, MailboxReply, Reason, Site};
use crate::share::remote::receiver::Receiver;
use crate::shm::topology::RankLocation;
use crate::shm::waiting::want::{Kept, Wanted};
use std::sync::atomic::Ordering;

/// Fills a mailbox of this node with the values of other nodes.
pub(super) struct MailboxServer {
    port: Port,
    mailbox: MailboxMemory,
    receiver: Receiver,
}

impl MailboxServer {
    pub(super) fn new(port: Port, mailbox: MailboxMemory) -> Self {
        MailboxServer {
            port,
            mailbox,
            receiver: Receiver::default(),
        }
    }

    /// Why `rank`, of this node, shares nothing in `call`. `None` if it has shared a value, which
    /// may still be on its way, or may yet do so.
    fn reason(&self, call: u64, rank: u32, meetings: u64) -> Option<Reason> {
        let RankLocation::Local(local_rank) = self.port.net().topology().location(rank as usize)
        else {
            return None;
        };
        let mailbox = &self.mailbox;
        let record = mailbox.rank_record(local_rank);
        if let Some(rank) = mailbox.waits_for(local_rank, call) {
            let (called, place) = record.called();
            let site = Some(Site {
                called,
                file: place.file().to_owned(),
                line: place.line(),
            });
            return Some(Reason::WaitsFor { rank, site });
        }
        let met = mailbox.domain().arrival_slot(rank as usize);
        // In this order: a rank shares before it goes to a meeting.
        let is_ahead = met.posted.load(Ordering::Acquire) > meetings;
        if record.done.load(Ordering::Acquire) < call {
            return is_ahead.then_some(Reason::IsElsewhere);
        }
        // It has gone on. If it has been the writer in a later call in the same record, all nodes
        // have accepted its value of this call before: a writer waits for that, whoever else wrote
        // in between.
        let wrote = record.wrote[CallNumber(call).record()].load(Ordering::Relaxed) == call;
        (!wrote).then(|| Reason::WaitsFor {
            rank: record.waits_for.load(Ordering::Relaxed),
            site: None,
        })
    }
}

impl MailboxServer {
    /// Whether a rank of this node, which waits, has to go on before ranks of other nodes get its value
    /// of `call`, or a reason why there is none. They have come to this number of meetings.
    fn has_not_shared(&self, local_rank: usize, call: u64, meetings: u64) -> bool {
        let mailbox = &self.mailbox;
        let record = &mailbox.words().records[CallNumber(call).record()];
        let rank = mailbox.domain().topology().local_ranks()[local_rank];
        let posted = &mailbox.domain().arrival_slot(rank as usize).posted;
        // Its node knows before others do that there is a value, or a reason; the latter are those of `reason`.
        mailbox.rank_record(local_rank).done.load(Ordering::Acquire) < call
            && record.call.load(Ordering::Acquire) < call
            && mailbox.waits_for(local_rank, call).is_none()
            && posted.load(Ordering::Acquire) <= meetings
    }
}

impl Service for MailboxServer {
    type Message = MailboxMessage;

    fn receive(&mut self, from: u32, message: MailboxMessage, _: Tail<'_>) {
        match message {
            MailboxMessage::Value(value) => self.receiver.begin(*value),
            MailboxMessage::Piece { call, bytes } => self.receiver.add(call, from, &bytes),
            MailboxMessage::Ask {
                call,
                rank,
                meetings,
            } => {
                if let Some(reason) = self.reason(call, rank, meetings) {
                    let answer = MailboxReply::Answer { call, reason };
                    self.port.send_to_rank(from, &answer);
                }
            }
        }
    }

    fn go_on(&mut self) -> Progress {
        let accept = |writer, call| {
            self.port
                .send_to_rank(writer, &MailboxReply::Accepted { call });
        };
        Progress::busy_if(self.receiver.go_on(&self.mailbox, accept))
    }

    fn keeps(&self, local_rank: usize, want: &Wanted, _: bool) -> Kept {
        Kept::one_if(match *want {
            Wanted::Value {
                call,
                writer,
                meetings,
            } => {
                let location = self.port.net().topology().location(writer as usize);
                location == RankLocation::Local(local_rank)
                    && self.has_not_shared(local_rank, call, meetings)
            }
            Wanted::Collected(call) => {
                let done = &self.mailbox.rank_record(local_rank).done;
                done.load(Ordering::Acquire) < call
            }
            _ => false,
        })
    }
}
