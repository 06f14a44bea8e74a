//! A channel's part of a node's server: the node's outpost and, on the host's node, the host.

use crate::channel::remote::{Host, Outpost, Report, Supply};
use crate::net::{Message, Port, Progress, Service};
use serde::{Deserialize, Serialize};

/// A message about a channel to a node.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ChannelMessage {
    /// To the host: how the sender's node stands.
    Report(Box<Report>),
    /// From the host: what it has for the node.
    Supply(Box<Supply>),
}

impl Message for ChannelMessage {
    fn size(&self) -> usize {
        match self {
            ChannelMessage::Report(report) => report.size(),
            ChannelMessage::Supply(supply) => supply.size(),
        }
    }
}

/// Carries the messages of a channel to and from a node.
pub(crate) struct ChannelServer {
    port: Port,
    outpost: Outpost,
    /// The host's node.
    home: u32,
    /// Where that is this one.
    host: Option<Host>,
    /// Whether all ranks of all nodes are done with the channel.
    is_over: bool,
}

impl ChannelServer {
    pub(crate) fn new(port: Port, outpost: Outpost, home: u32, host: Option<Host>) -> Self {
        ChannelServer {
            port,
            outpost,
            home,
            host,
            is_over: false,
        }
    }

    /// As the host, takes a report in, and tells the nodes what there is for them.
    fn take_in(&mut self, node: u32, report: Report) {
        let Some(host) = &mut self.host else { return };
        host.receive(node as usize, report);
        for (node, supply) in host.supplies() {
            self.is_over |= supply.forget;
            if node == self.port.net().node() as usize {
                self.outpost.receive(supply);
            } else {
                let supply = ChannelMessage::Supply(Box::new(supply));
                self.port.send(node as u32, &supply);
            }
        }
    }
}

impl Service for ChannelServer {
    type Message = ChannelMessage;

    fn receive(&mut self, from: u32, message: ChannelMessage) {
        match message {
            ChannelMessage::Report(report) => {
                let node = self.port.net().topology().node_of(from);
                self.take_in(node, *report);
            }
            ChannelMessage::Supply(supply) => {
                self.is_over |= supply.forget;
                self.outpost.receive(*supply);
            }
        }
    }

    fn is_called(&self) -> bool {
        self.outpost.is_called()
    }

    fn go_on(&mut self) -> Progress {
        if self.is_over {
            return Progress::Over;
        }
        let (report, is_busy) = self.outpost.report();
        let progress = Progress::busy_if(is_busy);
        match report {
            None => progress,
            Some(report) if self.host.is_some() => {
                self.take_in(self.port.net().node(), report);
                // There may be something for this node.
                if self.is_over {
                    Progress::Over
                } else {
                    Progress::Busy
                }
            }
            Some(report) => {
                let report = ChannelMessage::Report(Box::new(report));
                self.port.send(self.home, &report);
                progress
            }
        }
    }

    fn inspect(&mut self) {
        // A rank may have died when it had said so and not woken the server.
        let _ = self.outpost.is_called();
        self.outpost.inspect();
    }
}
