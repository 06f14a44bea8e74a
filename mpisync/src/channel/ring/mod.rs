//! The queue of a channel: slots in shared memory, into which any rank puts and from which any rank
//! takes.
//!
//! Each slot has a stamp that says for which lap it is free or full, so that who puts and who takes
//! meet at the slot and nowhere else (Dmitry Vyukov, "Bounded MPMC queue", 2010; with laps for any
//! capacity as in crossbeam's `ArrayQueue`). Slots are reserved in a row, one or many with one
//! exchange. What is added here:
//!
//! - Before a rank reserves slots it announces them in words of its own, so that what it leaves unfinished when it dies is
//!   found by the ranks that come upon it: a message that was not put for good becomes a void slot, which is passed over, and
//!   one that was not taken for good is lost with the rank that took it.
//! - Who still puts and takes is known, and who waits, so that the end of a stream is known too.
//!
//! A channel over several nodes has two such queues on each of them, and servers that carry
//! messages between these; see [`relay`] for the ranks' part in it, and
//! [`remote`](crate::channel::remote) for the servers'.

#[cfg(any(loom, test))]
pub(crate) mod heap;
pub(crate) mod layout;
pub(crate) mod memory;
mod recovery;
pub(crate) mod relay;
mod reservation;
pub(crate) mod termination;
#[cfg(test)]
mod tests;

use crate::channel::ring::layout::{Holds, Position, RankState};
use crate::channel::ring::memory::QueueMemory;
pub(crate) use crate::channel::ring::recovery::Inspector;
pub(crate) use crate::channel::ring::relay::Waiting;
pub(crate) use crate::channel::ring::reservation::{Putting, Taking};
pub(crate) use crate::channel::ring::termination::Generation;
use crate::shm::atomic::Ordering;
use crate::shm::event::{ALL, FutexWord};
use crate::shm::wait::{Deadline, Stop, wait};
use std::sync::atomic::compiler_fence;

/// How often a rank looks for a message before it lets the others know that it waits: about a
/// microsecond.
const SPINS: u32 = if cfg!(loom) { 1 } else { 40 };

/// A queue as one of the ranks sees it.
pub(crate) struct Queue<M> {
    pub(crate) memory: M,
}

/// Why nothing can be put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoRoom {
    /// All slots are taken, or stayed so until the deadline.
    Full,
    /// Nobody is left who takes.
    Deserted,
    /// It is full, and nobody but this rank is left who takes.
    OnlyConsumer,
    /// The process with the node's server has died.
    Lost,
}

/// Why nothing can be taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoMessage {
    /// There is none, or there was none until the deadline.
    Empty,
    /// There will be none: as many were taken as were promised, or nobody is left who puts.
    Over,
    /// Nobody is left who puts, and so many messages that were promised never came.
    Missing(u64),
    /// The process with the node's server has died.
    Lost,
}

impl From<Stop> for NoRoom {
    fn from(_: Stop) -> Self {
        NoRoom::Full
    }
}

impl From<Stop> for NoMessage {
    fn from(_: Stop) -> Self {
        NoMessage::Empty
    }
}

impl<M: QueueMemory> Queue<M> {
    pub(in crate::channel) fn my_state(&self) -> &RankState {
        self.memory.rank_state(self.memory.me())
    }

    /// Reserves up to `most` slots in a row to put messages into, at least one; does not wait.
    #[inline]
    pub(crate) fn try_put(&self, most: usize) -> Result<Putting<'_, M>, NoRoom> {
        let words = self.memory.words();
        if words.account.0.deserted.load(Ordering::Relaxed) != 0 {
            return Err(NoRoom::Deserted);
        }
        let tail = &words.tail.0;
        loop {
            let first = Position(tail.load(Ordering::Relaxed));
            // A slot that is free for a position stays so until the tail has passed it, so these are still free if the
            // exchange finds the tail where it was.
            let (count, end) = self.count_in_a_row(first, most, Holds::Nothing);
            if count == 0 {
                if tail.load(Ordering::Relaxed) != first.0 {
                    continue;
                }
                return Err(NoRoom::Full);
            }
            let reserve = &self.my_state().putting;
            reserve.announce(first, count);
            // Release: who sees the new tail sees what was announced.
            if tail
                .compare_exchange(first.0, end.0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return Ok(Putting::new(self, first, count));
            }
            reserve.withdraw();
        }
    }

    /// Reserves up to `most` messages in a row to take, at least one; does not wait.
    #[inline]
    pub(crate) fn try_take(&self, most: usize) -> Option<Taking<'_, M>> {
        let head = &self.memory.words().head.0;
        loop {
            let first = Position(head.load(Ordering::Relaxed));
            // As with free slots: a message stays until the head has passed it.
            let (count, end) = self.count_in_a_row(first, most, Holds::Message);
            if count == 0 {
                if self.pass_void(first) || head.load(Ordering::Relaxed) != first.0 {
                    continue;
                }
                return None;
            }
            let reserve = &self.my_state().taking;
            reserve.announce(first, count);
            if head
                .compare_exchange(first.0, end.0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                // After the announcement and before it is withdrawn, so that `end` finds one or the other.
                self.stop_waiting();
                return Some(Taking::new(self, first, count));
            }
            reserve.withdraw();
        }
    }

    /// How many slots in a row, `most` of them, hold that; and the position behind them.
    #[inline]
    fn count_in_a_row(&self, first: Position, most: usize, holds: Holds) -> (usize, Position) {
        let shape = self.memory.shape();
        let (mut count, mut position) = (0, first);
        while count < most && self.is(position, holds) {
            count += 1;
            position = shape.next(position);
        }
        (count, position)
    }

    /// Whether the slot of that position holds that.
    #[inline]
    pub(in crate::channel) fn is(&self, position: Position, holds: Holds) -> bool {
        let shape = self.memory.shape();
        let stamp = self.memory.stamp(shape.index(position));
        // Acquire: what was done to the slot by who had it before is done.
        stamp.load(Ordering::Acquire) == shape.stamp(position, holds)
    }

    /// Passes the slot at `first`, where the head is, if it never had a message; whether it did.
    #[inline]
    fn pass_void(&self, first: Position) -> bool {
        if !self.is(first, Holds::Void) {
            return false;
        }
        let words = self.memory.words();
        let shape = self.memory.shape();
        // Counted before it is passed, so that no more messages seem to have been taken than were; back if another rank
        // passes it.
        let voids = &words.account.0.voids;
        voids.fetch_add(1, Ordering::SeqCst);
        let next = shape.next(first);
        match words
            .head
            .0
            .compare_exchange(first.0, next.0, Ordering::AcqRel, Ordering::Relaxed)
        {
            Ok(_) => self.free(first),
            Err(_) => {
                voids.fetch_sub(1, Ordering::SeqCst);
            }
        }
        true
    }

    /// Makes the slot free for the next lap; only by who has taken it.
    #[inline]
    fn free(&self, position: Position) {
        let shape = self.memory.shape();
        let stamp = self.memory.stamp(shape.index(position));
        // Release: the message was read.
        stamp.store(shape.stamp_after(position), Ordering::Release);
    }

    /// [`Self::try_put`] that waits for room. What is put is taken from `takes`, which is this
    /// queue on one node.
    #[inline]
    pub(crate) fn put(
        &self,
        most: usize,
        deadline: impl FnOnce() -> Deadline,
        takes: &Self,
    ) -> Result<Putting<'_, M>, NoRoom> {
        match self.try_put(most) {
            Err(NoRoom::Full) => self.wait_for_room(most, deadline(), takes),
            done => done,
        }
    }

    fn wait_for_room(
        &self,
        most: usize,
        deadline: Deadline,
        takes: &Self,
    ) -> Result<Putting<'_, M>, NoRoom> {
        let waiting = self.wait_as_call(self.begin_waiting(false));
        let mut inspector = self.inspector();
        let is_patient = matches!(deadline, Deadline::Never);
        let waited = wait(
            &self.memory,
            self.memory.words().room.0.event(),
            deadline,
            || match self.try_put(most) {
                Err(NoRoom::Full) => None,
                done => Some(done),
            },
            || {
                inspector.inspect()?;
                // In this order: before they closed their consumers the others may have made room.
                if is_patient && takes.others_take_nothing() {
                    return match self.check_room() {
                        Err(NoRoom::Full) => Err(NoRoom::OnlyConsumer),
                        _ => Ok(()),
                    };
                }
                Ok(())
            },
        );
        drop(waiting);
        match (waited, self.memory.relay()) {
            // The coordinator may have room that the others made.
            (Err(NoRoom::OnlyConsumer), Some(relay)) => {
                self.ask_for_room(relay, most).map_err(|why| match why {
                    NoRoom::Full => NoRoom::OnlyConsumer,
                    other => other,
                })
            }
            (waited, _) => waited?,
        }
    }

    /// Whether a message could be put at this moment.
    pub(crate) fn check_room(&self) -> Result<(), NoRoom> {
        let words = self.memory.words();
        if words.account.0.deserted.load(Ordering::Relaxed) != 0 {
            return Err(NoRoom::Deserted);
        }
        let tail = &words.tail.0;
        loop {
            let first = tail.load(Ordering::Relaxed);
            if self.is(Position(first), Holds::Nothing) {
                return Ok(());
            }
            if tail.load(Ordering::Relaxed) == first {
                return Err(NoRoom::Full);
            }
        }
    }

    /// [`Self::try_take`] that waits for a message.
    ///
    /// While a rank waits without a deadline the others may count on it that it puts nothing.
    #[inline]
    pub(crate) fn take(
        &self,
        most: usize,
        deadline: impl FnOnce() -> Deadline,
    ) -> Result<Taking<'_, M>, NoMessage> {
        for _ in 0..SPINS {
            if let Some(taking) = self.try_take(most) {
                return Ok(taking);
            }
            std::hint::spin_loop();
        }
        self.wait_for_message(most, deadline())
    }

    /// [`Self::try_take`] for a rank that waits by asking again and again, and may put in between;
    /// with what [`Self::begin_waiting`] gave when it asked first.
    pub(crate) fn take_since(
        &self,
        most: usize,
        wait_began: Generation,
    ) -> Result<Taking<'_, M>, NoMessage> {
        if let Some(taking) = self.try_take(most) {
            return Ok(taking);
        }
        let Some(end) = self.end_of_wait(wait_began) else {
            return Err(NoMessage::Empty);
        };
        // The others are at the end too.
        self.ring_news();
        Err(end)
    }

    fn wait_for_message(
        &self,
        most: usize,
        deadline: Deadline,
    ) -> Result<Taking<'_, M>, NoMessage> {
        let mut inspector = self.inspector();
        let wait_began = self.begin_waiting(matches!(deadline, Deadline::Never));
        let _waiting = self.wait_as_call(wait_began);
        let result = wait(
            &self.memory,
            self.memory.words().news.0.event(),
            deadline,
            || match self.try_take(most) {
                Some(taking) => Some(Ok(taking)),
                None => self.end_of_wait(wait_began).map(Err),
            },
            || Ok::<(), NoMessage>(inspector.inspect()?),
        );
        self.stop_waiting();
        if let Ok(Err(_)) = result {
            // The others are at the end too.
            self.ring_news();
        }
        result?
    }

    /// Wakes those who wait for a message.
    #[inline]
    pub(in crate::channel) fn ring_news(&self) {
        ring(&self.memory.words().news.0);
        self.memory.call_server(false);
    }

    /// Wakes those who wait for room.
    #[inline]
    pub(in crate::channel) fn ring_room(&self) {
        ring(&self.memory.words().room.0);
        self.memory.call_server(false);
    }

    /// How many messages are in the slots of this queue, full or being filled; a moment ago.
    pub(in crate::channel) fn len_here(&self) -> u64 {
        let words = self.memory.words();
        let shape = self.memory.shape();
        loop {
            let tail = words.tail.0.load(Ordering::SeqCst);
            let head = words.head.0.load(Ordering::SeqCst);
            if words.tail.0.load(Ordering::SeqCst) == tail {
                return shape.distance(Position(head), Position(tail));
            }
        }
    }
}

/// Wakes all who sleep on the futex word; after the stamps.
///
/// There is no barrier in between, which would cost as much as all the rest. So a rank that is
/// going to sleep just now may miss both, the stamp and the futex word; it wakes after a sleep of a
/// millisecond at most.
#[inline]
fn ring(futex_word: &FutexWord) {
    compiler_fence(Ordering::SeqCst);
    futex_word.event().notify(ALL);
}
