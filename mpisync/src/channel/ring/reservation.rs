//! Consecutive slots that a rank has reserved.

use crate::channel::ring::Queue;
use crate::channel::ring::layout::{Position, SlotState};
use crate::channel::ring::memory::{QueueMemory, Slots};
use crate::plain::Plain;
use crate::shm::atomic::Ordering;
use std::ptr::NonNull;

/// Slots reserved for messages to put. A slot that is still unfilled on drop becomes void: ranks
/// that take skip it.
#[must_use]
pub(crate) struct Putting<'a, M: QueueMemory>(Reservation<'a, M>);

/// Messages reserved for taking. A message that is still unread on drop is lost.
#[must_use]
pub(crate) struct Taking<'a, M: QueueMemory>(Reservation<'a, M>);

/// The rest of the reserved slots.
struct Reservation<'a, M: QueueMemory> {
    queue: &'a Queue<M>,
    next: Position,
    left: usize,
}

impl<'a, M: QueueMemory> Reservation<'a, M> {
    #[inline]
    fn index(&self) -> Option<usize> {
        let shape = self.queue.memory.shape();
        (self.left > 0).then(|| shape.index(self.next))
    }

    /// Moves to the next slot and returns the position of the one before.
    #[inline]
    fn advance(&mut self) -> Position {
        debug_assert!(self.left > 0, "a slot is left");
        let done = self.next;
        self.left -= 1;
        self.next = self.queue.memory.shape().next(done);
        done
    }
}

impl<T: Plain> Reservation<'_, Slots<T>> {
    /// The memory of the next message; aligned, inside the mapping, and initialized: the bytes of
    /// an older message, or zeros.
    #[inline]
    fn message(&self) -> NonNull<T> {
        let index = self.index().expect("a slot is left");
        self.queue.memory.message(index)
    }
}

impl<T: Plain> Reservation<'_, Slots<[T]>> {
    /// The number of items of the next message, and the items, as many as a message may have; aligned,
    /// inside the mapping, and initialized: the bytes of an older message, or zeros.
    fn items(&self) -> (NonNull<u64>, NonNull<[T]>) {
        let index = self.index().expect("a slot is left");
        self.queue.memory.items(index)
    }
}

impl<'a, M: QueueMemory> Putting<'a, M> {
    #[inline]
    pub(in crate::channel) fn new(queue: &'a Queue<M>, next: Position, left: usize) -> Self {
        Putting(Reservation { queue, next, left })
    }

    /// The number of slots left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.0.left
    }

    /// The index of the next slot to fill.
    #[inline]
    pub(crate) fn index(&self) -> Option<usize> {
        self.0.index()
    }

    /// Publishes the message in the next slot.
    #[inline]
    pub(crate) fn publish(&mut self) {
        self.settle(SlotState::Full);
    }

    #[inline]
    fn settle(&mut self, state: SlotState) {
        let position = self.0.advance();
        let memory = &self.0.queue.memory;
        let shape = memory.shape();
        let stamp = memory.stamp(shape.index(position));
        // Release: the message was written.
        stamp.store(shape.stamp(position, state), Ordering::Release);
    }
}

impl<T: Plain> Putting<'_, Slots<T>> {
    /// Puts a message into the next slot; there must be one.
    #[inline]
    pub(in crate::channel) fn put(&mut self, message: &T) {
        // SAFETY: the slot is reserved for this rank, so no other rank accesses its message until
        // it is published. The pointer leads to a `T` in memory that the channel keeps.
        unsafe { copy(NonNull::from(message), self.0.message()) };
        self.publish();
    }

    /// Puts the message that `fill` writes into the next slot; there must be one.
    pub(in crate::channel) fn put_with<R>(mut self, fill: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the slot is reserved for this rank, so no other rank accesses its message until
        // it is published, and this rank does so only through `self`. The message is aligned, in
        // memory that the channel keeps. It is initialized, with the zeros of new memory or the
        // bytes of an older message, and any bytes are a valid value of a plain type.
        let result = fill(unsafe { self.0.message().as_mut() });
        self.publish();
        result
    }
}

impl<T: Plain> Putting<'_, Slots<[T]>> {
    /// Puts a message into the next slot; there must be one. The message is not too long.
    pub(in crate::channel) fn put(&mut self, message: &[T]) {
        self.fill(message.len(), |items| {
            let (from, to) = (NonNull::from(message), NonNull::from(items));
            // SAFETY: two slices of this length. They do not overlap, because only the rank that
            // reserved a slot has a reference into it.
            unsafe { copy_bytes(from.cast(), to.cast(), size_of_val(message)) };
        });
        self.publish();
    }

    /// Puts the message of `length` items that `fill` writes into the next slot; there must be one.
    pub(in crate::channel) fn put_with<R>(
        mut self,
        length: usize,
        fill: impl FnOnce(&mut [T]) -> R,
    ) -> R {
        let result = self.fill(length, fill);
        self.publish();
        result
    }

    fn fill<R>(&mut self, length: usize, fill: impl FnOnce(&mut [T]) -> R) -> R {
        let (number, mut items) = self.0.items();
        // SAFETY: the slot is reserved for this rank, so no other rank accesses its message until it
        // is published, and this rank does so only through `self`. Number and items are aligned, in
        // memory that the channel keeps. They are initialized, with the zeros of new memory or the
        // bytes of an older message, and any bytes are a valid value of a plain type.
        unsafe {
            number.write(length as u64);
            fill(&mut items.as_mut()[..length])
        }
    }
}

impl<M: QueueMemory> Drop for Putting<'_, M> {
    #[inline]
    fn drop(&mut self) {
        while self.left() > 0 {
            self.settle(SlotState::Void);
        }
        self.0.queue.my_state().putting.withdraw();
        self.0.queue.notify_not_empty();
    }
}

impl<'a, M: QueueMemory> Taking<'a, M> {
    #[inline]
    pub(in crate::channel) fn new(queue: &'a Queue<M>, next: Position, left: usize) -> Self {
        Taking(Reservation { queue, next, left })
    }

    /// The number of messages left.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.0.left
    }

    /// The index of the next message's slot.
    #[inline]
    pub(crate) fn index(&self) -> Option<usize> {
        self.0.index()
    }

    /// Frees the slot of the next message, which has been read.
    #[inline]
    pub(crate) fn free(&mut self) {
        let position = self.0.advance();
        self.0.queue.free(position);
    }
}

impl<T: Plain> Taking<'_, Slots<T>> {
    /// Takes the next message; there must be one.
    #[inline]
    pub(in crate::channel) fn take(&mut self) -> T {
        // SAFETY: the slot belongs to this rank until it is freed. It was published with a `T`, and
        // all bytes of that are initialized.
        let message = unsafe { self.0.message().read() };
        self.free();
        message
    }

    /// Takes the next message by copying it to `message`; there must be one.
    pub(in crate::channel) fn take_into(&mut self, message: &mut T) {
        // SAFETY: as in `take`. The two do not overlap, because only the rank that reserved a slot
        // has a reference into it.
        unsafe { copy(self.0.message(), NonNull::from(message)) };
        self.free();
    }

    /// Takes the next message after `read` has seen it in its slot; there must be one.
    pub(in crate::channel) fn take_with<R>(self, read: impl FnOnce(&T) -> R) -> R {
        // SAFETY: as in `take`; the slot is freed when `self` is dropped, after the reference has
        // ended.
        read(unsafe { self.0.message().as_ref() })
    }
}

impl<T: Plain> Taking<'_, Slots<[T]>> {
    /// Takes the next message; there must be one.
    pub(in crate::channel) fn take(&mut self) -> Vec<T> {
        let message = self.read(<[T]>::to_vec);
        self.free();
        message
    }

    /// Takes the next message by calling `read` with a reference into its slot; there must be one.
    pub(in crate::channel) fn take_with<R>(self, read: impl FnOnce(&[T]) -> R) -> R {
        self.read(read)
    }

    fn read<R>(&self, read: impl FnOnce(&[T]) -> R) -> R {
        let (number, items) = self.0.items();
        // SAFETY: the slot belongs to this rank until it is freed, which `self` does not do before the
        // reference has ended. It was published with a number and items, and all bytes of them are
        // initialized.
        let (number, items) = unsafe { (number.read(), items.as_ref()) };
        let length = usize::try_from(number).unwrap_or(usize::MAX);
        read(&items[..length.min(items.len())])
    }
}

impl<M: QueueMemory> Drop for Taking<'_, M> {
    #[inline]
    fn drop(&mut self) {
        while self.left() > 0 {
            self.free();
        }
        self.0.queue.my_state().taking.withdraw();
        self.0.queue.notify_not_full();
    }
}

/// The most bytes that are copied at once.
const PIECE: usize = 64 << 10;

/// Copies a message into a slot or out of one.
///
/// # Safety
/// As for [`std::ptr::copy_nonoverlapping`] of one `T`.
#[inline]
unsafe fn copy<T: Plain>(from: NonNull<T>, to: NonNull<T>) {
    if size_of::<T>() <= PIECE {
        // SAFETY: the caller's promise.
        return unsafe { to.copy_from_nonoverlapping(from, 1) };
    }
    // SAFETY: the caller's promise, for the bytes of one `T`.
    unsafe { copy_bytes(from.cast(), to.cast(), size_of::<T>()) };
}

/// Copies a message in pieces: a single copy of some hundred KiB or more bypasses the caches, from
/// which the other rank is about to read.
///
/// # Safety
/// As for [`std::ptr::copy_nonoverlapping`] of this number of bytes.
unsafe fn copy_bytes(from: NonNull<u8>, to: NonNull<u8>, bytes: usize) {
    for start in (0..bytes).step_by(PIECE) {
        let length = PIECE.min(bytes - start);
        // SAFETY: the caller's promise, for one piece at a time.
        unsafe {
            to.add(start)
                .copy_from_nonoverlapping(from.add(start), length)
        };
    }
}
