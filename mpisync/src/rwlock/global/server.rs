//! The lock's part of a node's server.

use crate::location::Place;
use crate::net::{Message, Progress, Service, Tail};
use crate::rwlock::global::lock::GlobalLock;
use crate::rwlock::global::recovery::{RecoveringServer, ServerMessage};
use crate::rwlock::memory::{LockMemory, Memory};
use crate::rwlock::node::NodeLock;
use crate::shm::waiting::want::{Kept, Wanted};

impl Message for ServerMessage {}

/// Acts for the ranks of a node in one lock.
pub(super) struct LockServer {
    global: GlobalLock,
    memory: LockMemory,
    server: RecoveringServer,
}

impl LockServer {
    pub(super) fn new(global: GlobalLock, memory: LockMemory) -> Self {
        LockServer {
            global,
            memory,
            server: RecoveringServer::default(),
        }
    }
}

/// The lock of this node.
fn local(memory: &LockMemory) -> NodeLock<&LockMemory> {
    NodeLock { memory }
}

impl Service for LockServer {
    type Message = ServerMessage;

    fn receive(&mut self, _from: u32, message: ServerMessage, _: Tail<'_>) {
        let site = self.global.at(local(&self.memory));
        self.server.receive(&site, message);
    }

    fn go_on(&mut self) -> Progress {
        let site = self.global.at(local(&self.memory));
        Progress::busy_if(self.server.go_on(&site))
    }

    fn inspect(&mut self) {
        let lock = local(&self.memory);
        if self.server.waits_for_readers() {
            self.global.clear_dead_readers(lock);
        }
        self.global.forget_dead_writers(lock);
        self.server.inspect(&self.global.at(lock));
        let awaited = self.server.awaited_version().unwrap_or_default();
        self.memory.qnode().copy.awaited.set(awaited);
    }

    fn keeps(&self, local_rank: usize, want: &Wanted, waits_here: bool) -> Kept {
        let lock = local(&self.memory);
        let words = self.memory.rank_words(local_rank);
        // One that waits for this lock may have the turn, and not know it yet.
        let writes = || !waits_here && self.global.at(lock).writes(local_rank);
        let has_range = || words.range.holds();
        let keeps = match *want {
            Wanted::Read => writes() || has_range(),
            Wanted::Write => lock.reads(local_rank) || writes() || has_range(),
            Wanted::Range { start, end } => {
                lock.reads(local_rank) || writes() || words.range.holds_some_of(&(start..end))
            }
            _ => false,
        };
        let held_at = &words.held_at;
        let taken_at = || held_at.get(self.global.net().domain(), local_rank);
        Kept {
            taken_at: keeps.then(taken_at).flatten().map(Place::from),
            ..Kept::one_if(keeps)
        }
    }
}
