//! A turn that spans nodes.

use super::node::Turns;
use crate::net::{Link, Message, Port, Service, Tail};
use crate::shm::waiting::want::{Kept, Wanted};
use serde::{Deserialize, Serialize};

/// A message to a node of a turn.
#[derive(Debug, Serialize, Deserialize)]
enum TurnMessage {
    /// This many turns are over. The next turn is that of a rank of the receiving node.
    Over { turns: u64 },
    /// A rank died before it passed its turn on.
    Lost { rank: u32 },
}

impl Message for TurnMessage {}

/// The other nodes of a turn.
pub(crate) struct TurnNodes(Port);

impl TurnNodes {
    /// Opens the port of an object's turn. On a leader, also starts the node's server.
    pub(crate) fn open(link: &Link) -> Self {
        let port = link.port();
        if let Some(block) = link.leader() {
            port.serve(TurnServer {
                port: port.clone(),
                turns: Turns::new(block.first_part()),
                reported: None,
                passed_on: 0,
            });
        }
        TurnNodes(port)
    }

    /// Tells the node of `rank` that this many turns are over.
    pub(crate) fn pass_on(&self, turns: u64, rank: u32) {
        send(&self.0, turns, rank);
    }
}

fn send(port: &Port, turns: u64, rank: u32) {
    let node = port.net().topology().node_of(rank);
    port.send(node, &TurnMessage::Over { turns });
}

/// The server of a turn on one node.
struct TurnServer {
    port: Port,
    turns: Turns,
    /// The lost rank that the other nodes know of.
    reported: Option<u32>,
    /// The last turn to which it has passed on in place of a rank that takes no part any more.
    passed_on: u64,
}

impl Service for TurnServer {
    type Message = TurnMessage;

    fn receive(&mut self, _from: u32, message: TurnMessage, _: Tail<'_>) {
        match message {
            TurnMessage::Over { turns } => self.turns.receive(turns),
            TurnMessage::Lost { rank } => {
                self.turns.lose(rank);
                self.reported = Some(rank);
            }
        }
    }

    fn inspect(&mut self) {
        self.turns.inspect();
        if let Some(rank) = self.turns.lost()
            && self.reported != Some(rank)
        {
            self.reported = Some(rank);
            self.port.send_to_others(&TurnMessage::Lost { rank });
        }
        if let Some(over) = self.turns.after_the_absent()
            && over > self.passed_on
        {
            self.passed_on = over;
            self.turns.pass_on(over, |turns, rank| {
                send(&self.port, turns, rank);
            });
        }
    }

    fn keeps(&self, local_rank: usize, want: &Wanted, _: bool) -> Kept {
        let has_turn_before = |number| self.turns.has_turn_before(local_rank, number);
        Kept::one_if(matches!(*want, Wanted::Turn(number) if has_turn_before(number)))
    }
}
