//! A wait queue: permits that ranks take and give back, granted in order of arrival.
//!
//! One word has the number of free permits and of waiters. While no rank waits, taking and giving
//! back is one atomic operation. If no permit is free, a rank increments the waiter count, draws a
//! ticket and publishes it in its slot. From then on permits that come back go to the slot with the
//! smallest ticket. Every rank whose change may allow a grant serves the queue. One rank serves at a
//! time; another one that wants to leaves a mark in the word, and the first one checks again.
//!
//! The order is strict. A rank is counted before it draws its ticket, and no waiter is served while
//! fewer tickets are visible than waiters are counted: a smaller ticket may be about to be
//! published, and its owner serves the queue after that. So tickets are served in the order in which
//! they were drawn. This is first come, first served in the sense of Lamport, "A New Solution of
//! Dijkstra's Concurrent Programming Problem", CACM 1974, whose bakery algorithm waits for ranks
//! that are choosing.
//!
//! A rank gives up by one exchange on its own slot, which shows whether it has been granted its
//! permits already. Waiters look for dead ranks. The permits of a dead rank are free again, unless
//! other ranks could see its change half done.
//!
//! A mutex is a queue with one permit, a semaphore one with more, a condition one with none, see
//! [`sync`](mod@crate::sync).

pub(crate) mod cargo;
mod deaths;
pub(crate) mod layout;
mod line;
pub(crate) mod memory;
#[cfg(feature = "inspect")]
pub(crate) mod outside;
pub(crate) mod poison;
pub(crate) mod remote;
#[cfg(test)]
mod tests;

use crate::shm::atomic::{Mutex, Ordering, locked};
use crate::shm::wait::{Deadline, Stop, wait};
pub(crate) use crate::wait_queue::layout::MOST_PERMITS;
use crate::wait_queue::layout::{FreePermits, Slot, UNSETTLED, WaitWords, Want};
use crate::wait_queue::memory::WaitMemory;

/// A wait queue in the memory `M`, as one rank sees it.
pub(crate) struct WaitQueue<M> {
    pub(crate) memory: M,
    pub(crate) on_death: OnDeath,
}

/// What happens to the permits of a rank that died.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnDeath {
    /// Its permits are free again.
    Release,
    /// They are lost until a rank takes them over, because its change may be half done.
    Poison,
}

/// The holders and the waiters, by slot; a snapshot that may be out of date.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// The number of free permits.
    pub(crate) free: u32,
    /// The holders, and how many permits each has.
    pub(crate) held: Vec<(usize, u32)>,
    /// The waiters, in the order of their tickets.
    pub(crate) waiting: Vec<usize>,
}

impl Standing {
    /// From the words of a queue and its slots.
    fn of<'a>(words: &WaitWords, slots: impl Iterator<Item = &'a Slot>) -> Self {
        let free = FreePermits(words.free_permits.load(Ordering::SeqCst));
        let mut waiting = Vec::new();
        let mut standing = Standing {
            free: free.permits(),
            ..Standing::default()
        };
        for (index, slot) in slots.enumerate() {
            let held = slot.held.load(Ordering::Relaxed) & !UNSETTLED;
            if held > 0 {
                standing.held.push((index, held));
            }
            let want = Want(slot.want.load(Ordering::SeqCst));
            if want.is_waiting() {
                waiting.push((want.ticket(), index));
            }
        }
        waiting.sort_unstable();
        standing.waiting = waiting.into_iter().map(|(_, slot)| slot).collect();
        standing
    }
}

/// Calls of a rank for its own slot.
impl<M: WaitMemory> WaitQueue<M> {
    /// Takes `count` permits, and waits until they are granted. Returns the ticket if this rank had
    /// to wait.
    #[inline]
    pub(crate) fn acquire<'a>(
        &self,
        count: u32,
        deadline: impl FnOnce() -> Deadline<'a>,
    ) -> Result<Option<u64>, Stop> {
        if self.try_acquire(self.memory.me(), count) {
            return Ok(None);
        }
        self.acquire_later(count, deadline()).map(Some)
    }

    #[cold]
    fn acquire_later(&self, count: u32, deadline: Deadline<'_>) -> Result<u64, Stop> {
        self.check()?;
        let ticket = self.join(self.memory.me(), count);
        self.wait_for_grant(ticket, deadline)
    }

    /// [`acquire`](Self::acquire) by the one thread of this rank that waits. Others may release permits
    /// meanwhile: `alone` is locked while a thread changes the slot of the rank.
    pub(crate) fn acquire_as_thread(
        &self,
        count: u32,
        deadline: Deadline<'_>,
        alone: &Mutex<()>,
    ) -> Result<(), Stop> {
        let me = self.memory.me();
        let ticket = {
            let _alone = locked(alone);
            if self.try_acquire(me, count) {
                return Ok(());
            }
            self.check()?;
            self.join(me, count)
        };
        let granted = wait(
            &self.memory,
            self.memory.slot(me).event(),
            deadline,
            || self.is_granted(me).then_some(()),
            || {
                let _alone = locked(alone);
                self.inspect()
            },
        );
        let _alone = locked(alone);
        match granted {
            Err(stop) if self.leave(me, ticket) => Err(stop),
            // It was served at the last moment.
            _ => {
                self.take_up(me);
                Ok(())
            }
        }
    }

    /// Waits until this rank, which is in the queue, is served. Leaves the queue at the deadline.
    fn wait_for_grant(&self, ticket: u64, deadline: Deadline<'_>) -> Result<u64, Stop> {
        self.wait_and_inspect(ticket, deadline, || self.inspect())
    }

    /// The same in a queue without permits, where another rank has to wake this one.
    pub(crate) fn wait_for_wake(&self, ticket: u64, deadline: Deadline<'_>) -> Result<u64, Stop> {
        let is_endless = deadline.is_never();
        self.wait_and_inspect(ticket, deadline, || {
            self.inspect()?;
            if is_endless {
                self.check_wakers(ticket)
            } else {
                Ok(())
            }
        })
    }

    fn wait_and_inspect(
        &self,
        ticket: u64,
        deadline: Deadline<'_>,
        inspect: impl FnMut() -> Result<(), Stop>,
    ) -> Result<u64, Stop> {
        let me = self.memory.me();
        let granted = wait(
            &self.memory,
            self.memory.slot(me).event(),
            deadline,
            || self.is_granted(me).then_some(()),
            inspect,
        );
        match granted {
            Err(stop) if self.leave(me, ticket) => Err(stop),
            // It was served at the last moment.
            _ => {
                self.take_up(me);
                Ok(ticket)
            }
        }
    }
}

/// Calls of a rank that waits as a future. It has [joined](WaitQueue::join) the queue.
impl<M: WaitMemory> WaitQueue<M> {
    /// Takes up the permits of this rank if they were granted. Returns whether they were.
    ///
    /// # Errors
    /// If it `inspects` and finds that they cannot be granted. This rank has left the queue.
    pub(crate) fn poll_grant(&self, ticket: u64, inspects: bool) -> Result<bool, Stop> {
        let me = self.memory.me();
        if !self.is_granted(me) {
            let Some(stop) = inspects.then(|| self.inspect().err()).flatten() else {
                return Ok(false);
            };
            if self.leave(me, ticket) {
                return Err(stop);
            }
        }
        self.take_up(me);
        Ok(true)
    }

    /// Leaves the queue. Returns whether this rank was served before, and now has its permits.
    pub(crate) fn withdraw(&self, ticket: u64) -> bool {
        let me = self.memory.me();
        let has_left = self.leave(me, ticket);
        if !has_left {
            self.take_up(me);
        }
        !has_left
    }
}

/// Calls for any slot, by the rank or the server that acts for it.
impl<M: WaitMemory> WaitQueue<M> {
    /// Takes `count` permits for a slot, if they are free and no rank waits.
    #[inline]
    pub(crate) fn try_acquire(&self, slot: usize, count: u32) -> bool {
        let now = self.free_permits();
        if now.waiters() > 0 || now.permits() < count {
            return false;
        }
        self.try_acquire_from(now, slot, count)
    }

    #[inline]
    fn try_acquire_from(&self, mut now: FreePermits, slot: usize, count: u32) -> bool {
        self.act(|| {
            while now.waiters() == 0 && now.permits() >= count {
                if self.replace(now, now.without(count)) {
                    self.memory.slot(slot).add_held(count);
                    return true;
                }
                now = self.free_permits();
            }
            false
        })
    }

    /// Puts a slot into the queue for `count` permits. Returns its ticket. It may be served at once.
    pub(crate) fn join(&self, slot: usize, count: u32) -> u64 {
        let ticket = self.act(|| {
            let words = self.memory.words();
            let place = self.memory.slot(slot);
            place.count.store(count, Ordering::Relaxed);
            // In this order: a rank that sees a larger ticket than this one has seen this one counted.
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

    /// Takes a slot out of the queue. Returns false if it has been served.
    pub(crate) fn leave(&self, slot: usize, ticket: u64) -> bool {
        let left = self.act(|| {
            let left = self.change_want(slot, Want::waiting(ticket), Want::NOTHING);
            if left {
                let free_permits = &self.memory.words().free_permits;
                free_permits.fetch_sub(FreePermits::ONE_WAITER, Ordering::SeqCst);
            }
            left
        });
        if left {
            // The ranks behind it may want fewer permits.
            self.serve();
        }
        left
    }

    /// Whether a slot has been granted permits, which it has to [take up](Self::take_up).
    #[inline]
    pub(crate) fn is_granted(&self, slot: usize) -> bool {
        self.want(slot).is_granted()
    }

    /// Whether a slot stands in the queue, and has been granted nothing.
    pub(crate) fn is_waiting(&self, slot: usize) -> bool {
        self.want(slot).is_waiting()
    }

    /// Takes up the permits that a slot has been granted. Returns its ticket.
    pub(crate) fn take_up(&self, slot: usize) -> u64 {
        let place = self.memory.slot(slot);
        let ticket = self.want(slot).ticket();
        self.act(|| {
            place.add_held(place.count.load(Ordering::Relaxed));
            place.want.store(Want::NOTHING.0, Ordering::Release);
        });
        ticket
    }

    /// Gives back permits of a slot.
    #[inline]
    pub(crate) fn release(&self, slot: usize, count: u32) {
        let before = self.act(|| {
            self.memory.slot(slot).take_held(count);
            let free_permits = &self.memory.words().free_permits;
            FreePermits(free_permits.fetch_add(count.into(), Ordering::SeqCst))
        });
        if before.waiters() > 0 {
            self.serve();
        }
    }

    /// [`release`](Self::release) as the server for a rank of another node. Runs `store` while nobody
    /// has the permits. Does nothing if the slot does not have them, also because its rank is dead and
    /// another one has taken over.
    pub(crate) fn release_for(&self, slot: usize, count: u32, store: impl FnOnce()) {
        let has_released = self.act(|| {
            let held = &self.memory.slot(slot).held;
            let less = |held: u32| held.checked_sub(count);
            let taken = held.fetch_update(Ordering::SeqCst, Ordering::Relaxed, less);
            if taken.is_ok() {
                store();
                let free_permits = &self.memory.words().free_permits;
                free_permits.fetch_add(count.into(), Ordering::SeqCst);
            }
            taken.is_ok()
        });
        if has_released {
            self.serve();
        }
    }

    /// Adds free permits, if there are at most `most` permits then. Returns whether it has.
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

    /// Lets a slot keep permits for good: the total decreases by `count`.
    pub(crate) fn keep(&self, slot: usize, count: u32) {
        self.act(|| {
            self.memory.slot(slot).take_held(count);
            let total = &self.memory.words().total;
            total.fetch_sub(count, Ordering::Relaxed);
        });
    }

    /// Wakes the first waiters of a queue without permits, at most `most`. Returns their number.
    /// Ranks that join after this has begun are not woken.
    pub(crate) fn wake(&self, most: u32) -> u32 {
        let (mut woken, mut calls) = (0, false);
        let tickets = self.memory.words().tickets.load(Ordering::SeqCst);
        while woken < most {
            let first = self.first_seen().1;
            let Some(first) = first.filter(|first| first.ticket < tickets) else {
                break;
            };
            if !self.memory.is_alive(first.slot) {
                // The wake-up would be lost.
                self.leave(first.slot, first.ticket);
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
                calls |= self.memory.ring(first.slot);
                woken += 1;
            }
        }
        if calls {
            self.memory.call_server();
        }
        woken
    }

    /// Whether a slot has at least `count` permits.
    pub(crate) fn holds(&self, slot: usize, count: u32) -> bool {
        self.held(slot) >= count
    }

    /// The number of permits that a slot has.
    pub(crate) fn held(&self, slot: usize) -> u32 {
        self.memory.slot(slot).held.load(Ordering::Relaxed) & !UNSETTLED
    }
}

/// Calls of any rank.
impl<M: WaitMemory> WaitQueue<M> {
    fn change_want(&self, slot: usize, from: Want, to: Want) -> bool {
        let want = &self.memory.slot(slot).want;
        let changed = want.compare_exchange(from.0, to.0, Ordering::SeqCst, Ordering::Relaxed);
        changed.is_ok()
    }

    fn want(&self, slot: usize) -> Want {
        Want(self.memory.slot(slot).want.load(Ordering::SeqCst))
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

    /// Makes a change that no other rank could complete if this process died in the middle of it.
    /// Sets [`UNSETTLED`] meanwhile.
    #[inline]
    fn act<R>(&self, change: impl FnOnce() -> R) -> R {
        let held = &self.memory.slot(self.memory.me()).held;
        let before = held.load(Ordering::Relaxed);
        held.store(before | UNSETTLED, Ordering::Release);
        let result = change();
        let after = held.load(Ordering::Relaxed) & !UNSETTLED;
        held.store(after | before & UNSETTLED, Ordering::Release);
        result
    }

    /// The number of permits that are free now.
    pub(crate) fn free(&self) -> u32 {
        self.free_permits().permits()
    }

    /// The number of permits now, free or not.
    pub(crate) fn total(&self) -> u32 {
        self.memory.words().total.load(Ordering::Relaxed)
    }

    /// The words of this rank.
    #[inline]
    pub(crate) fn my_slot(&self) -> &Slot {
        self.memory.slot(self.memory.me())
    }

    /// The holders and the waiters now.
    pub(crate) fn standing(&self) -> Standing {
        let slots = (0..self.memory.slots()).map(|slot| self.memory.slot(slot));
        Standing::of(self.memory.words(), slots)
    }
}

/// Stored only by the rank or the server that acts for the slot.
impl Slot {
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
