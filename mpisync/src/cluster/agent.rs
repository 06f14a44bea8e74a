//! The agent of a node: what other nodes ask of it, and what it has to come back to.

use super::Hub;
use super::channels::{Channel, Channels};
use super::errand::Errand;
use super::message::{Reason, Reply, Word};
use crate::lock::cluster::agent::LockAgent;
use crate::lock::cluster::tier::Tier;
use crate::lock::node::NodeLock;
use crate::memory::annex::Annex;
use crate::memory::block::Block;
use crate::memory::mapping::Mapping;
use crate::memory::topology::RankPlace;
#[cfg(feature = "region")]
use crate::region::cluster::Follower;
use crate::share::mirror::Mirror;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What an agent knows of the controllers of its communicator.
#[derive(Default)]
pub(super) struct Agent {
    wards: BTreeMap<u64, Ward>,
    /// The controllers to come back to.
    busy: BTreeSet<u64>,
    channels: Channels,
    /// The calls for the agent when it looked last who called.
    calls: u32,
}

/// One controller on this node.
struct Ward {
    /// From a seat of the agent's own.
    block: Block,
    tier: Tier,
    /// The lock's part.
    protocol: LockAgent,
    /// Values on their way into the node's mailbox.
    mirror: Mirror,
    /// Where it is a region with items: changes on their way into the node's copy.
    #[cfg(feature = "region")]
    follower: Option<Follower>,
    /// What is to be done about its annex.
    errand: Errand,
    /// Whether the others know that a rank died here as a writer.
    broken_told: bool,
    /// Whether the home node knows that this node's ranks have dropped the controller.
    gone_told: bool,
    /// On the home node: how many nodes have.
    gone: u32,
}

impl Agent {
    /// `items` is where the node's copy of a region's items lies.
    pub(super) fn take_on(
        &mut self,
        number: u64,
        block: Block,
        tier: Tier,
        items: Option<Arc<Mapping>>,
        annex: &Annex,
    ) {
        #[cfg(not(feature = "region"))]
        let _ = items;
        let ward = Ward {
            #[cfg(feature = "region")]
            follower: items.map(Follower::new),
            errand: Errand::of(annex, &block, &tier),
            block,
            tier,
            protocol: LockAgent::default(),
            mirror: Mirror::default(),
            broken_told: false,
            gone_told: false,
            gone: 0,
        };
        self.wards.insert(number, ward);
    }

    #[cfg(feature = "region")]
    pub(super) fn give_items_back(&mut self, number: u64) {
        if let Some(ward) = self.wards.get_mut(&number) {
            ward.follower = None;
        }
    }

    pub(super) fn take_on_channel(&mut self, number: u64, channel: Channel) {
        self.channels.take_on(number, channel);
    }

    pub(super) fn handle(&mut self, hub: &Hub, number: u64, word: Word) {
        let word = match word {
            Word::Report { node, report } => {
                return self.channels.receive_report(hub, number, node, *report);
            }
            Word::Supply(supply) => return self.channels.receive_supply(hub, number, *supply),
            word => word,
        };
        let Some(ward) = self.wards.get_mut(&number) else {
            // All ranks of all nodes have dropped it.
            return;
        };
        match word {
            Word::Forget => {
                self.wards.remove(&number);
                self.busy.remove(&number);
                return;
            }
            Word::Gone => {
                ward.gone += 1;
                if ward.gone == hub.nodes() {
                    for node in hub.topology().other_nodes() {
                        hub.tell(node, number, Word::Forget);
                    }
                    self.wards.remove(&number);
                    self.busy.remove(&number);
                }
                return;
            }
            word => ward.handle(hub, word),
        }
        if ward.go_on(hub) {
            self.busy.insert(number);
        }
    }

    /// Goes on with what could not be done at once; whether there is more.
    pub(super) fn tend(&mut self, hub: &Hub) -> bool {
        self.notice_calls(hub);
        let wards = &mut self.wards;
        self.busy
            .retain(|number| wards.get_mut(number).is_some_and(|ward| ward.go_on(hub)));
        let carrying = self.channels.tend(hub);
        carrying || !self.busy.is_empty()
    }

    /// Comes back to the waiting lists to which ranks of this node have called the agent.
    fn notice_calls(&mut self, hub: &Hub) {
        let calls = hub.calls();
        if calls != self.calls {
            self.calls = calls;
            let called = (self.wards.iter()).filter(|(_, ward)| ward.errand.is_called());
            self.busy.extend(called.map(|(&number, _)| number));
        }
    }

    pub(super) fn inspect(&mut self, hub: &Hub) {
        self.channels.inspect(hub);
        let mut gone = Vec::new();
        for (&number, ward) in &mut self.wards {
            ward.inspect(hub);
            if !ward.gone_told && ward.block.is_left_to_agent() {
                ward.gone_told = true;
                gone.push((number, ward.tier.home));
            }
        }
        for (number, home) in gone {
            if home == hub.node() {
                self.handle(hub, number, Word::Gone);
            } else {
                hub.tell(home, number, Word::Gone);
            }
        }
    }
}

impl Ward {
    fn handle(&mut self, hub: &Hub, word: Word) {
        let lock = NodeLock {
            memory: &self.block,
        };
        let station = self.block.station();
        let number = self.tier.number;
        match word {
            Word::Lock(word) => self.protocol.handle(&self.tier.at(lock), word),
            Word::Broken { rank } => {
                station.broken.store(rank + 1, Ordering::Relaxed);
            }
            Word::Value(value) => self.mirror.begin(*value),
            Word::Piece {
                call,
                writer,
                bytes,
            } => self.mirror.add(call, writer, &bytes),
            Word::Ask {
                call,
                rank,
                asker,
                meetings,
            } => {
                if let Some(reason) = self.reason(hub, call, rank, meetings) {
                    hub.tell_rank(asker, number, Word::Answer { call, reason });
                }
            }
            #[cfg(feature = "region")]
            Word::Change(change) => {
                if let Some(follower) = &mut self.follower {
                    follower.receive(hub, *change);
                }
            }
            #[cfg(feature = "region")]
            Word::Changed {
                number: change,
                asker: _,
            } => {
                if let Some(follower) = &mut self.follower {
                    follower.count_answer(change);
                }
            }
            Word::Wait(word) => self.errand.handle_wait(hub, number, word),
            Word::Ledger(word) => self.errand.handle_ledger(hub, number, word),
            Word::Round(word) => self.errand.handle_round(hub, number, word),
            Word::Count {
                asker,
                request,
                take,
            } => {
                let taken = take.from(&self.block.shelf()[0]);
                hub.reply(asker, number, request, Reply::Counted(taken));
            }
            // Handled before an agent is asked.
            Word::Reply { .. }
            | Word::Accepted { .. }
            | Word::Answer { .. }
            | Word::Gone
            | Word::Forget
            | Word::Report { .. }
            | Word::Supply(_) => {}
        }
    }

    /// Why `rank`, of this node, shares nothing in `call`; none if it did, for its value may still be under way, or may
    /// do so yet.
    fn reason(&self, hub: &Hub, call: u64, rank: u32, meetings: u64) -> Option<Reason> {
        let RankPlace::Here(seat) = hub.topology().place(rank as usize) else {
            return None;
        };
        let block = &self.block;
        if let Some(waits_for) = block.waits_for(seat, call) {
            return Some(Reason::WaitsFor(waits_for));
        }
        let met = block.domain().board(rank as usize);
        // In this order: a rank shares before it goes to a meeting.
        let is_ahead = met.posted.load(Ordering::Acquire) > meetings;
        let mail = block.mail(seat);
        if mail.done.load(Ordering::Acquire) < call {
            return is_ahead.then_some(Reason::IsElsewhere);
        }
        // It has gone on. Where it has written in a later call in the same record, all nodes had taken over before what it
        // may have written in this one: it waits for that, whoever wrote in between.
        let wrote = mail.wrote[(call % 2) as usize].load(Ordering::Relaxed) == call;
        (!wrote).then(|| Reason::WaitsFor(mail.waits_for.load(Ordering::Relaxed)))
    }

    /// Does what can be done now; whether something is left.
    fn go_on(&mut self, hub: &Hub) -> bool {
        let lock = NodeLock {
            memory: &self.block,
        };
        self.errand.go_on(hub, self.tier.number);
        let locking = self.protocol.go_on(&self.tier.at(lock));
        let mirroring = self.mirror.go_on(&self.block, |writer, call| {
            hub.tell_rank(writer, self.tier.number, Word::Accepted { call });
        });
        #[cfg(feature = "region")]
        let following =
            (self.follower.as_mut()).is_some_and(|follower| follower.go_on(hub, self.tier.number));
        #[cfg(not(feature = "region"))]
        let following = false;
        mirroring || locking || following
    }

    fn inspect(&mut self, hub: &Hub) {
        let lock = NodeLock {
            memory: &self.block,
        };
        if self.protocol.waits_for_readers() {
            self.tier.clear_dead_readers(lock);
        }
        self.tier.forget_dead_writers(lock);
        #[cfg(feature = "region")]
        if let Some(follower) = &mut self.follower {
            follower.forget_dead_writer(hub);
        }
        self.errand.inspect(hub, self.tier.number);
        if self.broken_told {
            return;
        }
        if let Some(rank) = self.tier.dead_writer(lock) {
            self.broken_told = true;
            let broken = &self.block.station().broken;
            broken.store(rank + 1, Ordering::Relaxed);
            for node in hub.topology().other_nodes() {
                hub.tell(node, self.tier.number, Word::Broken { rank });
            }
        }
    }
}
