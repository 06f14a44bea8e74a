//! A wait queue: permits that ranks take and give back, and a line in which they are served in the
//! order in which they came.
//!
//! What is free is in one word, with how many wait. As long as nobody waits, taking and giving back
//! is one atomic operation. Who finds nothing counts itself among the waiting, draws a ticket, and
//! shows both in its own seat. From then on nobody takes anything past the line: permits that come
//! back are handed to the seat with the smallest ticket, by whoever has changed something that may
//! allow it. One at a time does that; another one that comes meanwhile leaves a mark in that word,
//! and who serves looks again.
//!
//! The order is strict. A rank counts itself before it draws its ticket, and nobody is served while
//! fewer tickets can be seen than ranks are counted: a ticket that is smaller than all that can be
//! seen may be about to be shown, and its owner serves the line when it has shown it. So whoever
//! has drawn a ticket before another one is served before it. (First come, first served in the
//! sense of Lamport, "A New Solution of Dijkstra's Concurrent Programming Problem", CACM 1974; his
//! bakery waits for who is choosing.)
//!
//! Giving up is a matter of one's own seat: it is either withdrawn or granted already, by one
//! exchange. A rank that died is found by those who wait; what it had is free again, unless that
//! could be seen half changed by others.
//!
//! A mutex is a list with one permit, a semaphore one with more, a condition one with none, see
//! [`sync`](mod@crate::sync).

pub(crate) mod cargo;
pub(crate) mod layout;
pub(crate) mod memory;
pub(crate) mod remote;
#[cfg(test)]
mod tests;

use crate::shm::atomic::{MODELLED, Ordering, fence_after_exchange};
use crate::shm::wait::{Deadline, Stop, wait};
pub(crate) use crate::wait_queue::layout::MOST_PERMITS;
use crate::wait_queue::layout::{FreePermits, Seat, UNSETTLED, WaitWords, Want};
use crate::wait_queue::memory::WaitMemory;

/// A wait queue in the memory `M`, as one rank sees it.
pub(crate) struct WaitQueue<M> {
    pub(crate) memory: M,
    /// What becomes of permits whose owner has died.
    pub(crate) on_death: OnDeath,
}

/// What becomes of permits whose owner has died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnDeath {
    /// They are free again.
    Release,
    /// They stay with it: what it did with them may be half done.
    Poison,
}

/// The first in the line.
struct First {
    seat: usize,
    ticket: u64,
    count: u32,
}

/// Who has what and who waits, by seat; a snapshot that may be out of date.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// How many permits are free.
    pub(crate) free: u32,
    /// Who has how many.
    pub(crate) held: Vec<(usize, u32)>,
    /// Who waits, in the order of the line.
    pub(crate) waiting: Vec<usize>,
}

/// For one's own seat.
impl<M: WaitMemory> WaitQueue<M> {
    /// Takes so many permits; waits in the line until they are granted. Returns the ticket of who
    /// had to wait.
    #[inline]
    pub(crate) fn acquire(
        &self,
        count: u32,
        deadline: impl FnOnce() -> Deadline,
    ) -> Result<Option<u64>, Stop> {
        if self.try_acquire(self.memory.me(), count) {
            return Ok(None);
        }
        self.acquire_later(count, deadline()).map(Some)
    }

    #[cold]
    fn acquire_later(&self, count: u32, deadline: Deadline) -> Result<u64, Stop> {
        self.check()?;
        let ticket = self.join(self.memory.me(), count);
        self.wait_for_grant(ticket, deadline)
    }

    /// Waits until this rank, which stands in the line, is served; it leaves the line if that takes
    /// too long.
    pub(crate) fn wait_for_grant(&self, ticket: u64, deadline: Deadline) -> Result<u64, Stop> {
        let me = self.memory.me();
        let granted = wait(
            &self.memory,
            self.memory.seat(me).event(),
            deadline,
            || self.is_granted(me).then_some(()),
            || self.inspect(),
        );
        match granted {
            Err(stop) if self.leave(me, ticket) => Err(stop),
            // It may have been served at the last moment.
            _ => {
                self.take_up(me);
                Ok(ticket)
            }
        }
    }
}

/// For any seat, by who acts for it.
impl<M: WaitMemory> WaitQueue<M> {
    /// Takes so many permits for a seat, if there are so many and nobody waits.
    #[inline]
    pub(crate) fn try_acquire(&self, seat: usize, count: u32) -> bool {
        let now = self.free_permits();
        if now.waiters() > 0 || now.permits() < count {
            return false;
        }
        self.try_acquire_from(now, seat, count)
    }

    #[inline]
    fn try_acquire_from(&self, mut now: FreePermits, seat: usize, count: u32) -> bool {
        self.act(|| {
            while now.waiters() == 0 && now.permits() >= count {
                if self.replace(now, now.without(count)) {
                    self.memory.seat(seat).add_held(count);
                    return true;
                }
                now = self.free_permits();
            }
            false
        })
    }

    /// Stands a seat in the line for so many permits; its ticket. It may be served at once.
    pub(crate) fn join(&self, seat: usize, count: u32) -> u64 {
        let ticket = self.act(|| {
            let words = self.memory.words();
            let place = self.memory.seat(seat);
            place.count.store(count, Ordering::Relaxed);
            // In this order: who sees a smaller ticket than ours has been counted with us.
            words
                .free_permits
                .fetch_add(FreePermits::ONE_NEWCOMER, Ordering::SeqCst);
            let ticket = words.tickets.fetch_add(1, Ordering::SeqCst);
            place.want.swap(Want::waiting(ticket).0, Ordering::SeqCst);
            ticket
        });
        self.serve();
        ticket
    }

    /// Takes a seat out of the line; not if it has been served.
    pub(crate) fn leave(&self, seat: usize, ticket: u64) -> bool {
        let left = self.act(|| {
            let left = self.change_want(seat, Want::waiting(ticket), Want::NOTHING);
            if left {
                let free_permits = &self.memory.words().free_permits;
                free_permits.fetch_sub(FreePermits::ONE_WAITER, Ordering::SeqCst);
            }
            left
        });
        if left {
            // Those behind it may want less.
            self.serve();
        }
        left
    }

    /// Whether a seat has been served, and has to [take up](Self::take_up) what it was given.
    #[inline]
    pub(crate) fn is_granted(&self, seat: usize) -> bool {
        self.want(seat).is_granted()
    }

    /// Makes what a seat was given its own; its ticket.
    pub(crate) fn take_up(&self, seat: usize) -> u64 {
        let place = self.memory.seat(seat);
        let ticket = self.want(seat).ticket();
        self.act(|| {
            place.add_held(place.count.load(Ordering::Relaxed));
            place.want.store(Want::NOTHING.0, Ordering::Release);
        });
        ticket
    }

    /// Gives back permits that a seat has.
    #[inline]
    pub(crate) fn release(&self, seat: usize, count: u32) {
        let before = self.act(|| {
            self.memory.seat(seat).take_held(count);
            let free_permits = &self.memory.words().free_permits;
            FreePermits(free_permits.fetch_add(count.into(), Ordering::SeqCst))
        });
        if before.waiters() > 0 {
            self.serve();
        }
    }

    /// Adds free permits; whether that makes no more of them than `most`.
    pub(crate) fn supply(&self, count: u32, most: u32) -> bool {
        let supplied = self.act(|| {
            let WaitWords {
                free_permits,
                total,
                ..
            } = self.memory.words();
            let order = (Ordering::Relaxed, Ordering::Relaxed);
            let sum = total.fetch_update(order.0, order.1, |total| {
                total.checked_add(count).filter(|sum| *sum <= most)
            });
            if sum.is_ok() {
                free_permits.fetch_add(count.into(), Ordering::SeqCst);
            }
            sum.is_ok()
        });
        if supplied {
            self.serve();
        }
        supplied
    }

    /// A seat keeps permits that it has for good: there are so many less.
    pub(crate) fn keep(&self, seat: usize, count: u32) {
        self.act(|| {
            self.memory.seat(seat).take_held(count);
            let total = &self.memory.words().total;
            total.fetch_sub(count, Ordering::Relaxed);
        });
    }

    /// Wakes up to so many of the first in a line without permits; how many. Who comes after this
    /// has begun, or comes back, is left alone.
    pub(crate) fn wake(&self, most: u32) -> u32 {
        let (mut woken, mut calls) = (0, false);
        let tickets = self.memory.words().tickets.load(Ordering::SeqCst);
        while woken < most {
            let first = self.first_seen().1;
            let Some(first) = first.filter(|first| first.ticket < tickets) else {
                break;
            };
            if !self.memory.is_alive(first.seat) {
                // It would take a wake-up with it.
                self.leave(first.seat, first.ticket);
                continue;
            }
            let given = self.act(|| {
                let given = self.grant(&first);
                if given {
                    let free_permits = &self.memory.words().free_permits;
                    free_permits.fetch_sub(FreePermits::ONE_WAITER, Ordering::SeqCst);
                }
                given
            });
            if given {
                calls |= self.memory.ring(first.seat);
                woken += 1;
            }
        }
        if calls {
            self.memory.call_server();
        }
        woken
    }

    /// Whether a seat has so many permits.
    pub(crate) fn holds(&self, seat: usize, count: u32) -> bool {
        self.memory.seat(seat).held.load(Ordering::Relaxed) & !UNSETTLED >= count
    }
}

/// For all.
impl<M: WaitMemory> WaitQueue<M> {
    /// Hands what is free to the first in the line, as far as that goes. Called after every change
    /// that may allow it.
    fn serve(&self) {
        // What was changed is seen by who changes something else after this, or that is seen here.
        fence_after_exchange();
        let now = self.free_permits();
        if now.waiters() > 0 && now.permits() > 0 && self.act(|| self.serve_line()) {
            self.memory.call_server();
        }
    }

    /// Whether the server has somebody to tell.
    #[cold]
    fn serve_line(&self) -> bool {
        let (mut serves, mut calls) = (false, false);
        let free_permits = &self.memory.words().free_permits;
        loop {
            let now = self.free_permits();
            if now.is_served() && !serves {
                // Who serves finds the word changed, and looks again.
                if self.replace(now, now.changed()) {
                    return calls;
                }
                continue;
            }
            let first = match (now.permits(), now.waiters()) {
                (0, _) | (_, 0) => None,
                (permits, waiters) => {
                    let (seen, first) = self.first_seen();
                    first.filter(|first| seen >= waiters && first.count <= permits)
                }
            };
            match first {
                Some(first) => {
                    // It counts as waiting until it has been served, so that nobody goes past it if it gives up now.
                    if !self.replace(now, now.without(first.count).served()) {
                        continue;
                    }
                    serves = true;
                    if self.grant(&first) {
                        free_permits.fetch_sub(FreePermits::ONE_WAITER, Ordering::SeqCst);
                        calls |= self.memory.ring(first.seat);
                    } else {
                        free_permits.fetch_add(first.count.into(), Ordering::SeqCst);
                    }
                    fence_after_exchange();
                }
                None if serves => {
                    if self.replace(now, now.unserved()) {
                        return calls;
                    }
                }
                None => return calls,
            }
        }
    }

    /// How many can be seen to wait, and the first of them.
    fn first_seen(&self) -> (u32, Option<First>) {
        let mut seen = 0;
        let mut first: Option<First> = None;
        for seat in 0..self.memory.seats() {
            let want = self.want(seat);
            if !want.is_waiting() {
                continue;
            }
            seen += 1;
            let ticket = want.ticket();
            if first.as_ref().is_none_or(|first| ticket < first.ticket) {
                let count = self.memory.seat(seat).count.load(Ordering::Relaxed);
                first = Some(First {
                    seat,
                    ticket,
                    count,
                });
            }
        }
        (seen, first)
    }

    fn grant(&self, first: &First) -> bool {
        let (waiting, granted) = (Want::waiting(first.ticket), Want::granted(first.ticket));
        self.change_want(first.seat, waiting, granted)
    }

    fn change_want(&self, seat: usize, from: Want, to: Want) -> bool {
        let want = &self.memory.seat(seat).want;
        let changed = want.compare_exchange(from.0, to.0, Ordering::SeqCst, Ordering::Relaxed);
        changed.is_ok()
    }

    fn want(&self, seat: usize) -> Want {
        Want(self.memory.seat(seat).want.load(Ordering::SeqCst))
    }

    #[inline]
    fn free_permits(&self) -> FreePermits {
        FreePermits(self.memory.words().free_permits.load(Ordering::SeqCst))
    }

    #[inline]
    fn replace(&self, from: FreePermits, to: FreePermits) -> bool {
        let free_permits = &self.memory.words().free_permits;
        let replaced =
            free_permits.compare_exchange(from.0, to.0, Ordering::SeqCst, Ordering::Relaxed);
        replaced.is_ok()
    }

    /// Does something that others could not finish if this process died in the middle of it, and
    /// says so meanwhile.
    #[inline]
    fn act<R>(&self, change: impl FnOnce() -> R) -> R {
        let held = &self.memory.seat(self.memory.me()).held;
        let before = held.load(Ordering::Relaxed);
        held.store(before | UNSETTLED, Ordering::Release);
        let result = change();
        let after = held.load(Ordering::Relaxed) & !UNSETTLED;
        held.store(after | before & UNSETTLED, Ordering::Release);
        result
    }

    /// How many permits are free just now.
    pub(crate) fn free(&self) -> u32 {
        self.free_permits().permits()
    }

    /// Who has what and who waits just now.
    pub(crate) fn standing(&self) -> Standing {
        let mut waiting = Vec::new();
        let mut standing = Standing {
            free: self.free(),
            ..Standing::default()
        };
        for seat in 0..self.memory.seats() {
            let held = self.memory.seat(seat).held.load(Ordering::Relaxed) & !UNSETTLED;
            if held > 0 {
                standing.held.push((seat, held));
            }
            let want = self.want(seat);
            if want.is_waiting() {
                waiting.push((want.ticket(), seat));
            }
        }
        waiting.sort_unstable();
        standing.waiting = waiting.into_iter().map(|(_, seat)| seat).collect();
        standing
    }
}

/// About ranks that died.
impl<M: WaitMemory> WaitQueue<M> {
    /// Whether the list is still of use.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        let broken = self.memory.words().broken.load(Ordering::Relaxed);
        match broken.checked_sub(1) {
            Some(seat) => Err(Stop::Died(seat as usize)),
            None => Ok(()),
        }
    }

    /// Takes over from ranks that died: who has something, and who is first in the line. The rest
    /// is asked when it is there.
    pub(crate) fn inspect(&self) -> Result<(), Stop> {
        let first = self.first_seen().1.map(|first| first.seat);
        let mut found_dead = false;
        for seat in 0..self.memory.seats() {
            let held = self.memory.seat(seat).held.load(Ordering::Acquire);
            let counts = held != 0 || Some(seat) == first || self.want(seat).is_granted();
            let may_reclaim = counts && seat != self.memory.me() && self.memory.acts_for(seat);
            if may_reclaim && !self.memory.is_alive(seat) {
                self.reclaim(seat);
                found_dead = true;
            }
        }
        // One that died just after a change has not served the line. (In the model nobody dies there, and this would hide
        // whoever forgets it.)
        if found_dead || !MODELLED {
            self.serve();
        }
        self.check()
    }

    fn reclaim(&self, seat: usize) {
        let place = self.memory.seat(seat);
        let held = place.held.load(Ordering::Acquire);
        let want = self.want(seat);
        let goes_on = self.on_death == OnDeath::Release && !self.memory.is_orphan(seat);
        if held & UNSETTLED != 0 || held != 0 && !goes_on {
            let broken = &self.memory.words().broken;
            broken.store(seat as u32 + 1, Ordering::Relaxed);
            return;
        }
        if want.is_waiting() {
            self.leave(seat, want.ticket());
        }
        // One of those who find it dead at the same time takes over.
        let free_permits = &self.memory.words().free_permits;
        if want.is_granted() {
            let count = place.count.load(Ordering::Relaxed);
            self.act(|| {
                if self.change_want(seat, want, Want::NOTHING) {
                    free_permits.fetch_add(count.into(), Ordering::SeqCst);
                }
            });
        }
        if held != 0 {
            self.act(|| {
                let freed =
                    (place.held).compare_exchange(held, 0, Ordering::SeqCst, Ordering::Relaxed);
                if freed.is_ok() {
                    free_permits.fetch_add(held.into(), Ordering::SeqCst);
                }
            });
        }
    }
}

/// Stored by who acts for the seat only.
impl Seat {
    #[inline]
    fn add_held(&self, count: u32) {
        let held = self.held.load(Ordering::Relaxed);
        self.held.store(held + count, Ordering::Relaxed);
    }

    #[inline]
    fn take_held(&self, count: u32) {
        let held = self.held.load(Ordering::Relaxed);
        self.held.store(held - count, Ordering::Relaxed);
    }
}
