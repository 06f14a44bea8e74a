//! The agent's channels: their outposts on this node, and those whose host is here.

use super::Hub;
use super::message::Word;
use crate::queue::cluster::{Host, Outpost, Report, Supply};
use std::collections::{BTreeMap, BTreeSet};

/// What an agent knows of the channels of its communicator.
#[derive(Default)]
pub(super) struct Channels {
    channels: BTreeMap<u64, Channel>,
    /// Those to come back to.
    busy: BTreeSet<u64>,
    /// The calls for the agent when it looked who called last.
    calls: u32,
}

/// One channel on this node.
pub(crate) struct Channel {
    outpost: Outpost,
    /// The host's node.
    home: u32,
    /// Where that is this one.
    host: Option<Host>,
}

impl Channel {
    pub(crate) fn new(outpost: Outpost, home: u32, host: Option<Host>) -> Self {
        Channel {
            outpost,
            home,
            host,
        }
    }

    /// Carries what there is to carry; whether to come back to it, and whether the channel is still of use.
    fn go_on(&mut self, hub: &Hub, number: u64) -> (bool, bool) {
        let (report, is_busy) = self.outpost.report();
        match report {
            None => (is_busy, true),
            // There may be something for this node.
            Some(report) if self.host.is_some() => {
                (true, self.receive(hub, number, hub.node(), report))
            }
            Some(report) => {
                let (node, report) = (hub.node(), Box::new(report));
                hub.tell(self.home, number, Word::Report { node, report });
                (is_busy, true)
            }
        }
    }

    /// As the host, takes a report in, and tells the nodes what there is for them; whether the channel is still of use.
    fn receive(&mut self, hub: &Hub, number: u64, node: u32, report: Report) -> bool {
        let mut is_in_use = true;
        let Some(host) = &mut self.host else {
            return is_in_use;
        };
        host.receive(node as usize, report);
        for (node, supply) in host.supplies() {
            is_in_use &= !supply.forget;
            if node == hub.node() as usize {
                self.outpost.receive(supply);
            } else {
                hub.tell(node as u32, number, Word::Supply(Box::new(supply)));
            }
        }
        is_in_use
    }
}

impl Channels {
    pub(super) fn take_on(&mut self, number: u64, channel: Channel) {
        self.channels.insert(number, channel);
    }

    pub(super) fn receive_report(&mut self, hub: &Hub, number: u64, node: u32, report: Report) {
        // None where all ranks of all nodes have dropped it.
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        let is_in_use = channel.receive(hub, number, node, report);
        self.go_on(hub, number, is_in_use);
    }

    pub(super) fn receive_supply(&mut self, hub: &Hub, number: u64, supply: Supply) {
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        let is_in_use = !supply.forget;
        channel.outpost.receive(supply);
        self.go_on(hub, number, is_in_use);
    }

    fn go_on(&mut self, hub: &Hub, number: u64, is_in_use: bool) {
        let (is_busy, is_still_in_use) = match self.channels.get_mut(&number) {
            Some(channel) if is_in_use => channel.go_on(hub, number),
            _ => (false, false),
        };
        if !is_still_in_use {
            self.channels.remove(&number);
        }
        if is_busy && is_still_in_use {
            self.busy.insert(number);
        } else {
            self.busy.remove(&number);
        }
    }

    /// Goes on with channels to which ranks of this node have called the agent, and those it left to come back to; whether
    /// there is more.
    pub(super) fn tend(&mut self, hub: &Hub) -> bool {
        if self.channels.is_empty() {
            return false;
        }
        let calls = hub.calls();
        if calls != self.calls {
            self.calls = calls;
            let called = self
                .channels
                .iter()
                .filter(|(_, it)| it.outpost.is_called());
            self.busy.extend(called.map(|(&number, _)| number));
        }
        let busy: Vec<u64> = self.busy.iter().copied().collect();
        for &number in &busy {
            self.go_on(hub, number, true);
        }
        !busy.is_empty()
    }

    /// Looks after ranks that may have died, and at what changes with time.
    pub(super) fn inspect(&mut self, hub: &Hub) {
        for channel in self.channels.values_mut() {
            // A rank may have died when it had said so and not woken the agent.
            let _ = channel.outpost.is_called();
            channel.outpost.inspect();
        }
        let numbers: Vec<u64> = self.channels.keys().copied().collect();
        for number in numbers {
            self.go_on(hub, number, true);
        }
    }
}
