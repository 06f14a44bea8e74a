//! The lock's part of a node's server.

use crate::net::{Message, Progress, Service};
use crate::rwlock::global::lock::GlobalLock;
use crate::rwlock::global::node_server::NodeServer;
use crate::rwlock::global::recovery::{Place, Recovery, RecoveryMessage};
use crate::rwlock::global::site::LockMessage;
use crate::rwlock::memory::LockMemory;
use crate::rwlock::node::NodeLock;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// A message to the server of a node.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ServerMessage {
    /// Of the protocol, in this generation.
    Lock {
        generation: u32,
        message: LockMessage,
    },
    Recovery(RecoveryMessage),
}

impl Message for ServerMessage {}

/// Acts for the ranks of a node in one lock.
pub(super) struct LockServer {
    global: GlobalLock,
    memory: LockMemory,
    protocol: NodeServer,
    recovery: Recovery,
    /// Messages of a generation that this node has not begun yet.
    early: Vec<(u32, LockMessage)>,
}

impl LockServer {
    pub(super) fn new(global: GlobalLock, memory: LockMemory) -> Self {
        LockServer {
            global,
            memory,
            protocol: NodeServer::default(),
            recovery: Recovery::default(),
            early: Vec::new(),
        }
    }

    fn handle(&mut self, generation: u32, message: LockMessage) {
        let mine = self.memory.qnode().generation.load(Ordering::Relaxed);
        let is_later = generation.wrapping_sub(mine) as i32 > 0;
        if is_later || generation == mine && self.recovery.has_halted() {
            self.early.push((generation, message));
        } else if generation == mine {
            let lock = local(&self.memory);
            self.protocol.handle(&self.global.at(lock), message);
        }
    }

    /// Goes on with the recovery.
    fn recover(&mut self, act: impl FnOnce(&mut Recovery, Place<'_>)) {
        let place = Place {
            global: &self.global,
            memory: &self.memory,
        };
        act(&mut self.recovery, place);
        if self.recovery.try_halt(place) {
            self.protocol = NodeServer::default();
        }
        if !self.recovery.has_halted() {
            for (generation, message) in std::mem::take(&mut self.early) {
                self.handle(generation, message);
            }
        }
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
            ServerMessage::Lock {
                generation,
                message,
            } => self.handle(generation, message),
            ServerMessage::Recovery(message) => {
                self.recover(|recovery, place| recovery.receive(place, message));
            }
        }
    }

    fn go_on(&mut self) -> Progress {
        if self.recovery.is_under_way() {
            self.recover(|_, _| {});
        }
        if self.recovery.has_halted() {
            return Progress::Done;
        }
        let lock = local(&self.memory);
        let is_busy = self.protocol.go_on(&self.global.at(lock));
        Progress::busy_if(is_busy || self.recovery.is_under_way())
    }

    fn inspect(&mut self) {
        let lock = local(&self.memory);
        if self.protocol.waits_for_readers() {
            self.global.clear_dead_readers(lock);
        }
        self.global.forget_dead_writers(lock);
        self.recover(|recovery, place| recovery.inspect(place));
    }
}
