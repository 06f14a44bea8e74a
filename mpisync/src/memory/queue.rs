//! The memory of one channel: the queue's words, and slots with room for a message each.

use super::atomic::AtomicU64;
use super::domain::Domain;
use super::mapping::{ALIGN, Mapping, Shareable};
use super::words::lock::Line;
use super::words::queue::{Party, QueueWords, Shape};
use super::{QueueMemory, Surroundings};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for QueueWords {}
// SAFETY: as above.
unsafe impl Shareable for Line<Party> {}

const PARTIES_AT: usize = size_of::<QueueWords>();

/// Where things lie in the memory of a channel of `T`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    shape: Shape,
    seats: usize,
    stride: usize,
    length: usize,
}

impl Layout {
    /// The layout for that many slots and seats; none where it does not fit into the address space.
    pub(crate) fn of<T>(capacity: usize, seats: usize) -> Option<Self> {
        const {
            assert!(size_of::<T>() > 0, "a message without bytes cannot be sent");
            assert!(align_of::<T>() <= ALIGN, "a type of a common alignment");
        }
        let stride = Self::stride::<T>();
        let shape = u64::try_from(capacity).ok()?;
        if !(1..=Shape::MOST).contains(&shape) {
            return None;
        }
        let slots = capacity.checked_mul(stride)?;
        let length = slots.checked_add(Self::slots_at(seats))?;
        isize::try_from(length).ok()?;
        Some(Layout {
            shape: Shape::new(shape),
            seats,
            stride,
            length,
        })
    }

    /// From slot to slot. Small slots share a cache line, which then travels once for all of them; large ones have lines of
    /// their own.
    fn stride<T>() -> usize {
        const LINE: usize = 64;
        let bytes = Self::message_at::<T>() + size_of::<T>();
        match bytes {
            ..=LINE => bytes.next_power_of_two(),
            _ => bytes.next_multiple_of(LINE.max(align_of::<T>())),
        }
    }

    /// Where in its slot the message lies, behind the stamp.
    const fn message_at<T>() -> usize {
        let (stamp, message) = (size_of::<AtomicU64>(), align_of::<T>());
        if stamp > message { stamp } else { message }
    }

    fn slots_at(seats: usize) -> usize {
        PARTIES_AT + seats * size_of::<Line<Party>>()
    }

    /// How many bytes it takes.
    pub(crate) fn length(self) -> usize {
        self.length
    }
}

/// The memory of a channel of `T`, as this rank sees it.
pub(crate) struct Slots<T> {
    words: NonNull<QueueWords>,
    parties: NonNull<Line<Party>>,
    slots: NonNull<u8>,
    layout: Layout,
    me: usize,
    domain: Arc<Domain>,
    _mapping: Mapping,
    messages: PhantomData<T>,
}

impl<T> Slots<T> {
    /// This rank's view of `mapping`, which is zero at first and has the length of the layout.
    pub(crate) fn new(domain: Arc<Domain>, layout: Layout, mapping: Mapping) -> Self {
        let parties: &[Line<Party>] = mapping.slice(PARTIES_AT, layout.seats);
        let words = layout.length - Layout::slots_at(layout.seats);
        let slots: &[AtomicU64] =
            mapping.slice(Layout::slots_at(layout.seats), words / size_of::<u64>());
        Slots {
            words: NonNull::from(mapping.get(0)),
            parties: NonNull::from(parties).cast(),
            slots: NonNull::from(slots).cast(),
            layout,
            me: domain.segment().me(),
            domain,
            _mapping: mapping,
            messages: PhantomData,
        }
    }

    /// Where the message of the slot of this index lies. Aligned, and with a `T`'s bytes, which are zero at first.
    #[inline]
    pub(crate) fn message(&self, index: usize) -> NonNull<T> {
        // SAFETY: the slot lies inside the mapping, and the message inside the slot.
        unsafe { self.slot(index).add(Layout::message_at::<T>()).cast() }
    }

    #[inline]
    fn slot(&self, index: usize) -> NonNull<u8> {
        debug_assert!((index as u64) < self.layout.shape.capacity());
        // SAFETY: there are `capacity` slots of `stride` bytes from here on, and indices are those of positions, which
        // are smaller.
        unsafe { self.slots.add(index * self.layout.stride) }
    }

    pub(crate) fn domain(&self) -> &Domain {
        &self.domain
    }
}

impl<T> Surroundings for Slots<T> {
    fn progress(&self) {
        self.domain.progress();
    }

    fn is_alive(&self, rank: usize) -> bool {
        self.domain.is_alive(rank)
    }
}

impl<T> QueueMemory for Slots<T> {
    #[inline]
    fn words(&self) -> &QueueWords {
        // SAFETY: taken from a reference into the mapping, which `self` keeps.
        unsafe { self.words.as_ref() }
    }

    #[inline]
    fn party(&self, rank: usize) -> &Party {
        assert!(rank < self.layout.seats, "a seat of this node");
        // SAFETY: taken from a slice of `seats` values in the mapping, which `self` keeps.
        unsafe { &self.parties.add(rank).as_ref().0 }
    }

    #[inline]
    fn shape(&self) -> Shape {
        self.layout.shape
    }

    #[inline]
    fn stamp(&self, index: usize) -> &AtomicU64 {
        // SAFETY: a slot begins with its stamp, which is aligned because slots are, and is changed as an atomic only.
        unsafe { self.slot(index).cast().as_ref() }
    }

    #[inline]
    fn ranks(&self) -> usize {
        self.layout.seats
    }

    #[inline]
    fn me(&self) -> usize {
        self.me
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_slots_share_a_line_and_large_ones_do_not() {
        assert_eq!(Layout::stride::<u8>(), 16);
        assert_eq!(Layout::stride::<[u64; 2]>(), 32);
        assert_eq!(Layout::stride::<[u8; 56]>(), 64);
        assert_eq!(Layout::stride::<[u8; 57]>(), 128);
        assert_eq!(Layout::stride::<u128>(), 32);
    }

    #[test]
    fn what_does_not_fit_has_no_layout() {
        assert!(Layout::of::<u64>(0, 1).is_none());
        assert!(Layout::of::<u64>(usize::MAX, 1).is_none());
        assert!(Layout::of::<u64>(usize::MAX / 64, 1).is_none());
        assert!(Layout::of::<[u8; 1 << 20]>(1 << 40, 1).is_some());
        assert!(Layout::of::<[u8; 1 << 20]>(1 << 44, 1).is_none());
        assert!(Layout::of::<u64>(1, 1).is_some());
    }
}
