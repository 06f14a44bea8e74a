//! The words of a queue: their meaning, and which ranks may store them.

use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::event::FutexWord;
use crate::shm::line::Line;

/// The words that all ranks share. All zeros are the initial state: an empty queue.
#[repr(C)]
pub(crate) struct QueueWords {
    /// The [`Position`] of the next message to put. Compare-and-swap by ranks that put.
    pub(crate) tail: Line<AtomicU64>,
    /// The [`Position`] of the next message to take. Compare-and-swap by ranks that take.
    pub(crate) head: Line<AtomicU64>,
    /// Ranks that wait for a message sleep here.
    pub(crate) not_empty: Line<FutexWord>,
    /// Ranks that wait for room sleep here.
    pub(crate) not_full: Line<FutexWord>,
    pub(crate) account: Line<Account>,
}

/// The words that are seldom stored.
#[repr(C)]
pub(crate) struct Account {
    /// The number of promised messages.
    pub(crate) claimed: AtomicU64,
    /// The number of void slots that were skipped.
    pub(crate) voids: AtomicU64,
    /// The position of the first message.
    pub(crate) start: AtomicU64,
    /// The number of ends of the stream, in units of [`ONE_END`], and the bit [`FELL_SHORT`]. An
    /// end is a moment in which all ranks that could put wait for messages.
    pub(crate) endings: AtomicU32,
    /// Nonzero once no rank is left that could take.
    pub(crate) closed: AtomicU32,
}

/// The words that the ranks of a node share with its server, which carries messages between nodes.
/// All zeros are the initial state.
#[repr(C, align(128))]
pub(crate) struct Relay {
    /// Nonzero if the server has work. Set by ranks, cleared by the server.
    pub(crate) called: AtomicU32,
    /// The number of questions that the ranks have asked the coordinator, and the last one that is
    /// answered.
    pub(crate) asked: AtomicU64,
    pub(crate) answered: AtomicU64,
    /// The number of messages in the channel at the last answer.
    pub(crate) len: AtomicU64,
    /// The number of messages that the ranks of this node have promised.
    pub(crate) claimed: AtomicU64,
    /// The number of messages that were missing at the last end.
    pub(crate) missing: AtomicU64,
    /// Nonzero once no rank of another node takes messages.
    pub(crate) is_alone: AtomicU32,
}

/// The words of one rank. Only that rank stores them, except `ends`.
#[repr(C)]
pub(crate) struct RankState {
    /// The slots that it has reserved, or is about to reserve, to put into.
    pub(crate) putting: Announcement,
    /// The same for the slots that it takes from.
    pub(crate) taking: Announcement,
    /// Bits: [`NO_PRODUCER`], [`NO_CONSUMER`]. Other ranks set them for a rank that has died.
    pub(crate) ends: AtomicU32,
    /// While this rank waits for a message and puts nothing until it has one: the value of
    /// [`Account::endings`] when it began to wait, and the bit [`WAITING`].
    pub(crate) waits: AtomicU32,
    /// While a call of this rank waits at this queue, for the server if there is one: the value of
    /// [`Account::endings`] when it began to wait, and the bit [`WAITING`].
    pub(crate) call: AtomicU32,
    /// The number of the question whose answer that call waits for; 0 if there is none, and
    /// [`NO_NUMBER`] until the question has its number.
    pub(crate) question: AtomicU64,
    /// The waiting futures, for the server: in the upper half the value of `endings` when the last
    /// one began to wait, in the lower half how many have begun to wait since that end.
    pub(crate) futures: AtomicU64,
}

/// A question that has no number yet.
pub(crate) const NO_NUMBER: u64 = u64::MAX;

/// This rank puts no more messages.
pub(crate) const NO_PRODUCER: u32 = 1;
/// This rank takes no more messages.
pub(crate) const NO_CONSUMER: u32 = 1 << 1;
/// This rank waits. [`Account::endings`] leaves this bit free.
pub(crate) const WAITING: u32 = 1;
/// Promised messages were missing at the last end.
pub(crate) const FELL_SHORT: u32 = 1 << 1;
/// One more end.
pub(crate) const ONE_END: u32 = 1 << 2;

/// Consecutive slots that a rank announces before it reserves them.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Announcement {
    first: AtomicU64,
    count: AtomicU64,
}

impl Announcement {
    /// Announces slots.
    #[inline]
    pub(crate) fn announce(&self, first: Position, count: usize) {
        // Release, as below: a rank that sees these words also sees this rank's accesses of its
        // earlier slots.
        self.first.store(first.0, Ordering::Release);
        self.count.store(count as u64, Ordering::Release);
    }

    /// Withdraws the announcement: this rank is done with the slots.
    #[inline]
    pub(crate) fn withdraw(&self) {
        self.count.store(0, Ordering::Release);
    }

    /// Whether no slots are announced.
    pub(crate) fn is_withdrawn(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }

    /// Whether the slot at `position` is announced.
    pub(crate) fn covers(&self, position: Position, shape: Shape) -> bool {
        let count = self.count.load(Ordering::Acquire);
        let first = Position(self.first.load(Ordering::Acquire));
        shape.distance(first, position) < count
    }
}

/// The sequence number of a message: the lap around the slots, and below it the slot's index. The
/// two lowest bits are zero. Positions wrap around, so only the distance of two positions counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position(pub(crate) u64);

/// The number of low bits of a stamp that have the [`SlotState`]. The bits of the lap are those of
/// a position.
const STATE_BITS: u32 = 2;

/// The state of a slot for the position whose lap is in its stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SlotState {
    /// There is no message yet.
    Free = 0,
    /// There is a message.
    Full = 1,
    /// There will never be a message: the rank that had reserved the slot gave it up, or died.
    Void = 2,
}

/// The number of slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    capacity: u64,
    /// One lap, as a difference of positions: a power of two, so that laps wrap around where the
    /// word does.
    lap: u64,
}

impl Shape {
    /// Slots for `capacity` messages, at least one.
    pub(crate) fn new(capacity: u64) -> Self {
        debug_assert!((1..=Self::MOST).contains(&capacity));
        Shape {
            capacity,
            lap: capacity.next_power_of_two() << STATE_BITS,
        }
    }

    /// The largest number of slots.
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

    /// The position `count` messages later, at most one lap.
    #[inline]
    pub(crate) fn after(self, position: Position, count: u64) -> Position {
        let index = self.index(position) as u64 + count;
        if index < self.capacity {
            Position(position.0.wrapping_add(count << STATE_BITS))
        } else {
            let next = self.stamp(position, SlotState::Free).wrapping_add(self.lap);
            Position(next + ((index - self.capacity) << STATE_BITS))
        }
    }

    /// The position of the same slot in the lap before.
    pub(crate) fn one_lap_before(self, position: Position) -> Position {
        Position(position.0.wrapping_sub(self.lap))
    }

    /// The number of messages between two positions.
    pub(crate) fn distance(self, from: Position, to: Position) -> u64 {
        let base = |position| self.stamp(position, SlotState::Free);
        let laps = base(to).wrapping_sub(base(from)) as i64 / self.lap as i64;
        (laps as u64)
            .wrapping_mul(self.capacity)
            .wrapping_add(self.index(to) as u64)
            .wrapping_sub(self.index(from) as u64)
    }

    /// The stamp of that position's slot in that state.
    #[inline]
    pub(crate) fn stamp(self, position: Position, state: SlotState) -> u64 {
        (position.0 & !(self.lap - 1)) | state as u64
    }

    /// The stamp of that position's slot after its message was taken.
    #[inline]
    pub(crate) fn stamp_after(self, position: Position) -> u64 {
        self.stamp(position, SlotState::Free).wrapping_add(self.lap)
    }
}
