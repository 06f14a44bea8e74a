//! A counter for ranks of other nodes. They send requests to the server of the root's node.

use crate::net::{Link, Message, Port, Remote, Request, Service, Tail};
use crate::shm::absence::HostLoss;
use crate::shm::block::Block;
use crate::shm::lock;
use crate::sync::counter::memory::Count;
use crate::sync::counter::range::{Take, Taken};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

/// The numbers that a rank has got. None if too few were left.
#[derive(Debug, Serialize, Deserialize)]
struct Counted(Option<Taken>);

impl Message for Take {}
impl Message for Counted {}

/// A counter on another node. One thread of a rank asks at a time.
pub(super) struct CounterClient(Mutex<Remote<Take, Counted>>);

impl CounterClient {
    /// Opens the port of a counter. None on the root's node.
    pub(super) fn open(link: &Link) -> Option<Self> {
        let serve = |port, block: &Arc<Block>| CounterServer {
            port,
            count: Count::new(block.first_part()),
        };
        Some(CounterClient(Mutex::new(Remote::open(link, serve)?)))
    }

    /// Takes numbers; none if too few are left. Waits for the answer.
    ///
    /// # Errors
    /// If a host is lost.
    #[cold]
    pub(super) fn take(&self, block: &Block, take: Take) -> Result<Option<Taken>, HostLoss> {
        Ok(lock(&self.0).ask(block, take)?.0)
    }
}

/// The server of a counter.
struct CounterServer {
    port: Port,
    count: Count,
}

impl Service for CounterServer {
    type Message = Request<Take>;

    fn receive(&mut self, from: u32, request: Request<Take>, _: Tail<'_>) {
        let taken = request.question.from(self.count.word());
        if let Some(number) = request.number {
            self.port.reply(from, number, Counted(taken));
        }
    }
}
