//! A channel's part of a node's server: the node's proxy and, on the coordinator's node, the
//! coordinator.

use crate::channel::remote::gathered::{Gathered, Lengths};
use crate::channel::remote::{Coordinator, Grant, NodeProxy, Report};
use crate::net::{Message, Port, Progress, Service, Tail};
use crate::shm::buffer::Buffer;
use crate::shm::waiting::want::{Kept, Tally, Wanted};
use serde::{Deserialize, Serialize};

/// A message of a channel between nodes. The messages that ranks have put are its tail.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ChannelMessage {
    /// To the coordinator: the report of a node. Its tail has the messages that were put, then those
    /// that the node returns.
    Report {
        report: Box<Report>,
        puts: Lengths,
        back: Lengths,
    },
    /// From the coordinator: a grant for the node.
    Grant {
        grant: Box<Grant>,
        messages: Lengths,
    },
}

impl Message for ChannelMessage {}

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
                send_grant(&self.port, node as u32, grant);
            }
        }
    }
}

fn send_report(port: &Port, home: u32, mut report: Report) {
    let (puts, mut tail) = std::mem::take(&mut report.puts).into_parts();
    let (back, returned) = std::mem::take(&mut report.back).into_parts();
    tail.append(&returned);
    let message = ChannelMessage::Report {
        report: Box::new(report),
        puts,
        back,
    };
    port.send_with_tail(home, &message, tail);
}

fn send_grant(port: &Port, node: u32, mut grant: Grant) {
    let messages = Gathered::of(std::mem::take(&mut grant.messages));
    let (messages, tail) = messages.into_parts();
    let message = ChannelMessage::Grant {
        grant: Box::new(grant),
        messages,
    };
    port.send_with_tail(node, &message, tail);
}

impl Service for ChannelServer {
    type Message = ChannelMessage;

    fn receive(&mut self, from: u32, message: ChannelMessage, tail: Tail<'_>) {
        let bytes = tail.into_buffer();
        match message {
            ChannelMessage::Report {
                mut report,
                puts,
                back,
            } => {
                let returned = Buffer::from(bytes[puts.total()..].to_vec());
                report.back = Gathered::from_parts(back, returned);
                report.puts = Gathered::from_parts(puts, bytes);
                let node = self.port.net().topology().node_of(from);
                self.receive_report(node, *report);
            }
            ChannelMessage::Grant {
                mut grant,
                messages,
            } => {
                let messages = Gathered::from_parts(messages, bytes);
                grant.messages = messages.into_messages();
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
                send_report(&self.port, self.home, report);
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
