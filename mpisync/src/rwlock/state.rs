//! The reader-writer lock of an object as one rank holds it: counts nested guards, and selects the
//! lock of one node or the lock across nodes.

pub(super) mod futures;

use crate::error::LockError;
use crate::object::Object;
use crate::rwlock::awaited::{OwnThreads, Role};
use crate::rwlock::global::lock::GlobalLock;
use crate::rwlock::global::version::Version;
use crate::rwlock::layout::{IDLE, READING};
use crate::rwlock::memory::{LockMemory, Memory};
use crate::rwlock::node::NodeLock;
use crate::rwlock::shared::SharedLock;
use crate::rwlock::shared::readers::WaitingReaders;
use crate::rwlock::state::futures::Pending;
use crate::shm::block::Block;
use crate::shm::wait::{Deadline, Stop};
use crate::shm::waiting::want::{Want, Wanted};
use crate::shm::waiting::{Awaited, BlockSubject, Call, Needs};
use crate::span::{Activity, Ended, Hold};
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The lock, and the number of guards through which this rank holds it. A writer's fence counts as a
/// guard.
///
/// `enter_write`, `try_enter_write` and `forget_leaked_guards` may be called only if no guard of this
/// rank is alive, and the latter two only if no future is. Each guard and each future borrows the owner
/// of the lock, so a caller that has the owner mutably knows that there is none.
pub(crate) struct LockState {
    object: Object,
    node: NodeLock<LockMemory>,
    /// The lock across nodes, if there are several.
    global: Option<GlobalLock>,
    /// The guards of this rank: [`ONE_READ`] for each read guard, [`ONE_WRITE`] for each write guard
    /// (one, and those borrowed from it).
    held: Cell<u64>,
    /// Whether this rank keeps the write lock across nodes for good, see [`LockState::keep`].
    is_kept: Cell<bool>,
    hold: Hold,
    /// The waits of futures.
    pending: Pending,
    /// The threads of this rank that wait to read, while they share the lock.
    waiting_readers: WaitingReaders,
    /// Whether threads may have leaked guards.
    was_shared: Cell<bool>,
}

const ONE_READ: u64 = 1;
const ONE_WRITE: u64 = 1 << 32;

impl LockState {
    /// The lock of an object whose layout begins with [`LockLayout`](super::memory::LockLayout).
    /// `max_local_handovers` is how many writers of a node may follow each other while another node
    /// waits.
    pub(crate) fn new(object: Object, max_local_handovers: u32) -> Self {
        LockState {
            node: NodeLock {
                memory: LockMemory::new(object.block().first_part()),
            },
            global: object
                .link()
                .map(|link| GlobalLock::open(link, max_local_handovers)),
            object,
            held: Cell::new(0),
            is_kept: Cell::new(false),
            hold: Hold::default(),
            pending: Pending::default(),
            waiting_readers: WaitingReaders::default(),
            was_shared: Cell::new(false),
        }
    }

    #[inline]
    pub(crate) fn object(&self) -> &Object {
        &self.object
    }

    /// The memory of the lock on this node.
    pub(super) fn memory(&self) -> &LockMemory {
        &self.node.memory
    }

    /// The lock of this node, for ranges.
    pub(super) fn node(&self) -> NodeLock<&LockMemory> {
        self.borrowed()
    }

    /// The lock across nodes, if there are several.
    pub(super) fn global(&self) -> Option<&GlobalLock> {
        self.global.as_ref()
    }

    /// The lock of this node, for the lock across nodes.
    fn borrowed(&self) -> NodeLock<&LockMemory> {
        NodeLock {
            memory: &self.node.memory,
        }
    }

    #[inline]
    fn holds_any(&self) -> bool {
        self.held.get() != 0
    }

    /// Whether this rank has a write guard.
    #[inline]
    pub(crate) fn writes(&self) -> bool {
        self.held.get() >= ONE_WRITE
    }

    pub(crate) fn holds_one_read(&self) -> bool {
        self.held.get() == ONE_READ
    }

    /// Releases the lock if leaked guards (`mem::forget`) hold it, and ends the waits of leaked
    /// futures.
    #[inline]
    pub(crate) fn forget_leaked_guards(&self) {
        if self.pending.is_any() {
            self.withdraw_leaked();
        }
        if self.holds_any() {
            self.release_leaked();
        }
        self.release_leaked_by_threads();
    }

    /// Ends what this rank still has, or waits for, by a leaked future that writes, or by threads whose shared
    /// controller was leaked. The caller is about to enter, and has no guard; futures that read may be alive.
    #[inline]
    pub(super) fn release_leaked_before(&self) {
        self.withdraw_leaked_writer();
        self.release_leaked_by_threads();
    }

    /// Releases the lock if leaked guards of threads hold it. Their shared controller, which borrowed the owner of this
    /// lock mutably, is gone, too.
    #[inline]
    fn release_leaked_by_threads(&self) {
        if self.was_shared.take() {
            self.parts_to_share().release_leaked();
        }
    }

    /// The lock for the threads of this rank. No guard of this rank is alive, and this thread takes none before the
    /// last one of the threads' guards has ended.
    pub(super) fn share(&self) -> SharedLock<'_> {
        self.forget_leaked_guards();
        self.was_shared.set(true);
        self.parts_to_share()
    }

    fn parts_to_share(&self) -> SharedLock<'_> {
        SharedLock {
            object: &self.object,
            node: &self.node,
            global: self.global.as_ref(),
            waiting_readers: &self.waiting_readers,
        }
    }

    #[cold]
    fn release_leaked(&self) {
        let wrote = self.writes();
        self.held.set(0);
        let _ended = self.hold.end();
        if wrote {
            self.unlock_write();
        } else {
            self.node.unlock_read();
        }
    }

    /// Enters as a reader, or once more if this rank has the lock.
    #[inline]
    #[track_caller]
    pub(crate) fn enter_read(&self, limit: Option<Duration>) -> Result<(), LockError> {
        self.enter_read_after(limit, || {})
    }

    /// [`enter_read`](Self::enter_read) that calls `recover` before it waits.
    #[inline]
    #[track_caller]
    pub(crate) fn enter_read_after(
        &self,
        limit: Option<Duration>,
        recover: impl FnOnce(),
    ) -> Result<(), LockError> {
        self.object.check_usable()?;
        if self.holds_any() {
            self.enter_read_again();
            return Ok(());
        }
        if !self.node.try_read() {
            self.release_leaked_before();
            recover();
            self.read_later(limit, Location::caller())?;
        }
        // Not an increment: it would depend on the value that the last guard stored.
        self.held.set(ONE_READ);
        self.note_held_at(Activity::Read, Location::caller());
        Ok(())
    }

    #[cold]
    fn read_later(
        &self,
        limit: Option<Duration>,
        location: &'static Location<'static>,
    ) -> Result<(), LockError> {
        let call = || Call::new(self, "read", location);
        self.node
            .read(|| Deadline::within(limit).of(call()))
            .map_err(|stop| self.object.lock_error(stop, limit, call()))
    }

    /// [`enter_read`](Self::enter_read) without waiting. Returns whether this rank has the lock.
    #[inline]
    #[track_caller]
    pub(crate) fn try_enter_read(&self) -> Result<bool, LockError> {
        self.object.check_usable()?;
        let held = self.holds_any();
        let has_lock = held || self.node.try_read() || {
            self.release_leaked_before();
            self.node.try_read()
        };
        if has_lock {
            self.enter_read_again();
            if !held {
                self.note_held_at(Activity::Read, Location::caller());
            }
        }
        Ok(has_lock)
    }

    /// Notes where this rank has entered, for the reports of others.
    #[inline]
    pub(super) fn note_place(&self, location: &'static Location<'static>) {
        self.node.memory.my_words().held_at.set(location);
    }

    /// Notes where this rank has entered, and begins the span.
    #[inline]
    fn note_held_at(&self, activity: Activity, location: &'static Location<'static>) {
        self.note_place(location);
        self.hold
            .begin(|| self.object.block().holds(activity, Some(location)));
    }

    /// Where this rank has entered.
    fn held_at(&self) -> Option<&'static Location<'static>> {
        let block = self.object.block();
        let words = self.node.memory.my_words();
        words.held_at.get(block.domain(), block.me())
    }

    /// Enters once more as a reader.
    #[inline]
    fn enter_read_again(&self) {
        let held = self.held.get() + ONE_READ;
        if held as u32 == 0 {
            too_many_guards();
        }
        self.held.set(held);
    }

    #[inline]
    pub(crate) fn leave_read(&self) {
        let held = self.held.get();
        if held == ONE_READ {
            self.held.set(0);
            let _ended = self.hold.end();
            self.node.unlock_read();
        } else {
            self.held.set(held - ONE_READ);
        }
    }

    /// Enters as a writer.
    #[inline]
    #[track_caller]
    pub(crate) fn enter_write(&self, limit: Option<Duration>) -> Result<(), LockError> {
        self.enter_write_at(limit, Location::caller())
    }

    /// [`enter_write`](Self::enter_write) in a call at `location`.
    #[inline]
    pub(crate) fn enter_write_at(
        &self,
        limit: Option<Duration>,
        location: &'static Location<'static>,
    ) -> Result<(), LockError> {
        self.object.check_usable()?;
        self.release_leaked_before();
        let call = || Call::new(self, "write", location);
        self.lock_write(|| Deadline::within(limit).of(call()))
            .map_err(|stop| self.object.lock_error(stop, limit, call()))?;
        self.held.set(ONE_WRITE);
        self.note_held_at(Activity::Write, location);
        Ok(())
    }

    /// Enters as a writer if the lock is free. Returns whether this rank has the lock.
    #[track_caller]
    pub(crate) fn try_enter_write(&self) -> Result<bool, LockError> {
        self.object.check_usable()?;
        self.forget_leaked_guards();
        let has_lock = self.try_lock_write();
        if has_lock {
            self.enter_write_again();
            self.note_held_at(Activity::Write, Location::caller());
        }
        Ok(has_lock)
    }

    /// Enters as a writer in place of a rank that died as one. Returns whether there is one, and
    /// this rank has entered.
    pub(crate) fn take_over(
        &self,
        location: &'static Location<'static>,
    ) -> Result<bool, LockError> {
        self.object.check_usable()?;
        self.forget_leaked_guards();
        let call = || Call::new(self, "take_over", location);
        let deadline = Deadline::NEVER.of(call());
        let has_taken = match &self.global {
            Some(global) => {
                let dead = global.take_over(self.borrowed(), deadline);
                dead.map(|dead| dead.is_some())
            }
            None => self.node.take_over(deadline).map(|dead| dead.is_some()),
        };
        let has_taken = has_taken.map_err(|stop| self.object.lock_error(stop, None, call()))?;
        if has_taken {
            self.enter_write_again();
            self.note_held_at(Activity::Write, location);
        }
        Ok(has_taken)
    }

    /// Enters once more as a writer.
    #[inline]
    pub(crate) fn enter_write_again(&self) {
        let held = self.held.get().checked_add(ONE_WRITE);
        self.held.set(held.unwrap_or_else(|| too_many_guards()));
    }

    #[inline]
    pub(crate) fn leave_write(&self) {
        let held = self.held.get();
        if held == ONE_WRITE {
            self.held.set(0);
            let _ended = match self.is_kept.get() {
                true => Ended::default(),
                false => self.hold.end(),
            };
            return self.unlock_write();
        }
        self.held.set(held - ONE_WRITE);
        if !self.writes() {
            // It goes on as a reader: after a downgrade, or if a write guard from an upgrade is dropped before a read
            // guard taken inside it.
            self.downgrade();
        }
    }

    /// Turns the write lock into a read lock.
    pub(crate) fn leave_write_for_read(&self) {
        self.enter_read_again();
        self.leave_write();
    }

    /// Takes the write lock for [`RangeLock`](super::range::RangeLock), which counts no guard.
    #[inline]
    pub(super) fn lock_write<'a>(
        &self,
        deadline: impl FnOnce() -> Deadline<'a>,
    ) -> Result<(), Stop> {
        if let Some(global) = &self.global {
            return global.write(self.borrowed(), deadline());
        }
        self.node.write(deadline)
    }

    /// [`lock_write`](Self::lock_write) if the lock is free. Returns whether this rank has it.
    #[inline]
    pub(super) fn try_lock_write(&self) -> bool {
        if let Some(global) = &self.global {
            return global.try_write(self.borrowed());
        }
        self.node.try_write()
    }

    #[inline]
    fn unlock_write(&self) {
        if let Some(global) = &self.global {
            if !self.is_kept.get() {
                global.unlock_write(self.borrowed());
            }
            return;
        }
        self.node.unlock_write();
    }

    /// As a writer whose last guard is dropped: lets `send` send a change to all other nodes, by which the data have a new
    /// version, and for which the lock waits in the place of this rank. Returns whether it has; not on one node, nor if
    /// another guard keeps the lock.
    pub(crate) fn leave_behind(&self, send: impl FnOnce(Version)) -> bool {
        match &self.global {
            Some(global) if self.held.get() == ONE_WRITE && !self.is_kept.get() => {
                global.leave_behind(self.borrowed(), send)
            }
            _ => false,
        }
    }

    /// As a writer across nodes: keeps the lock for good, so that no rank reads what not all nodes
    /// have. A host is lost, so the waits of the others end with an error.
    #[cold]
    pub(crate) fn keep(&self) {
        self.is_kept.set(true);
    }

    /// Whether this rank keeps what it holds for good.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept.get()
    }

    /// Whether this rank, which waits for the lock, wants to read.
    fn waits_to_read(&self) -> bool {
        let slot = &self.node.memory.my_words().slot;
        !matches!(slot.load(Ordering::Relaxed), IDLE | READING)
    }

    /// These ranks of this node, without this one, as ranks for which others wait.
    pub(super) fn awaited_of(
        &self,
        local_ranks: impl IntoIterator<Item = usize>,
        role: &'static str,
    ) -> Vec<Awaited> {
        let role = Role::of_any(role);
        self.node
            .awaited_of(local_ranks, role, OwnThreads::DoNotCount)
    }

    /// Makes this rank the writer of a fenced call across nodes; only under the write lock. The error
    /// is the rank that already is.
    pub(crate) fn claim(&self, call: u64) -> Result<(), u32> {
        if let Some(global) = &self.global {
            return global.claim(self.node.memory.qnode(), call);
        }
        Ok(())
    }

    fn downgrade(&self) {
        let ended = self.hold.end();
        self.downgrade_lock();
        drop(ended);
        self.hold
            .begin(|| self.object.block().holds(Activity::Read, self.held_at()));
    }

    fn downgrade_lock(&self) {
        if let Some(global) = &self.global {
            if !self.is_kept.get() {
                global.downgrade(self.borrowed());
            }
            return;
        }
        self.node.downgrade();
    }
}

impl BlockSubject for LockState {
    fn block(&self) -> &Block {
        self.object.block()
    }

    fn awaited(&self) -> Vec<Awaited> {
        self.node.awaited(OwnThreads::DoNotCount)
    }

    fn needs(&self) -> Needs {
        if !self.waits_to_read() {
            return Needs::each(&BlockSubject::awaited(self));
        }
        if self.global.is_some() {
            // A writer of another node may keep the gate closed, and open it.
            return Needs::Unknown;
        }
        let holders = self.node.holders();
        let writers = holders.writer.into_iter().chain(holders.ranges);
        let writers = writers.filter_map(|local_rank| self.node.rank_of(local_rank));
        Needs::Each(writers.collect())
    }

    fn want(&self) -> Option<Want> {
        self.global.as_ref()?;
        let what = match self.waits_to_read() {
            true => Wanted::Read,
            false => Wanted::Write,
        };
        Some(Want::of_each(self.object.block().global()?, what))
    }
}

/// Shows the controller with the ranks of this node that hold the lock or wait for it. The snapshot
/// may be out of date.
impl fmt::Debug for LockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holders = self.node.holders();
        let rank = |local_rank: usize| self.node.rank_of(local_rank);
        let ranks =
            |members: &[usize]| members.iter().copied().filter_map(rank).collect::<Vec<_>>();
        self.object
            .show(f, "WindowController")
            .field("master", &self.object.root())
            .field("nodes", &self.object.nodes())
            .field("writer", &holders.writer.and_then(rank))
            .field("readers", &ranks(&holders.readers))
            .field("parts", &ranks(&holders.ranges))
            .field("waiting_writers", &ranks(&holders.waiting_writers))
            .field("waiting_readers", &ranks(&holders.waiting_readers))
            .finish_non_exhaustive()
    }
}

/// A program that leaks many read guards would overflow into the count of write guards.
#[cold]
fn too_many_guards() -> ! {
    panic!("this rank has 2^32 guards of one controller; drop guards, do not forget them")
}
