//! The common part of all objects with a wait queue: access to the queue, directly on the root's
//! node, or through the server of that node.

mod future;
mod poison;
mod threads;
mod waits;

use crate::error::LockError;
use crate::object::Object;
use crate::shm::block::Block;
use crate::shm::wait::{Deadline, INSPECTION, Stop};
use crate::shm::waiting::Call;
use crate::span::{Activity, Ended, Hold};
pub(super) use crate::sync::base::future::GrantFuture;
use crate::sync::base::future::Pending;
use crate::sync::base::waits::Notified;
use crate::wait_queue::cargo::Cargo;
use crate::wait_queue::memory::{Slots, WaitMemory};
use crate::wait_queue::remote::{Granted, WaitClient};
use crate::wait_queue::{OnDeath, WaitQueue};
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

/// An object with a wait queue, as one rank sees it.
pub(super) struct Base {
    pub(super) object: Object,
    side: Side,
    cargo: Cargo,
    /// Whether this rank is the only one of the communicator.
    is_alone: bool,
    /// The number of permits, if no rank can add any while none is lost.
    bound: Option<u32>,
    /// The number of permits that this rank holds.
    held: Cell<u32>,
    /// The number of permits that it waits for, if the queue is on another node.
    wanted: Cell<u32>,
    /// When this rank last inspected the queue for dead ranks.
    inspected: Cell<Option<Instant>>,
    hold: Hold,
    /// The waits of futures.
    pending: Pending,
}

/// Where the queue is, seen from this rank.
enum Side {
    /// On this node.
    Local(WaitQueue<Slots>),
    /// On another node.
    Remote(WaitClient),
}

/// Permits that were granted.
#[derive(Debug, Default)]
pub(super) struct Grant {
    /// The ticket, if this rank had to wait.
    pub(super) ticket: Option<u64>,
    /// The bytes that travel with the permit, if the queue is on another node.
    pub(super) cargo: Option<Vec<u8>>,
}

/// A position in the queue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Position {
    Local { ticket: u64 },
    Remote { request: u32 },
}

impl Base {
    /// Opens the wait queue that fills the object's memory.
    pub(super) fn new(object: Object, on_death: OnDeath, cargo: Cargo) -> Self {
        let client = (object.link())
            .and_then(|link| WaitClient::open(link, object.block(), &cargo, on_death));
        let side = match client {
            Some(client) => Side::Remote(client),
            None => Side::Local(WaitQueue {
                memory: Slots::new(object.block()),
                on_death,
            }),
        };
        Base {
            is_alone: object.size() == 1,
            object,
            side,
            cargo,
            bound: None,
            held: Cell::new(0),
            wanted: Cell::new(0),
            inspected: Cell::new(None),
            hold: Hold::default(),
            pending: Pending::default(),
        }
    }

    /// Notes the number of permits, if no rank can add any while none is lost.
    pub(super) fn bound_by(mut self, bound: Option<u32>) -> Self {
        self.bound = bound;
        self
    }

    fn block(&self) -> &Block {
        self.object.block()
    }

    /// The number of permits that this rank holds.
    #[inline]
    pub(super) fn held(&self) -> u32 {
        self.held.get()
    }

    /// Whether this rank is the only one of the communicator.
    #[inline]
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Notes where this rank has taken permits, for the reports of others, and begins the span.
    #[inline]
    fn note_held_at(&self, location: &'static Location<'static>) {
        self.begin_hold(location);
        self.note_place(location);
    }

    #[inline]
    fn note_place(&self, location: &'static Location<'static>) {
        match &self.side {
            Side::Local(queue) => queue.my_slot().held_at.set(location),
            Side::Remote(client) => {
                client.note_held_at(location);
                client.note_held(self.held());
            }
        }
    }

    #[inline]
    fn begin_hold(&self, location: &'static Location<'static>) {
        self.hold
            .begin(|| self.block().holds(Activity::Hold, Some(location)));
    }

    #[inline]
    fn add_held(&self, count: u32) {
        self.held.set(self.held.get() + count);
    }

    #[inline]
    fn take_held(&self, count: u32) -> Ended {
        let left = self.held.get() - count;
        self.held.set(left);
        match left {
            0 => self.hold.end(),
            _ => Ended::default(),
        }
    }

    /// Takes permits if they are free on this node and no rank waits. Returns whether it has.
    #[inline]
    #[track_caller]
    pub(super) fn acquire_at_once(&self, count: u32) -> bool {
        match &self.side {
            Side::Local(queue)
                if self.object.check_usable().is_ok()
                    && queue.try_acquire(queue.memory.me(), count) =>
            {
                queue.my_slot().held_at.set(Location::caller());
                self.add_held(count);
                self.begin_hold(Location::caller());
                true
            }
            _ => false,
        }
    }

    /// Takes permits in the call `name`. Waits for at most `limit`, or indefinitely without one.
    #[inline(never)]
    #[track_caller]
    pub(super) fn acquire(
        &self,
        name: &'static str,
        count: u32,
        limit: Option<Duration>,
    ) -> Result<Grant, LockError> {
        self.object.check_usable()?;
        self.suspend_futures();
        let location = Location::caller();
        let call = || Call::new(self, name, location);
        let deadline = || Deadline::within(limit).of(call());
        let granted = match &self.side {
            Side::Local(queue) => match queue.acquire(count, deadline) {
                Ok(ticket) => Ok(Grant {
                    ticket,
                    cargo: None,
                }),
                Err(stop) => self.inspect_if_due(queue).and(Err(stop)),
            },
            Side::Remote(client) => {
                self.wanted.set(count);
                client
                    .acquire(self.block(), count, deadline())
                    .map(Grant::from)
            }
        };
        match granted {
            Ok(grant) => {
                self.add_held(count);
                self.note_held_at(location);
                Ok(grant)
            }
            Err(stop) => Err(self.error(stop, limit, call())),
        }
    }

    /// Takes permits if they are free and no rank waits.
    #[inline]
    #[track_caller]
    pub(super) fn try_acquire(&self, count: u32) -> Result<Option<Grant>, LockError> {
        let location = Location::caller();
        let granted = self.try_grant(count, location)?;
        if granted.is_some() {
            self.add_held(count);
            self.note_held_at(location);
        }
        Ok(granted)
    }

    /// Takes permits if they are free and no rank waits, and does not note them.
    #[inline]
    fn try_grant(
        &self,
        count: u32,
        location: &'static Location<'static>,
    ) -> Result<Option<Grant>, LockError> {
        self.object.check_usable()?;
        let error = |stop| self.error(stop, None, Call::new(self, "try", location));
        match &self.side {
            Side::Local(queue) => {
                let mut taken = queue.try_acquire(self.me(), count);
                if !taken {
                    self.inspect_if_due(queue).map_err(error)?;
                    taken = queue.try_acquire(self.me(), count);
                }
                Ok(taken.then(Grant::default))
            }
            Side::Remote(client) => client
                .try_acquire(self.block(), count)
                .map(|granted| granted.map(Grant::from))
                .map_err(error),
        }
    }

    /// Gives permits back. If the queue is on another node, sends the bytes of `cargo` with them.
    /// Does not wait.
    #[inline]
    pub(super) fn release(&self, count: u32, cargo: impl FnOnce() -> Option<Vec<u8>>) {
        let _ended = self.take_held(count);
        match &self.side {
            Side::Local(queue) => queue.release(self.me(), count),
            Side::Remote(client) => {
                client.note_held(self.held());
                client.release(count, cargo());
            }
        }
    }

    /// Removes permits that this rank holds from the queue for good.
    pub(super) fn keep(&self, count: u32) {
        let _ended = self.take_held(count);
        match &self.side {
            Side::Local(queue) => queue.keep(self.me(), count),
            Side::Remote(client) => {
                client.note_held(self.held());
                client.keep(self.block(), count);
            }
        }
    }

    /// Adds free permits if the queue then has at most `most`, free or held. Returns whether it
    /// has.
    pub(super) fn supply(&self, count: u32, most: u32) -> Result<bool, LockError> {
        self.object.check_usable()?;
        Ok(match &self.side {
            Side::Local(queue) => queue.supply(count, most),
            Side::Remote(client) => client.supply(self.block(), count, most)?,
        })
    }

    /// The number of free permits.
    pub(super) fn free(&self) -> Result<u32, LockError> {
        self.object.check_usable()?;
        Ok(match &self.side {
            Side::Local(queue) => queue.free(),
            Side::Remote(client) => client.free(self.block())?,
        })
    }

    /// Joins the queue. On return this rank counts as waiting.
    #[track_caller]
    pub(super) fn join(&self, is_endless: bool) -> Result<Position, LockError> {
        self.object.check_usable()?;
        let call = Call::new(self, "wait", Location::caller());
        match &self.side {
            Side::Local(queue) => {
                queue.set_endless(self.me(), is_endless);
                Ok(Position::Local {
                    ticket: queue.join(self.me(), 0),
                })
            }
            Side::Remote(client) => match client.join(self.block(), is_endless) {
                Ok(request) => Ok(Position::Remote { request }),
                Err(stop) => Err(self.error(stop, None, call)),
            },
        }
    }

    /// Waits for at most `limit` until this rank is served.
    #[track_caller]
    pub(super) fn wait_at(
        &self,
        position: Position,
        limit: Option<Duration>,
    ) -> Result<(), LockError> {
        let notified = Notified(self);
        let call = Call::new(&notified, "wait", Location::caller());
        let deadline = Deadline::within(limit).of(call);
        let served = match (position, &self.side) {
            (Position::Local { ticket }, Side::Local(queue)) => {
                queue.wait_for_wake(ticket, deadline).map(drop)
            }
            (Position::Remote { request }, Side::Remote(client)) => client
                .wait_for_grant(self.block(), request, deadline)
                .map(drop),
            _ => unreachable!("a position in this queue"),
        };
        served.map_err(|stop| self.error(stop, limit, call))
    }

    /// Wakes up to `most` waiting ranks. Returns how many it has woken.
    pub(super) fn wake(&self, most: u32) -> Result<u32, LockError> {
        self.object.check_usable()?;
        Ok(match &self.side {
            Side::Local(queue) => queue.wake(most),
            Side::Remote(client) => client.wake(self.block(), most)?,
        })
    }

    /// The address of the value that belongs to the permit. None if the queue is on another node.
    #[inline]
    pub(super) fn local_value(&self) -> Option<NonNull<u8>> {
        self.queue().map(|queue| queue.memory.cargo())
    }

    /// The bytes that were stored once beside the permit. None if there are none yet, or the queue
    /// is on another node.
    pub(super) fn look_locally(&self) -> Option<Vec<u8>> {
        self.cargo.look(&self.queue()?.memory)
    }

    /// The bytes that were stored once beside the permit, if there are any.
    pub(super) fn look(&self) -> Result<Option<Vec<u8>>, LockError> {
        self.object.check_usable()?;
        Ok(match &self.side {
            Side::Local(queue) => self.cargo.look(&queue.memory),
            Side::Remote(client) => client.look(self.block())?,
        })
    }

    /// Stores bytes beside the permit and gives the permit back. From then on all ranks find them.
    pub(super) fn fill(&self, bytes: Vec<u8>) {
        let _ended = self.take_held(1);
        match &self.side {
            Side::Local(queue) => {
                // SAFETY: this rank has the permit.
                unsafe { self.cargo.write(&queue.memory, &bytes) };
                queue.release(self.me(), 1);
            }
            Side::Remote(client) => {
                client.note_held(self.held());
                client.fill(self.block(), bytes);
            }
        }
    }

    /// Inspects the queue for dead ranks if an inspection is due. A rank that polls, or waits
    /// repeatedly for a short time, so detects dead ranks as soon as one that waits for long.
    #[cold]
    fn inspect_if_due(&self, queue: &WaitQueue<Slots>) -> Result<(), Stop> {
        let is_time = |at: Instant| at.elapsed() >= INSPECTION;
        if self.inspected.get().is_none_or(is_time) {
            self.inspected.set(Some(Instant::now()));
            let _ = queue.inspect();
        }
        queue.check()
    }

    #[inline]
    fn queue(&self) -> Option<&WaitQueue<Slots>> {
        match &self.side {
            Side::Local(queue) => Some(queue),
            Side::Remote(_) => None,
        }
    }

    #[inline]
    fn me(&self) -> usize {
        self.queue().map_or(0, |queue| queue.memory.me())
    }

    #[cold]
    fn error(&self, stop: Stop, limit: Option<Duration>, call: Call<'_>) -> LockError {
        let slots = self.queue().map(|queue| &queue.memory);
        match (stop, slots) {
            (Stop::Died(slot), Some(slots)) => LockError::HolderDied {
                // A server's slot has no rank. The server runs in the node's lowest rank, which has
                // slot 0.
                rank: slots.rank_of(slot).or(slots.rank_of(0)).unwrap_or(0) as i32,
            },
            (Stop::Ended(slot), Some(slots)) => LockError::HolderEnded {
                rank: slots.rank_of(slot).unwrap_or(0) as i32,
            },
            (stop, _) => self.object.lock_error(stop, limit, call),
        }
    }

    /// Gives back the permits of leaked guards (`mem::forget`), with the bytes of `cargo` if the
    /// queue is on another node, and ends the waits of leaked futures. The caller ensures that no guard
    /// and no future is alive: they borrow the object, and the caller has it mutably or owns it.
    #[inline]
    pub(super) fn release_leaked(&self, cargo: impl FnOnce() -> Option<Vec<u8>>) {
        if self.pending.is_any() {
            self.withdraw_leaked();
        }
        let leaked = self.held();
        if leaked > 0 {
            self.release(leaked, cargo);
        }
    }

    /// Shows the holders and the waiters, in order. Shows neither if the queue is on another node.
    pub(super) fn show(&self, fields: &mut fmt::DebugStruct<'_, '_>) {
        fields.field("root", &self.object.root());
        let Some(queue) = self.queue() else { return };
        let standing = queue.standing();
        let rank = |slot: &usize| queue.memory.rank_of(*slot);
        let held: Vec<_> = (standing.held.iter())
            .filter_map(|(slot, count)| Some((rank(slot)?, *count)))
            .collect();
        let waiting: Vec<u32> = standing.waiting.iter().filter_map(rank).collect();
        fields
            .field("free", &standing.free)
            .field("held", &held)
            .field("waiting", &waiting);
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        self.release_leaked(|| None);
    }
}

/// Whether a wait with this limit never times out.
pub(super) fn is_endless(limit: Option<Duration>) -> bool {
    Deadline::within(limit).is_never()
}

impl From<Granted> for Grant {
    fn from(granted: Granted) -> Self {
        Grant {
            ticket: granted.ticket,
            cargo: granted.cargo,
        }
    }
}
