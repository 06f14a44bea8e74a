//! The bytes of a value as a stream, and slices of plain items as their bytes.

use crate::plain::Plain;
use std::slice;

/// The bytes of a shared value.
pub(crate) trait Source {
    /// The number of bytes to come.
    fn length(&self) -> u64;

    /// Fills `buffer` with the next bytes. It is never longer than the bytes to come.
    fn fill(&mut self, buffer: &mut [u8]);
}

/// The receiver of the bytes of a collected value.
pub(crate) trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Source for &[u8] {
    fn length(&self) -> u64 {
        self.len() as u64
    }

    fn fill(&mut self, buffer: &mut [u8]) {
        let (now, later) = self.split_at(buffer.len());
        buffer.copy_from_slice(now);
        *self = later;
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A sink that discards the value.
pub(crate) struct Discard;

impl Sink for Discard {
    fn put(&mut self, _bytes: &[u8]) {}
}

/// The number of bytes of an item in the stream. An item without bytes takes one, so that the items
/// can be counted.
const fn bytes_per_item<T>() -> usize {
    if size_of::<T>() == 0 {
        1
    } else {
        size_of::<T>()
    }
}

/// The bytes of a slice as a source.
pub(crate) struct ItemSource<'a, T: Plain> {
    items: &'a [T],
    /// The number of bytes given so far.
    given: usize,
}

impl<'a, T: Plain> ItemSource<'a, T> {
    pub(crate) fn new(items: &'a [T]) -> Self {
        ItemSource { items, given: 0 }
    }
}

impl<T: Plain> Source for ItemSource<'_, T> {
    fn length(&self) -> u64 {
        (self.items.len() * bytes_per_item::<T>()) as u64
    }

    fn fill(&mut self, buffer: &mut [u8]) {
        if size_of::<T>() == 0 {
            buffer.fill(0);
            return;
        }
        // SAFETY: all bytes of plain items are initialized, and do not change while the items are
        // borrowed.
        let bytes =
            unsafe { slice::from_raw_parts(self.items.as_ptr().cast(), size_of_val(self.items)) };
        let next: &[u8] = &bytes[self.given..self.given + buffer.len()];
        buffer.copy_from_slice(next);
        self.given += buffer.len();
    }
}

/// Items that are assembled from their bytes.
pub(crate) struct ItemSink<T: Plain> {
    /// Empty, with room for all items, until all bytes are there.
    items: Vec<T>,
    expected: usize,
    /// The number of bytes taken so far.
    filled: usize,
}

impl<T: Plain> ItemSink<T> {
    /// A sink for `bytes` bytes. An incomplete item at their end is ignored.
    pub(crate) fn new(bytes: u64) -> Self {
        let expected = bytes as usize / bytes_per_item::<T>();
        ItemSink {
            items: Vec::with_capacity(expected),
            expected,
            filled: 0,
        }
    }

    /// The number of items.
    pub(crate) fn expected(&self) -> usize {
        self.expected
    }

    /// The items.
    ///
    /// # Panics
    /// If some of their bytes have not come.
    pub(crate) fn into_items(mut self) -> Vec<T> {
        assert_eq!(
            self.filled,
            self.expected * bytes_per_item::<T>(),
            "all bytes of the items have come"
        );
        // SAFETY: there is room for that many items, all their bytes have been written from the
        // first one on, and any bytes are a value of a plain type.
        unsafe { self.items.set_len(self.expected) };
        self.items
    }
}

impl<T: Plain> Sink for ItemSink<T> {
    fn put(&mut self, bytes: &[u8]) {
        let left = self.expected * bytes_per_item::<T>() - self.filled;
        let bytes = &bytes[..bytes.len().min(left)];
        if size_of::<T>() > 0 {
            let room = self.items.spare_capacity_mut().as_mut_ptr().cast::<u8>();
            // SAFETY: there is room for `expected` items, of which `left` bytes are not written
            // yet, and `bytes` is other memory.
            unsafe {
                room.add(self.filled)
                    .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
        }
        self.filled += bytes.len();
    }
}
