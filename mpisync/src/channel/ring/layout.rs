//! The words of a queue: what they mean and who may store them.

use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::event::FutexWord;
use crate::shm::line::Line;

/// The words that all ranks share. All zero is the first state: an empty queue.
#[repr(C)]
pub(crate) struct QueueWords {
    /// The [`Position`] of the next message that is put. Compare-and-swap by who puts.
    pub(crate) tail: Line<AtomicU64>,
    /// The [`Position`] of the next message that is taken. Compare-and-swap by who takes.
    pub(crate) head: Line<AtomicU64>,
    /// Where those sleep who wait for a message.
    pub(crate) news: Line<FutexWord>,
    /// Where those sleep who wait for room.
    pub(crate) room: Line<FutexWord>,
    pub(crate) account: Line<Account>,
}

/// What is seldom stored.
#[repr(C)]
pub(crate) struct Account {
    /// How many messages were promised.
    pub(crate) claimed: AtomicU64,
    /// How many slots were passed over because they held no message.
    pub(crate) voids: AtomicU64,
    /// The position of the first message.
    pub(crate) start: AtomicU64,
    /// How often all who could have put waited for messages, in units of [`ONE_END`], and the bit
    /// [`FELL_SHORT`].
    pub(crate) endings: AtomicU32,
    /// Nonzero once nobody is left who could take.
    pub(crate) deserted: AtomicU32,
}

/// What the ranks of a node and its server say to each other, where the server carries messages
/// between nodes. All zero is the first state.
#[repr(C, align(128))]
pub(crate) struct Relay {
    /// Nonzero when the server has something to look at. Stored by ranks, taken away by the server.
    pub(crate) called: AtomicU32,
    /// How many questions the ranks have asked the coordinator, and up to which they are answered.
    pub(crate) asked: AtomicU64,
    pub(crate) answered: AtomicU64,
    /// How many messages there were at the last answer.
    pub(crate) len: AtomicU64,
    /// How many messages the ranks of this node have promised.
    pub(crate) claimed: AtomicU64,
    /// How many messages were missing at the last end.
    pub(crate) missing: AtomicU64,
    /// Nonzero once no rank of another node takes any more.
    pub(crate) is_alone: AtomicU32,
}

/// The words of one rank. Stored by that rank only, but `ends`.
#[repr(C)]
pub(crate) struct RankState {
    /// Where the slots begin that it has reserved, or is about to reserve, to put into them, and
    /// how many they are.
    pub(crate) putting: Reserve,
    /// The same for those it takes from.
    pub(crate) taking: Reserve,
    /// Bits: [`NO_PRODUCER`], [`NO_CONSUMER`]. Also set for a rank that has died.
    pub(crate) ends: AtomicU32,
    /// While this rank waits for a message, and until it has one puts nothing: what
    /// [`Account::endings`] was when it began, and the bit [`WAITING`].
    pub(crate) waits: AtomicU32,
    /// Where a server has to know that a call of this rank waits for something in this queue: what
    /// [`Account::endings`] was when it began, and the bit [`WAITING`].
    pub(crate) call: AtomicU32,
    /// The number of the question whose answer that call waits for; 0 if none, and [`NO_NUMBER`]
    /// until it has one.
    pub(crate) question: AtomicU64,
    /// The same for futures: `endings` when the last one began, and below it how many have since
    /// begun that wait.
    pub(crate) futures: AtomicU64,
}

/// A question that has no number yet.
pub(crate) const NO_NUMBER: u64 = u64::MAX;

/// This rank puts nothing any more.
pub(crate) const NO_PRODUCER: u32 = 1;
/// This rank takes nothing any more.
pub(crate) const NO_CONSUMER: u32 = 1 << 1;
/// The bit that [`Account::endings`] leaves free.
pub(crate) const WAITING: u32 = 1;
/// At the last end messages were missing that had been promised.
pub(crate) const FELL_SHORT: u32 = 1 << 1;
/// One more end.
pub(crate) const ONE_END: u32 = 1 << 2;

/// Slots in a row.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Reserve {
    first: AtomicU64,
    count: AtomicU64,
}

impl Reserve {
    /// Announces slots, before they are reserved.
    #[inline]
    pub(crate) fn announce(&self, first: Position, count: usize) {
        // Release, as below: who sees these words also sees what this rank did to the slots that it had before.
        self.first.store(first.0, Ordering::Release);
        self.count.store(count as u64, Ordering::Release);
    }

    /// The slots are somebody else's again.
    #[inline]
    pub(crate) fn withdraw(&self) {
        self.count.store(0, Ordering::Release);
    }

    /// Whether none are announced.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Whether the slot at `position` is among them.
    pub(crate) fn covers(&self, position: Position, shape: Shape) -> bool {
        let count = self.count.load(Ordering::Acquire);
        let first = Position(self.first.load(Ordering::Acquire));
        shape.distance(first, position) < count
    }
}

/// A message's place among all that are ever put: the lap around the slots, and below it the slot's
/// index. The two lowest bits are zero. It wraps around: what counts is how far apart two positions
/// are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position(pub(crate) u64);

/// What the two lowest bits are for, in the stamp of a slot: the lap of a position, and in these
/// bits what the slot holds.
const STATE_BITS: u32 = 2;

/// What a slot's stamp says of the position whose lap it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Holds {
    /// Nothing yet.
    Nothing = 0,
    /// The message.
    Message = 1,
    /// Never a message: who was to put it gave up, or died.
    Void = 2,
}

/// How many slots there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    capacity: u64,
    /// One lap, as a difference of positions: the next power of two, so that laps wrap around where
    /// the word does.
    lap: u64,
}

impl Shape {
    /// Slots for that many messages, at least one.
    pub(crate) fn new(capacity: u64) -> Self {
        debug_assert!((1..=Self::MOST).contains(&capacity));
        Shape {
            capacity,
            lap: capacity.next_power_of_two() << STATE_BITS,
        }
    }

    /// The most slots that there can be.
    pub(crate) const MOST: u64 = 1 << 48;

    pub(crate) fn capacity(self) -> u64 {
        self.capacity
    }

    #[inline]
    pub(crate) fn index(self, position: Position) -> usize {
        ((position.0 & (self.lap - 1)) >> STATE_BITS) as usize
    }

    #[inline]
    pub(crate) fn next(self, position: Position) -> Position {
        self.after(position, 1)
    }

    /// The position `count` messages later, not more than there are slots.
    #[inline]
    pub(crate) fn after(self, position: Position, count: u64) -> Position {
        let index = self.index(position) as u64 + count;
        if index < self.capacity {
            Position(position.0.wrapping_add(count << STATE_BITS))
        } else {
            let next = self.stamp(position, Holds::Nothing).wrapping_add(self.lap);
            Position(next + ((index - self.capacity) << STATE_BITS))
        }
    }

    /// The first position of a lap, so many laps before the word wraps around.
    #[cfg(any(loom, test))]
    pub(crate) fn laps_before_the_end(self, laps: u64) -> Position {
        Position(0_u64.wrapping_sub(laps * self.lap))
    }

    /// The position in the lap before.
    pub(crate) fn one_lap_before(self, position: Position) -> Position {
        Position(position.0.wrapping_sub(self.lap))
    }

    /// How many messages lie between two positions.
    pub(crate) fn distance(self, from: Position, to: Position) -> u64 {
        let base = |position| self.stamp(position, Holds::Nothing);
        let laps = base(to).wrapping_sub(base(from)) as i64 / self.lap as i64;
        (laps as u64)
            .wrapping_mul(self.capacity)
            .wrapping_add(self.index(to) as u64)
            .wrapping_sub(self.index(from) as u64)
    }

    /// The stamp of the slot of that position when it holds that.
    #[inline]
    pub(crate) fn stamp(self, position: Position, holds: Holds) -> u64 {
        (position.0 & !(self.lap - 1)) | holds as u64
    }

    /// The stamp of the slot of that position once its message was taken.
    #[inline]
    pub(crate) fn stamp_after(self, position: Position) -> u64 {
        self.stamp(position, Holds::Nothing).wrapping_add(self.lap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_wrap_around_with_every_capacity() {
        for capacity in 1..20 {
            let shape = Shape::new(capacity);
            let first = shape.laps_before_the_end(3);
            let mut position = first;
            for count in 0..6 * capacity {
                assert_eq!(shape.index(position) as u64, count % capacity);
                assert_eq!(shape.distance(first, position), count);
                assert_eq!(shape.distance(position, first), 0_u64.wrapping_sub(count));
                for ahead in 0..=capacity {
                    let later = shape.after(position, ahead);
                    assert_eq!(shape.distance(position, later), ahead);
                }
                let taken = shape.stamp_after(position);
                let lap_later = shape.after(position, capacity);
                assert_eq!(taken, shape.stamp(lap_later, Holds::Nothing));
                assert_eq!(shape.one_lap_before(lap_later), position);
                position = shape.next(position);
            }
        }
    }
}
