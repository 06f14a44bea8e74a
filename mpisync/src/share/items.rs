//! Slices of plain items on their way, as the bytes that they are.

use crate::plain::Plain;
use crate::share::stream::{Sink, Source};
use std::slice;

/// How many bytes an item takes on its way: one for an item without bytes, so that the items can be
/// counted.
const fn bytes_per_item<T>() -> usize {
    if size_of::<T>() == 0 {
        1
    } else {
        size_of::<T>()
    }
}

/// The bytes of a slice, as a source of a value that is shared.
pub(crate) struct ItemSource<'a, T: Plain> {
    items: &'a [T],
    /// How many bytes have been given.
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
        // SAFETY: all bytes of plain items are initialized, and stay as they are while the items are borrowed.
        let bytes =
            unsafe { slice::from_raw_parts(self.items.as_ptr().cast(), size_of_val(self.items)) };
        let next: &[u8] = &bytes[self.given..self.given + buffer.len()];
        buffer.copy_from_slice(next);
        self.given += buffer.len();
    }
}

/// Items that are put together as their bytes come.
pub(crate) struct ItemSink<T: Plain> {
    /// Empty, with room for all items, until all bytes are there.
    items: Vec<T>,
    expected: usize,
    /// How many bytes have come.
    filled: usize,
}

impl<T: Plain> ItemSink<T> {
    /// A sink for `bytes` bytes. What is no whole item at their end is left out.
    pub(crate) fn new(bytes: u64) -> Self {
        let expected = bytes as usize / bytes_per_item::<T>();
        ItemSink {
            items: Vec::with_capacity(expected),
            expected,
            filled: 0,
        }
    }

    /// How many items there will be.
    pub(crate) fn expected(&self) -> usize {
        self.expected
    }

    /// The items, of which all bytes have come.
    ///
    /// # Panics
    /// If some have not.
    pub(crate) fn into_items(mut self) -> Vec<T> {
        assert_eq!(
            self.filled,
            self.expected * bytes_per_item::<T>(),
            "all bytes of the items have come"
        );
        // SAFETY: there is room for that many items, all of whose bytes have been written from the first one on, and
        // any bytes are a value of a plain type.
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
            // SAFETY: there is room for `expected` items, of whose bytes `left` are not written yet, and the bytes that
            // came are memory of somebody else.
            unsafe {
                room.add(self.filled)
                    .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
        }
        self.filled += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items after they have travelled in pieces of `piece` bytes.
    fn travelled<T: Plain>(items: &[T], piece: usize) -> Vec<T> {
        let mut source = ItemSource::new(items);
        let mut sink = ItemSink::new(source.length());
        assert_eq!(sink.expected(), items.len());
        let mut left = source.length() as usize;
        while left > 0 {
            let mut bytes = vec![0xff; piece.min(left)];
            source.fill(&mut bytes);
            sink.put(&bytes);
            left -= bytes.len();
        }
        sink.into_items()
    }

    #[test]
    fn items_arrive_in_pieces_of_every_size() {
        let items: Vec<[u16; 3]> = (0..50).map(|index| [index, 1, 0xffff]).collect();
        for piece in 1..100 {
            assert_eq!(travelled(&items, piece), items);
            assert_eq!(travelled(&[(); 77], piece), [(); 77]);
        }
        assert!(travelled::<f64>(&[], 8).is_empty());
    }

    #[test]
    fn bytes_beyond_the_last_item_are_left_out() {
        let mut sink = ItemSink::<u32>::new(11);
        sink.put(&[1; 11]);
        assert_eq!(sink.into_items(), [0x0101_0101; 2]);
    }

    #[test]
    #[should_panic(expected = "all bytes of the items have come")]
    fn items_of_which_bytes_are_missing_are_none() {
        let mut sink = ItemSink::<u32>::new(8);
        sink.put(&[1; 7]);
        sink.into_items();
    }
}
