//! The lock across nodes: the protocol on real nodes, with words in shared memory and messages
//! between the nodes.

use crate::net::{Acknowledgements, Link, Network, Port};
use crate::rwlock::global::here::Here;
use crate::rwlock::global::layout::QNode;
use crate::rwlock::global::server::LockServer;
use crate::rwlock::global::site::Site;
use crate::rwlock::global::token::{Claim, QueueState, Token};
use crate::rwlock::global::version::Version;
use crate::rwlock::global::writer;
use crate::rwlock::global::writer::Next;
use crate::rwlock::layout::READING;
use crate::rwlock::memory::{LockMemory, Memory};
use crate::rwlock::node::NodeLock;
use crate::shm::event::Event;
use crate::shm::wait::{Deadline, Stop, Surroundings, wait};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long `try_write` waits for the network.
const TRY: Duration = Duration::from_millis(50);

/// The lock across nodes, as one rank sees it.
pub(crate) struct GlobalLock {
    pub(super) port: Port,
    /// The answers of other nodes to this rank's close.
    pub(super) answers: Arc<Acknowledgements>,
    pub(super) max_local_handovers: u32,
    pub(super) home: u32,
}

impl GlobalLock {
    /// Opens the port of an object's lock and, on a leader, begins to serve it.
    pub(crate) fn open(link: &Link, max_local_handovers: u32) -> Self {
        let port = link.port();
        let global = || GlobalLock {
            port: port.clone(),
            answers: Arc::default(),
            max_local_handovers,
            home: link.home(),
        };
        if let Some(block) = link.leader() {
            let memory = LockMemory::new(block.first_part());
            if link.is_home() {
                // The queue begins here.
                memory.qnode().set_state(&QueueState::Owner {
                    token: Token::default(),
                    handovers: 0,
                });
            }
            port.serve(LockServer::new(global(), memory));
        }
        let global = global();
        port.listen(&global.answers);
        global
    }

    /// The same lock for another service of this node, which takes no lock itself.
    pub(in crate::rwlock) fn for_server(&self) -> Self {
        GlobalLock {
            port: self.port.clone(),
            answers: Arc::default(),
            max_local_handovers: self.max_local_handovers,
            home: self.home,
        }
    }

    pub(super) fn net(&self) -> &Network {
        self.port.net()
    }
}

/// As a writer.
impl GlobalLock {
    /// Enters as a writer.
    pub(crate) fn write(
        &self,
        lock: NodeLock<&LockMemory>,
        deadline: Deadline<'_>,
    ) -> Result<(), Stop> {
        loop {
            if let Err(stop) = lock.take_turn(|| deadline) {
                // The last writer may have left the gates closed for this one.
                writer::tidy(&self.at(lock));
                return Err(stop);
            }
            match self.enter(lock, deadline, OnPoison::GiveUp) {
                // The server of this node has the turn meanwhile.
                Err(Stop::Again) => {}
                entered => return entered.map(drop),
            }
        }
    }

    /// Enters as a writer in place of a rank that died as one. Returns that rank; none if the lock
    /// is not poisoned, and then this rank has not entered.
    pub(crate) fn take_over(
        &self,
        lock: NodeLock<&LockMemory>,
        deadline: Deadline<'_>,
    ) -> Result<Option<u32>, Stop> {
        while lock.memory.may_be_poisoned() {
            if let Err(stop) = lock.take_turn(|| deadline) {
                writer::tidy(&self.at(lock));
                return Err(stop);
            }
            match self.enter(lock, deadline, OnPoison::TakeOver) {
                Err(Stop::Again) => {}
                Ok(None) => {
                    // Another rank has taken over before.
                    self.unlock_write(lock);
                    return Ok(None);
                }
                entered => return entered,
            }
        }
        Ok(None)
    }

    /// Enters as a writer if that takes a few round trips only.
    pub(crate) fn try_write(&self, lock: NodeLock<&LockMemory>) -> bool {
        let soon = || Deadline::after(TRY);
        lock.try_turn() && self.enter(lock, soon(), OnPoison::GiveUp).is_ok()
    }

    /// Enters with the node's turn: takes the token, then waits until all readers have left. Releases
    /// the turn on an error. Returns the dead rank from which it has taken over, if any.
    fn enter(
        &self,
        lock: NodeLock<&LockMemory>,
        deadline: Deadline<'_>,
        on_poison: OnPoison,
    ) -> Result<Option<u32>, Stop> {
        let site = self.at(lock);
        let mut dead = None;
        let check = || match lock.memory.is_halting() {
            true => Err(Stop::Again),
            false if on_poison == OnPoison::TakeOver => Ok(()),
            false => lock.memory.check(),
        };
        let stop = loop {
            if lock.memory.is_halting() {
                break Stop::Again;
            }
            match writer::advance(&site) {
                Next::Enter => {
                    if on_poison == OnPoison::TakeOver {
                        // With a token that is not poisoned. That the gates have opened may not be known here yet.
                        site.qnode.broken.store(0, Ordering::Relaxed);
                    }
                    return Ok(dead);
                }
                Next::GiveUp(rank) if on_poison == OnPoison::TakeOver => {
                    writer::forgive(&site);
                    dead = Some(rank);
                }
                Next::GiveUp(rank) => break Stop::RankDied(rank),
                next @ (Next::AwaitToken | Next::AwaitReaders(_)) => {
                    let come = wait(
                        lock.memory,
                        self.event(&site, next),
                        deadline,
                        || self.has_come(&site, next).then_some(()),
                        || {
                            self.inspect(lock, next);
                            check()
                        },
                    );
                    match (come, next) {
                        (Ok(()), _) => {}
                        (Err(Stop::Again), _) => break Stop::Again,
                        (Err(stop), Next::AwaitReaders(_)) if dead.is_some() => {
                            // The lock stays poisoned.
                            writer::poison(&site, dead);
                            break stop;
                        }
                        (Err(stop), _) => {
                            self.give_up(&site, next);
                            return Err(stop);
                        }
                    }
                }
            }
        };
        if stop == Stop::Again {
            // All that this rank has done is void.
            let server = lock.memory.local_size();
            lock.give_turn(server);
        } else {
            writer::release(&site);
        }
        Err(stop)
    }

    /// The event of what a writer waits for in this step.
    fn event<'a>(&self, site: &'a Here<'_>, next: Next) -> Event<'a> {
        match next {
            Next::AwaitToken => site.qnode.arrival(),
            _ => site.lock.left(),
        }
    }

    /// Whether what a writer waits for in this step has come. If so, notes it.
    pub(super) fn has_come(&self, site: &Here<'_>, next: Next) -> bool {
        match next {
            Next::AwaitToken => {
                let granted = site.qnode.take_granted();
                granted.is_some_and(|token| {
                    writer::receive(site, token);
                    true
                })
            }
            Next::AwaitReaders(drain) => {
                let have_drained = writer::have_drained(site, drain);
                if have_drained {
                    writer::note_drained(site);
                }
                have_drained
            }
            Next::Enter | Next::GiveUp(_) => true,
        }
    }

    /// Looks, about once a millisecond, for dead ranks that keep a writer waiting in this step.
    pub(super) fn inspect(&self, lock: NodeLock<&LockMemory>, next: Next) {
        if let Next::AwaitReaders(_) = next {
            self.clear_dead_readers(lock);
        }
    }

    /// Leaves as a writer that waits in this step.
    pub(super) fn give_up(&self, site: &Here<'_>, next: Next) {
        if let Next::AwaitReaders(_) = next {
            writer::reopen(site);
        }
        writer::release(site);
    }

    /// As a writer that is about to leave: lets `send` send a change to all other nodes, by which the data have a new
    /// version. The next writer waits until all nodes have it, and a reader until its node has. Returns whether it has the
    /// token, and so has sent the change.
    pub(crate) fn leave_behind(
        &self,
        lock: NodeLock<&LockMemory>,
        send: impl FnOnce(Version),
    ) -> bool {
        let site = self.at(lock);
        let QueueState::Owner { token, .. } = site.queue_state() else {
            return false;
        };
        let version = token.version.next(self.net().rank());
        send(version);
        writer::note_version(&site, version);
        true
    }

    /// Leaves as a writer; does not wait.
    pub(crate) fn unlock_write(&self, lock: NodeLock<&LockMemory>) {
        writer::release(&self.at(lock));
    }

    /// Turns the write lock into a read lock; no other rank writes in between.
    pub(crate) fn downgrade(&self, lock: NodeLock<&LockMemory>) {
        let slot = &lock.memory.my_words().slot;
        self.downgrade_by(lock, || slot.store(READING, Ordering::Release));
    }

    /// [`downgrade`](Self::downgrade), where `show_reader` shows in another way that this rank reads.
    pub(crate) fn downgrade_by(&self, lock: NodeLock<&LockMemory>, show_reader: impl FnOnce()) {
        let site = self.at(lock);
        writer::note_reader(&site);
        // Before the gate opens or the token is handed over: whoever closes the gate again finds it.
        show_reader();
        writer::release(&site);
    }

    /// This node, as the protocol sees it.
    pub(crate) fn at<'a>(&'a self, lock: NodeLock<&'a LockMemory>) -> Here<'a> {
        Here {
            global: self,
            qnode: lock.memory.qnode(),
            lock,
        }
    }
}

/// Recovery from dead ranks.
impl GlobalLock {
    /// Clears the slots of dead ranks of this node.
    pub(crate) fn clear_dead_readers(&self, lock: NodeLock<&LockMemory>) {
        (0..lock.memory.local_size()).for_each(|local_rank| lock.clear_dead_reader(local_rank));
    }

    /// Withdraws the requests of writers of this node that died while they waited, and opens gates
    /// that are closed for a writer that died.
    pub(crate) fn forget_dead_writers(&self, lock: NodeLock<&LockMemory>) {
        let site = self.at(lock);
        let writers_wait = site.writers_wait();
        if writers_wait {
            lock.forget_dead_writers();
        }
        if writers_wait || site.queue_state().keeps_gates_closed() {
            writer::tidy(&site);
        }
    }
}

/// In fenced calls.
impl GlobalLock {
    /// Makes this rank the writer of `call`; only under the write lock. The error is the rank that
    /// already is.
    pub(crate) fn claim(&self, qnode: &QNode, call: u64) -> Result<(), u32> {
        let writer = self.net().rank();
        let mut state = qnode.state();
        if let QueueState::Owner { token, .. } = &mut state {
            if let Some(claim) = token.claims.iter().find(|claim| claim.call == call) {
                return Err(claim.writer);
            }
            token.claims[(call % 2) as usize] = Claim { call, writer };
        }
        qnode.set_state(&state);
        Ok(())
    }
}

/// What a writer does if the lock is poisoned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnPoison {
    GiveUp,
    TakeOver,
}

/// As a rank.
impl LockMemory {
    /// Whether the server of this node takes the turn, and keeps it until the lock has recovered.
    pub(super) fn is_halting(&self) -> bool {
        self.qnode().halting.load(Ordering::Acquire) != 0
    }

    /// Whether the lock is poisoned, or may turn out to be.
    fn may_be_poisoned(&self) -> bool {
        self.is_halting() || self.check().is_err()
    }
}
