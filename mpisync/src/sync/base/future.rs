//! Permits as futures.
//!
//! A rank has one place in the queue. Its futures take it one after the other, in the order of their
//! first polls. What a future has stored in shared memory is noted in the object and not in the
//! future: so a leaked one (`mem::forget`) is withdrawn by the next call that may.

use crate::error::LockError;
use crate::shm::polling::PolledWait;
use crate::shm::wait::Stop;
use crate::shm::waiting::Call;
use crate::sync::base::{Base, Grant, Side};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::Location;
use std::task::{Context, Poll};

/// What the futures of this rank wait for.
#[derive(Default)]
pub(super) struct Pending {
    /// The numbers of the futures that wait, in the order of their first polls.
    line: RefCell<VecDeque<u64>>,
    /// The length of the line.
    length: Cell<usize>,
    /// The number of the next future that waits.
    next: Cell<u64>,
    /// The place of the first one in the queue. None if it has to join.
    place: Cell<Option<Place>>,
}

/// The place in the queue that a future of this rank has.
#[derive(Clone, Copy)]
struct Place {
    /// The number of permits that it wants.
    count: u32,
    /// The ticket, if the queue is on this node.
    ticket: u64,
}

impl Pending {
    #[inline]
    pub(super) fn is_any(&self) -> bool {
        self.length.get() > 0
    }

    /// Adds a future. Returns its number.
    fn push(&self) -> u64 {
        let number = self.next.replace(self.next.get() + 1);
        let mut line = self.line.borrow_mut();
        line.push_back(number);
        self.length.set(line.len());
        number
    }

    fn is_first(&self, number: u64) -> bool {
        self.line.borrow().front() == Some(&number)
    }

    fn remove(&self, number: u64) {
        let mut line = self.line.borrow_mut();
        line.retain(|other| *other != number);
        self.length.set(line.len());
    }

    fn clear(&self) {
        self.line.borrow_mut().clear();
        self.length.set(0);
    }
}

/// Takes permits.
pub(in crate::sync) struct GrantFuture<'a> {
    base: &'a Base,
    name: &'static str,
    count: u32,
    location: &'static Location<'static>,
    /// Its number while it waits.
    number: Option<u64>,
    wait: PolledWait<'a>,
}

impl<'a> GrantFuture<'a> {
    /// Takes `count` permits in the call `name`.
    #[track_caller]
    pub(in crate::sync) fn new(base: &'a Base, name: &'static str, count: u32) -> Self {
        GrantFuture {
            base,
            name,
            count,
            location: Location::caller(),
            number: None,
            wait: PolledWait::default(),
        }
    }

    pub(in crate::sync) fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Grant, LockError>> {
        let (base, count) = (self.base, self.count);
        let (name, location) = (self.name, self.location);
        let call = || Call::new(base, name, location);
        let number = &mut self.number;
        let attempt = |inspects| {
            base.object.check_usable()?;
            let granted = base.poll_grant(number, count, inspects);
            granted.map_err(|stop| base.error(stop, None, call()))
        };
        let granted = (self.wait).poll(context, base.block(), call, attempt);
        match &granted {
            Poll::Ready(Ok(_)) => {
                base.add_held(count);
                base.note_held_at(location);
            }
            Poll::Ready(Err(_)) => self.withdraw(),
            Poll::Pending => {}
        }
        granted
    }

    /// Waits no longer, and gives back what was granted.
    fn withdraw(&mut self) {
        if let Some(number) = self.number.take() {
            self.base.withdraw(number);
        }
    }
}

impl Drop for GrantFuture<'_> {
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl Base {
    /// Takes `count` permits if that is possible without waiting. If not, the future waits from here
    /// on, and has a `number`.
    fn poll_grant(
        &self,
        number: &mut Option<u64>,
        count: u32,
        inspects: bool,
    ) -> Result<Option<Grant>, Stop> {
        let pending = &self.pending;
        if number.is_none() && !pending.is_any() && self.try_local(count) {
            return Ok(Some(Grant::default()));
        }
        let mine = *number.get_or_insert_with(|| pending.push());
        if !pending.is_first(mine) {
            return Ok(None);
        }
        let granted = self.poll_first(count, inspects)?;
        if granted.is_some() {
            pending.remove(mine);
            *number = None;
        }
        Ok(granted)
    }

    /// Takes permits if the queue is on this node, they are free and no rank waits.
    fn try_local(&self, count: u32) -> bool {
        let queue = self.queue();
        queue.is_some_and(|queue| queue.try_acquire(self.me(), count))
    }

    /// As the first future: joins the queue, or looks what has become of its place there.
    fn poll_first(&self, count: u32, inspects: bool) -> Result<Option<Grant>, Stop> {
        let place = match self.pending.place.take() {
            Some(place) => place,
            None => self.join_for(count)?,
        };
        let granted = match &self.side {
            Side::Local(queue) => {
                let ticket = Some(place.ticket);
                let is_granted = queue.poll_grant(place.ticket, inspects)?;
                is_granted.then_some(Grant {
                    ticket,
                    cargo: None,
                })
            }
            Side::Remote(client) => client.poll()?.map(Grant::from),
        };
        if granted.is_none() {
            self.pending.place.set(Some(place));
        }
        Ok(granted)
    }

    fn join_for(&self, count: u32) -> Result<Place, Stop> {
        let ticket = match &self.side {
            Side::Local(queue) => {
                queue.check()?;
                queue.join(self.me(), count)
            }
            Side::Remote(client) => {
                self.wanted.set(count);
                client.ask_for(count);
                0
            }
        };
        Ok(Place { count, ticket })
    }

    /// Takes the future with this number out of the line. If it was the first one, it leaves the queue,
    /// and its permits are given back if they have been granted.
    fn withdraw(&self, number: u64) {
        if self.pending.is_first(number) {
            self.leave_place();
        }
        self.pending.remove(number);
    }

    /// Leaves the queue, as the first future. It joins again if it is polled. If it has been granted its
    /// permits, they are given back.
    #[cold]
    fn leave_place(&self) {
        let Some(Place { count, ticket }) = self.pending.place.take() else {
            return;
        };
        match &self.side {
            Side::Local(queue) => {
                if queue.withdraw(ticket) {
                    queue.release(self.me(), count);
                }
            }
            Side::Remote(client) => client.abandon(count, self.held()),
        }
    }

    /// Takes the first future out of the queue for another call of this rank, which needs the place.
    #[inline]
    pub(super) fn suspend_futures(&self) {
        if self.pending.is_any() {
            self.leave_place();
        }
    }

    /// Ends the waits of leaked futures. None is alive.
    #[cold]
    pub(super) fn withdraw_leaked(&self) {
        self.leave_place();
        self.pending.clear();
    }
}
