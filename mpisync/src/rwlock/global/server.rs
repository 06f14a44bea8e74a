//! The lock's part of a node's server.

use crate::net::{Message, Progress, Service};
use crate::rwlock::global::agent::LockAgent;
use crate::rwlock::global::site::LockWord;
use crate::rwlock::global::tier::Tier;
use crate::rwlock::memory::LockMemory;
use crate::rwlock::node::NodeLock;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// A message about the lock to a node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum LockMessage {
    Protocol(LockWord),
    /// This rank died as a writer.
    Broken {
        rank: u32,
    },
}

impl Message for LockMessage {}

/// Acts for the ranks of a node in one lock.
pub(super) struct LockServer {
    tier: Tier,
    memory: LockMemory,
    protocol: LockAgent,
    /// Whether the other nodes know that a rank of this node died as a writer.
    is_broken_told: bool,
}

impl LockServer {
    pub(super) fn new(tier: Tier, memory: LockMemory) -> Self {
        LockServer {
            tier,
            memory,
            protocol: LockAgent::default(),
            is_broken_told: false,
        }
    }

    fn lock(&self) -> NodeLock<&LockMemory> {
        NodeLock {
            memory: &self.memory,
        }
    }

    fn note_broken(&self, rank: u32) {
        let broken = &self.memory.station().broken;
        broken.store(rank + 1, Ordering::Relaxed);
    }
}

impl Service for LockServer {
    type Message = LockMessage;

    fn receive(&mut self, _from: u32, message: LockMessage) {
        match message {
            LockMessage::Protocol(word) => {
                let lock = NodeLock {
                    memory: &self.memory,
                };
                self.protocol.handle(&self.tier.at(lock), word);
            }
            LockMessage::Broken { rank } => self.note_broken(rank),
        }
    }

    fn go_on(&mut self) -> Progress {
        let lock = NodeLock {
            memory: &self.memory,
        };
        Progress::busy_if(self.protocol.go_on(&self.tier.at(lock)))
    }

    fn inspect(&mut self) {
        let lock = self.lock();
        if self.protocol.waits_for_readers() {
            self.tier.clear_dead_readers(lock);
        }
        self.tier.forget_dead_writers(lock);
        if !self.is_broken_told
            && let Some(rank) = self.tier.dead_writer(lock)
        {
            self.is_broken_told = true;
            self.note_broken(rank);
            self.tier.send_broken(rank);
        }
    }
}
