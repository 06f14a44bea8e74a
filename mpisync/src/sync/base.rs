//! What objects with a wait queue have in common: the list, on the node that has it or through that
//! node's server.

use crate::error::LockError;
use crate::object::Object;
use crate::shm::block::Block;
use crate::shm::domain::Domain;
use crate::shm::wait::{Deadline, INSPECTION, Stop};
use crate::shm::waiting::{Awaited, Call, Label, Subject};
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
    /// Whether the communicator has this rank only.
    is_alone: bool,
    /// How many permits this rank holds.
    held: Cell<u32>,
    /// When this rank looked after others last.
    inspected: Cell<Option<Instant>>,
}

/// Where its list is, seen from this rank.
enum Side {
    /// On this node.
    Local(WaitQueue<Slots>),
    /// On another node.
    Remote(WaitClient),
}

/// Permits that were granted.
#[derive(Debug, Default)]
pub(super) struct Grant {
    /// Of who had to wait.
    pub(super) ticket: Option<u64>,
    /// What goes with them, where the list is on another node.
    pub(super) cargo: Option<Vec<u8>>,
}

/// A place in the line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    Local { ticket: u64 },
    Remote { request: u32 },
}

impl Base {
    /// The wait queue that is all of the object's memory.
    pub(super) fn new(object: Object, on_death: OnDeath, cargo: Cargo) -> Self {
        let client = (object.link()).and_then(|link| WaitClient::open(link, &cargo, on_death));
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
            held: Cell::new(0),
            inspected: Cell::new(None),
        }
    }

    fn block(&self) -> &Block {
        self.object.block()
    }

    /// How many permits this rank holds.
    #[inline]
    pub(super) fn held(&self) -> u32 {
        self.held.get()
    }

    /// Whether no other rank uses the object.
    #[inline]
    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    #[inline]
    fn add_held(&self, count: u32) {
        self.held.set(self.held.get() + count);
    }

    #[inline]
    fn take_held(&self, count: u32) {
        self.held.set(self.held.get() - count);
    }

    /// Takes permits in the call `name`, for which it waits for `limit` at most, if there is one.
    #[inline]
    #[track_caller]
    pub(super) fn acquire(
        &self,
        name: &'static str,
        count: u32,
        limit: Option<Duration>,
    ) -> Result<Grant, LockError> {
        self.object.check_usable()?;
        let location = Location::caller();
        let call = || Call::new(self, name, location);
        let deadline = || Deadline::within(limit).of(call());
        let granted = match &self.side {
            Side::Local(list) => match list.acquire(count, deadline) {
                Ok(ticket) => Ok(Grant {
                    ticket,
                    cargo: None,
                }),
                Err(stop) => self.look_after(list).and(Err(stop)),
            },
            Side::Remote(client) => client
                .acquire(self.block(), count, deadline())
                .map(Grant::from),
        };
        match granted {
            Ok(grant) => {
                self.add_held(count);
                Ok(grant)
            }
            Err(stop) => Err(self.error(stop, limit, call())),
        }
    }

    /// Takes permits if they are there and nobody waits.
    #[inline]
    #[track_caller]
    pub(super) fn try_acquire(&self, count: u32) -> Result<Option<Grant>, LockError> {
        self.object.check_usable()?;
        let location = Location::caller();
        let error = |stop| self.error(stop, None, Call::new(self, "try", location));
        let granted = match &self.side {
            Side::Local(list) => {
                let mut taken = list.try_acquire(self.me(), count);
                if !taken {
                    self.look_after(list).map_err(error)?;
                    taken = list.try_acquire(self.me(), count);
                }
                taken.then(Grant::default)
            }
            Side::Remote(client) => match client.try_acquire(self.block(), count) {
                Ok(granted) => granted.map(Grant::from),
                Err(stop) => return Err(error(stop)),
            },
        };
        if granted.is_some() {
            self.add_held(count);
        }
        Ok(granted)
    }

    /// Gives permits back, and what goes with them where that is kept here and may have changed.
    /// Does not wait.
    #[inline]
    pub(super) fn release(&self, count: u32, cargo: impl FnOnce() -> Option<Vec<u8>>) {
        self.take_held(count);
        match &self.side {
            Side::Local(list) => list.release(self.me(), count),
            Side::Remote(client) => client.release(count, cargo()),
        }
    }

    /// Keeps permits for good.
    pub(super) fn keep(&self, count: u32) {
        self.take_held(count);
        match &self.side {
            Side::Local(list) => list.keep(self.me(), count),
            Side::Remote(client) => client.keep(self.block(), count),
        }
    }

    /// Adds free permits; whether there are no more than `most` then.
    pub(super) fn supply(&self, count: u32, most: u32) -> Result<bool, LockError> {
        self.object.check_usable()?;
        Ok(match &self.side {
            Side::Local(list) => list.supply(count, most),
            Side::Remote(client) => client.supply(self.block(), count, most),
        })
    }

    /// How many permits are free.
    pub(super) fn free(&self) -> Result<u32, LockError> {
        self.object.check_usable()?;
        Ok(match &self.side {
            Side::Local(list) => list.free(),
            Side::Remote(client) => client.free(self.block()),
        })
    }

    /// Stands in the line, and is known to do so.
    #[track_caller]
    pub(super) fn join(&self) -> Result<Place, LockError> {
        self.object.check_usable()?;
        let call = Call::new(self, "wait", Location::caller());
        match &self.side {
            Side::Local(list) => Ok(Place::Local {
                ticket: list.join(self.me(), 0),
            }),
            Side::Remote(client) => match client.join(self.block()) {
                Ok(request) => Ok(Place::Remote { request }),
                Err(stop) => Err(self.error(stop, None, call)),
            },
        }
    }

    /// Waits to be served, for `limit` at most.
    #[track_caller]
    pub(super) fn wait_at(&self, place: Place, limit: Option<Duration>) -> Result<(), LockError> {
        let call = Call::new(self, "wait", Location::caller());
        let deadline = Deadline::within(limit).of(call);
        let served = match (place, &self.side) {
            (Place::Local { ticket }, Side::Local(list)) => {
                list.wait_for_grant(ticket, deadline).map(drop)
            }
            (Place::Remote { request }, Side::Remote(client)) => client
                .wait_for_grant(self.block(), request, deadline)
                .map(drop),
            _ => unreachable!("a place in this line"),
        };
        served.map_err(|stop| self.error(stop, limit, call))
    }

    /// Wakes up to so many of those who wait; how many.
    pub(super) fn wake(&self, most: u32) -> Result<u32, LockError> {
        self.object.check_usable()?;
        Ok(match &self.side {
            Side::Local(list) => list.wake(most),
            Side::Remote(client) => client.wake(self.block(), most),
        })
    }

    /// Where the value is that goes with the permit; none where it is on another node.
    #[inline]
    pub(super) fn local_value(&self) -> Option<NonNull<u8>> {
        self.list().map(|list| list.memory.cargo())
    }

    /// The bytes that were put once beside the permit, if they were, and are on this node.
    pub(super) fn look_locally(&self) -> Option<Vec<u8>> {
        self.cargo.look(&self.list()?.memory)
    }

    /// The bytes that were put once beside the permit, if they were.
    pub(super) fn look(&self) -> Result<Option<Vec<u8>>, LockError> {
        self.object.check_usable()?;
        Ok(match &self.side {
            Side::Local(list) => self.cargo.look(&list.memory),
            Side::Remote(client) => client.look(self.block()),
        })
    }

    /// Puts bytes beside the permit and gives it back. All ranks find them there from now on.
    pub(super) fn fill(&self, bytes: Vec<u8>) {
        self.take_held(1);
        match &self.side {
            Side::Local(list) => {
                // SAFETY: this rank has the permit.
                unsafe { self.cargo.write(&list.memory, &bytes) };
                list.release(self.me(), 1);
            }
            Side::Remote(client) => client.fill(self.block(), bytes),
        }
    }

    /// For a rank that waits for a moment only, time and again: it finds ranks that died as one
    /// does that waits long.
    #[cold]
    fn look_after(&self, list: &WaitQueue<Slots>) -> Result<(), Stop> {
        let is_time = |at: Instant| at.elapsed() >= INSPECTION;
        if self.inspected.get().is_none_or(is_time) {
            self.inspected.set(Some(Instant::now()));
            let _ = list.inspect();
        }
        list.check()
    }

    #[inline]
    fn list(&self) -> Option<&WaitQueue<Slots>> {
        match &self.side {
            Side::Local(list) => Some(list),
            Side::Remote(_) => None,
        }
    }

    #[inline]
    fn me(&self) -> usize {
        self.list().map_or(0, |list| list.memory.me())
    }

    #[cold]
    fn error(&self, stop: Stop, limit: Option<Duration>, call: Call<'_>) -> LockError {
        let slots = self.list().map(|list| &list.memory);
        match (stop, slots) {
            (Stop::Died(slot), Some(slots)) => LockError::HolderDied {
                // The server's own slot: its rank is the lowest here.
                rank: slots.rank_of(slot).or(slots.rank_of(0)).unwrap_or(0) as i32,
            },
            (stop, _) => self.object.lock_error(stop, limit, call),
        }
    }

    /// Gives back the permits of guards that were leaked (`mem::forget`), and the value `cargo`
    /// with them where that is kept here. Callers know that no guard is alive: each borrows the
    /// object, and they have it mutably or own it.
    #[inline]
    pub(super) fn release_leaked(&self, cargo: impl FnOnce() -> Option<Vec<u8>>) {
        let leaked = self.held();
        if leaked > 0 {
            self.release(leaked, cargo);
        }
    }

    /// Who has permits, by rank, and who waits, in order; nothing where the list is on another
    /// node.
    pub(super) fn show(&self, fields: &mut fmt::DebugStruct<'_, '_>) {
        fields.field("root", &self.object.root());
        let Some(list) = self.list() else { return };
        let standing = list.standing();
        let rank = |slot: &usize| list.memory.rank_of(*slot);
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

impl Subject for Base {
    fn domain(&self) -> &Domain {
        self.block().domain()
    }

    fn label(&self) -> Label<'_> {
        self.block().label()
    }

    fn awaited(&self) -> Vec<Awaited> {
        let Some(list) = self.list() else {
            return Vec::new();
        };
        let held = list.standing().held.into_iter();
        let holders = held.filter_map(|(slot, _)| list.memory.rank_of(slot));
        Awaited::all(holders, "holds it")
    }
}

impl Drop for Base {
    fn drop(&mut self) {
        self.release_leaked(|| None);
    }
}

/// Whether a rank that waits for this long never gives up.
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
