//! A turn over several nodes.

use super::node::Turns;
use crate::net::{Link, Message, Port, Service};
use serde::{Deserialize, Serialize};

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
