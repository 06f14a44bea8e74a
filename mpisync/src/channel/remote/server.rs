//! A channel's part of a node's server: the node's proxy and, on the coordinator's node, the
//! coordinator.

use crate::channel::remote::{Coordinator, Grant, NodeProxy, Report};
use crate::net::{Message, Port, Progress, Service};
use crate::shm::waiting::want::{Kept, Tally, Wanted};
use serde::{Deserialize, Serialize};

/// A message of a channel between nodes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ChannelMessage {
    /// To the coordinator: the report of a node.
    Report(Box<Report>),
    /// From the coordinator: a grant for the node.
    Grant(Box<Grant>),
}

impl Message for ChannelMessage {
    fn size(&self) -> usize {
        match self {
            ChannelMessage::Report(report) => report.size(),
            ChannelMessage::Grant(grant) => grant.size(),
        }
    }
}

/// The server of a channel on one node.
pub(crate) struct ChannelServer {
    port: Port,
    proxy: NodeProxy,
    /// The coordinator's node.
    home: u32,
    /// The coordinator, on its node.
    coordinator: Option<Coordinator>,
    /// Whether all ranks of all nodes have closed both ends.
    is_over: bool,
}

impl ChannelServer {
    pub(crate) fn new(
        port: Port,
        proxy: NodeProxy,
        home: u32,
        coordinator: Option<Coordinator>,
    ) -> Self {
        ChannelServer {
            port,
            proxy,
            home,
            coordinator,
            is_over: false,
        }
    }

    /// On the coordinator's node: processes a report and sends the resulting grants.
    fn receive_report(&mut self, node: u32, report: Report) {
        let Some(coordinator) = &mut self.coordinator else {
            return;
        };
        coordinator.receive(node as usize, report);
        for (node, grant) in coordinator.grants() {
            self.is_over |= grant.forget;
            if node == self.port.net().node() as usize {
                self.proxy.receive(grant);
            } else {
                let grant = ChannelMessage::Grant(Box::new(grant));
                self.port.send(node as u32, &grant);
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
                self.receive_report(node, *report);
            }
            ChannelMessage::Grant(grant) => {
                self.is_over |= grant.forget;
                self.proxy.receive(*grant);
            }
        }
    }

    fn is_called(&self) -> bool {
        self.proxy.is_called()
    }

    fn go_on(&mut self) -> Progress {
        if self.is_over {
            return Progress::Over;
        }
        let (report, is_busy) = self.proxy.report();
        let progress = Progress::busy_if(is_busy);
        match report {
            None => progress,
            Some(report) if self.coordinator.is_some() => {
                self.receive_report(self.port.net().node(), report);
                // The report may have led to a grant for this node.
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
        // Clears a call whose rank died before it woke the server.
        let _ = self.proxy.is_called();
        self.proxy.inspect();
    }

    fn keeps(&self, local_rank: usize, want: &Wanted, _: bool) -> Kept {
        self.proxy.keeps(local_rank, want)
    }

    fn tally(&self, want: &Wanted) -> Option<Tally> {
        self.proxy.tally(want, self.coordinator.as_ref())
    }
}
