//! The queue of a channel: slots in shared memory. Any rank puts messages into them, and any rank
//! takes messages from them.
//!
//! Each slot has a stamp that says for which lap it is free or full, so a rank that puts and a rank
//! that takes meet at the slot only (Dmitry Vyukov, "Bounded MPMC queue", 2010; laps for any
//! capacity as in crossbeam's `ArrayQueue`). One compare-and-swap reserves one slot or several
//! consecutive slots. Two things are added here:
//!
//! - A rank announces slots in words of its own before it reserves them. If it dies, the other
//!   ranks find its unfinished slots: a slot whose message was not completely put becomes void and
//!   is skipped, and a message that was being taken is lost with the rank that took it.
//! - The queue knows which ranks still put and take, and which ones wait, so it knows the end of
//!   the stream.
//!
//! A channel that spans nodes has two such queues on each node, and the nodes' servers carry
//! messages between them; see [`relay`] for the ranks' part, and
//! [`remote`](crate::channel::remote) for the servers' part.

pub(crate) mod layout;
pub(crate) mod memory;
mod recovery;
pub(crate) mod relay;
mod reservation;
pub(crate) mod termination;
#[cfg(test)]
mod tests;

use crate::channel::error::ChannelError;
use crate::channel::ring::layout::{Position, RankState, SlotState};
use crate::channel::ring::memory::QueueMemory;
pub(crate) use crate::channel::ring::recovery::Inspector;
use crate::channel::ring::relay::Lost;
pub(crate) use crate::channel::ring::relay::Waiting;
pub(crate) use crate::channel::ring::reservation::{Putting, Taking};
pub(crate) use crate::channel::ring::termination::Generation;
use crate::shm::atomic::Ordering;
use crate::shm::domain::Urgency;
use crate::shm::event::{ALL, FutexWord};
use crate::shm::wait::{Deadline, Stop, wait};
use crate::shm::waiting::deadlock_report;
use std::sync::atomic::compiler_fence;

/// How often a rank looks for a message before it announces that it waits: a microsecond or two.
const SPINS: u32 = if cfg!(loom) { 1 } else { 40 };

/// A queue, as one of its ranks sees it.
pub(crate) struct Queue<M> {
    pub(crate) memory: M,
}

/// The reason why there is no room for a message. Smaller than [`ChannelError`], so that a reserved
/// slot is returned in registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoRoom {
    /// The queue is full, or stayed full until the deadline.
    Full,
    /// No rank is left that takes.
    Closed,
    /// The queue is full, and only this rank still takes.
    OnlyConsumer,
    /// A host is lost.
    Lost(Lost),
    /// The wait was a part of a deadlock.
    Deadlock,
    /// The program has ended the wait.
    Interrupted,
}

/// The reason why there is no message to take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoMessage {
    /// The queue is empty, or was empty until the deadline.
    Empty,
    /// The stream has ended: all promised messages were taken, or no rank is left that puts.
    Over,
    /// No rank is left that puts, and this many promised messages never came.
    Missing(u64),
    /// A host is lost.
    Lost(Lost),
    /// The wait was a part of a deadlock.
    Deadlock,
    /// The program has ended the wait.
    Interrupted,
}

impl NoMessage {
    /// `None` in place of the error at the end of the stream.
    #[inline]
    pub(in crate::channel) fn none_at_end<R>(
        taken: Result<R, NoMessage>,
    ) -> Result<Option<R>, ChannelError> {
        match taken {
            Ok(taken) => Ok(Some(taken)),
            Err(NoMessage::Over) => Ok(None),
            Err(NoMessage::Empty) => Err(ChannelError::Empty),
            Err(NoMessage::Missing(messages)) => Err(ChannelError::Missing { messages }),
            Err(NoMessage::Lost(lost)) => Err(lost.into()),
            Err(NoMessage::Deadlock) => Err(deadlock_error()),
            Err(NoMessage::Interrupted) => Err(ChannelError::Interrupted),
        }
    }
}

#[cold]
fn deadlock_error() -> ChannelError {
    ChannelError::Deadlock {
        report: deadlock_report(),
    }
}

impl From<NoRoom> for ChannelError {
    fn from(reason: NoRoom) -> Self {
        match reason {
            NoRoom::Full => ChannelError::Full,
            NoRoom::Closed => ChannelError::Closed,
            NoRoom::OnlyConsumer => ChannelError::OnlyConsumer,
            NoRoom::Lost(lost) => lost.into(),
            NoRoom::Deadlock => deadlock_error(),
            NoRoom::Interrupted => ChannelError::Interrupted,
        }
    }
}

impl From<Stop> for NoRoom {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::HostLost(loss) => Lost(loss).into(),
            Stop::Deadlock => NoRoom::Deadlock,
            Stop::Interrupted => NoRoom::Interrupted,
            _ => NoRoom::Full,
        }
    }
}

impl From<Stop> for NoMessage {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::HostLost(loss) => Lost(loss).into(),
            Stop::Deadlock => NoMessage::Deadlock,
            Stop::Interrupted => NoMessage::Interrupted,
            _ => NoMessage::Empty,
        }
    }
}

impl<M: QueueMemory> Queue<M> {
    pub(in crate::channel) fn my_state(&self) -> &RankState {
        self.memory.rank_state(self.memory.me())
    }

    /// Reserves up to `most` consecutive slots to put messages into, at least one. Does not wait.
    #[inline]
    pub(crate) fn try_put(&self, most: usize) -> Result<Putting<'_, M>, NoRoom> {
        let words = self.memory.words();
        if words.account.0.closed.load(Ordering::Relaxed) != 0 {
            return Err(NoRoom::Closed);
        }
        let tail = &words.tail.0;
        loop {
            let first = Position(tail.load(Ordering::Relaxed));
            // A slot that is free for a position stays free until the tail has passed it. So these
            // are still free if the compare-and-swap finds the tail unchanged.
            let (count, end) = self.count_consecutive(first, most, SlotState::Free);
            if count == 0 {
                if tail.load(Ordering::Relaxed) != first.0 {
                    continue;
                }
                return Err(NoRoom::Full);
            }
            let announcement = &self.my_state().putting;
            announcement.announce(first, count);
            // Release: a rank that sees the new tail sees the announcement.
            if tail
                .compare_exchange(first.0, end.0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                return Ok(Putting::new(self, first, count));
            }
            announcement.withdraw();
        }
    }

    /// Reserves up to `most` consecutive messages to take, at least one. Does not wait.
    #[inline]
    pub(crate) fn try_take(&self, most: usize) -> Option<Taking<'_, M>> {
        let head = &self.memory.words().head.0;
        loop {
            let first = Position(head.load(Ordering::Relaxed));
            // As with free slots: a message stays until the head has passed it.
            let (count, end) = self.count_consecutive(first, most, SlotState::Full);
            if count == 0 {
                if self.skip_void(first) || head.load(Ordering::Relaxed) != first.0 {
                    continue;
                }
                return None;
            }
            let announcement = &self.my_state().taking;
            announcement.announce(first, count);
            if head
                .compare_exchange(first.0, end.0, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
            {
                // Stored after the announcement and before its withdrawal, so that `end` sees one
                // or the other.
                self.stop_waiting();
                return Some(Taking::new(self, first, count));
            }
            announcement.withdraw();
        }
    }

    /// The number of consecutive slots in that state, up to `most`, and the position behind them.
    #[inline]
    fn count_consecutive(
        &self,
        first: Position,
        most: usize,
        state: SlotState,
    ) -> (usize, Position) {
        let shape = self.memory.shape();
        let (mut count, mut position) = (0, first);
        while count < most && self.is(position, state) {
            count += 1;
            position = shape.next(position);
        }
        (count, position)
    }

    /// Whether the slot of that position is in that state.
    #[inline]
    pub(in crate::channel) fn is(&self, position: Position, state: SlotState) -> bool {
        let shape = self.memory.shape();
        let stamp = self.memory.stamp(shape.index(position));
        // Acquire: the accesses of the slot's previous owner have happened.
        stamp.load(Ordering::Acquire) == shape.stamp(position, state)
    }

    /// If the slot at `first`, the head, is void, moves the head past it. Returns whether it was
    /// void.
    #[inline]
    fn skip_void(&self, first: Position) -> bool {
        if !self.is(first, SlotState::Void) {
            return false;
        }
        let words = self.memory.words();
        let shape = self.memory.shape();
        // Counted before it is skipped, so that the number of taken messages never appears too
        // large; undone if another rank skips it.
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

    /// Makes the slot free for the next lap. Only for the rank that has taken its message.
    #[inline]
    fn free(&self, position: Position) {
        let shape = self.memory.shape();
        let stamp = self.memory.stamp(shape.index(position));
        // Release: the message was read.
        stamp.store(shape.stamp_after(position), Ordering::Release);
    }

    /// [`Self::try_put`], but waits for room. The messages are taken from the queue `takes`; on one
    /// node that is this queue.
    #[inline]
    pub(crate) fn put<'d>(
        &self,
        most: usize,
        deadline: impl FnOnce() -> Deadline<'d>,
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
        deadline: Deadline<'_>,
        takes: &Self,
    ) -> Result<Putting<'_, M>, NoRoom> {
        let waiting = self.wait_as_call(self.begin_waiting(false));
        let mut inspector = self.inspector();
        let is_patient = deadline.is_never();
        let waited = wait(
            &self.memory,
            self.memory.words().not_full.0.event(),
            deadline,
            || match self.try_put(most) {
                Err(NoRoom::Full) => None,
                done => Some(done),
            },
            || {
                inspector.inspect()?;
                // Room is checked last: other ranks may have made room before they closed their
                // consumers.
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
            // The coordinator may have room that other nodes made.
            (Err(NoRoom::OnlyConsumer), Some(relay)) => {
                self.ask_for_room(relay, most).map_err(|error| match error {
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
        if words.account.0.closed.load(Ordering::Relaxed) != 0 {
            return Err(NoRoom::Closed);
        }
        let tail = &words.tail.0;
        loop {
            let first = tail.load(Ordering::Relaxed);
            if self.is(Position(first), SlotState::Free) {
                return Ok(());
            }
            if tail.load(Ordering::Relaxed) == first {
                return Err(NoRoom::Full);
            }
        }
    }

    /// [`Self::try_take`], but waits for a message.
    ///
    /// A rank that waits without a deadline puts nothing until it has a message; the other ranks
    /// rely on that.
    #[inline]
    pub(crate) fn take<'d>(
        &self,
        most: usize,
        deadline: impl FnOnce() -> Deadline<'d>,
    ) -> Result<Taking<'_, M>, NoMessage> {
        // The server may be about to send what this rank has put, and sends it at once for a rank
        // that waits.
        let spins = if self.memory.relay().is_none() {
            SPINS
        } else {
            1
        };
        for _ in 0..spins {
            if let Some(taking) = self.try_take(most) {
                return Ok(taking);
            }
            std::hint::spin_loop();
        }
        self.wait_for_message(most, deadline())
    }

    /// [`Self::try_take`] for a rank that waits by repeated calls and may put in between.
    /// `wait_began` is the result of [`Self::begin_waiting`] before the first call.
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
        // The stream has ended for the other ranks too.
        self.notify_not_empty();
        Err(end)
    }

    fn wait_for_message(
        &self,
        most: usize,
        deadline: Deadline<'_>,
    ) -> Result<Taking<'_, M>, NoMessage> {
        let mut inspector = self.inspector();
        let wait_began = self.begin_waiting(deadline.is_never());
        let _waiting = self.wait_as_call(wait_began);
        let result = wait(
            &self.memory,
            self.memory.words().not_empty.0.event(),
            deadline,
            || match self.try_take(most) {
                Some(taking) => Some(Ok(taking)),
                None => self.end_of_wait(wait_began).map(Err),
            },
            || Ok::<(), NoMessage>(inspector.inspect()?),
        );
        self.stop_waiting();
        if let Ok(Err(_)) = result {
            // The stream has ended for the other ranks too.
            self.notify_not_empty();
        }
        result?
    }

    /// Wakes the ranks that wait for a message.
    #[inline]
    pub(in crate::channel) fn notify_not_empty(&self) {
        notify(&self.memory.words().not_empty.0);
        self.memory.call_server(Urgency::Soon);
    }

    /// Wakes the ranks that wait for room.
    #[inline]
    pub(in crate::channel) fn notify_not_full(&self) {
        notify(&self.memory.words().not_full.0);
        self.memory.call_server(Urgency::Soon);
    }

    /// The number of messages in this queue, including those that are being put; may be outdated.
    pub(in crate::channel) fn local_len(&self) -> u64 {
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

/// Wakes all ranks that sleep on the futex word. Called after the stamps are stored.
///
/// There is no memory barrier in between, because it would cost as much as the rest of the call. So
/// a rank that is about to sleep may miss both the stamp and the wake-up; its sleep ends after a
/// millisecond at most.
#[inline]
fn notify(futex_word: &FutexWord) {
    compiler_fence(Ordering::SeqCst);
    futex_word.event().notify(ALL);
}
