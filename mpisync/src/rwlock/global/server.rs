//! The lock's part of a node's server.

use crate::net::{Message, Progress, Service};
use crate::rwlock::global::lock::GlobalLock;
use crate::rwlock::global::node_server::NodeServer;
use crate::rwlock::global::site::LockMessage;
use crate::rwlock::memory::LockMemory;
use crate::rwlock::node::NodeLock;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// A message to the server of a node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ServerMessage {
    Lock(LockMessage),
    /// This rank died as a writer.
    Broken {
        rank: u32,
    },
}

impl Message for ServerMessage {}

/// Acts for the ranks of a node in one lock.
pub(super) struct LockServer {
    global: GlobalLock,
    memory: LockMemory,
    protocol: NodeServer,
    /// Whether the other nodes were notified that a rank of this node died as a writer.
    has_sent_broken: bool,
}

impl LockServer {
    pub(super) fn new(global: GlobalLock, memory: LockMemory) -> Self {
        LockServer {
            global,
            memory,
            protocol: NodeServer::default(),
            has_sent_broken: false,
        }
    }

    fn note_broken(&self, rank: u32) {
        let broken = &self.memory.qnode().broken;
        broken.store(rank + 1, Ordering::Relaxed);
    }
}

/// The lock of this node.
fn local(memory: &LockMemory) -> NodeLock<&LockMemory> {
    NodeLock { memory }
}

impl Service for LockServer {
    type Message = ServerMessage;

    fn receive(&mut self, _from: u32, message: ServerMessage) {
        match message {
            ServerMessage::Lock(message) => {
                let lock = local(&self.memory);
                self.protocol.handle(&self.global.at(lock), message);
            }
            ServerMessage::Broken { rank } => self.note_broken(rank),
        }
    }

    fn go_on(&mut self) -> Progress {
        let lock = local(&self.memory);
        Progress::busy_if(self.protocol.go_on(&self.global.at(lock)))
    }

    fn inspect(&mut self) {
        let lock = local(&self.memory);
        if self.protocol.waits_for_readers() {
            self.global.clear_dead_readers(lock);
        }
        self.global.forget_dead_writers(lock);
        if !self.has_sent_broken
            && let Some(rank) = self.global.dead_writer(lock)
        {
            self.has_sent_broken = true;
            self.note_broken(rank);
            self.global.send_broken(rank);
        }
    }
}
