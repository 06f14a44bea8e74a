//! A counter for the ranks of other nodes: they ask the server of its node.

use crate::net::{Link, Message, Port, Remote, Request, Service};
use crate::shm::block::Block;
use crate::sync::counter::memory::Count;
use crate::sync::counter::range::{Take, Taken};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Which numbers a rank has got; none where there are too few.
#[derive(Debug, Serialize, Deserialize)]
struct Counted(Option<Taken>);

impl Message for Take {}
impl Message for Counted {}

/// A counter on another node.
pub(super) struct CounterClient(Remote<Take, Counted>);

impl CounterClient {
    /// Opens the port of a counter; None on the node where that is.
    pub(super) fn open(link: &Link) -> Option<Self> {
        let serve = |port, block: &Arc<Block>| CounterServer {
            port,
            count: Count::new(block.first_part()),
        };
        Remote::open(link, serve).map(CounterClient)
    }

    /// Takes numbers; none where there are too few. Waits for the network.
    #[cold]
    pub(super) fn take(&self, block: &Block, take: Take) -> Option<Taken> {
        self.0.ask(block, take).0
    }
}

/// Counts for the ranks of other nodes.
struct CounterServer {
    port: Port,
    count: Count,
}

impl Service for CounterServer {
    type Message = Request<Take>;

    fn receive(&mut self, from: u32, request: Request<Take>) {
        let taken = request.question.from(self.count.word());
        if let Some(number) = request.number {
            self.port.reply(from, number, Counted(taken));
        }
    }
}
