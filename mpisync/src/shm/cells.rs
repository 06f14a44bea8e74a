//! Bytes and text in shared memory.
//!
//! Shared bytes are arrays of relaxed 64-bit atomics, so that no access is undefined behaviour,
//! even if a rank that died or diverged has left half a message. The protocols order the accesses
//! by acquire and release operations of their own.

use crate::shm::atomic::{AtomicU64, Ordering};
use std::borrow::Cow;

const WORD: usize = size_of::<u64>();

/// Copies `bytes` to the front of `cells`.
///
/// # Panics
/// If the bytes do not fit.
pub(crate) fn copy_in(cells: &[AtomicU64], bytes: &[u8]) {
    assert!(
        bytes.len() <= cells.len() * WORD,
        "the bytes fit into the cells"
    );
    let (words, rest) = bytes.as_chunks::<WORD>();
    for (cell, word) in cells.iter().zip(words) {
        cell.store(u64::from_ne_bytes(*word), Ordering::Relaxed);
    }
    if !rest.is_empty() {
        let mut word = [0; WORD];
        word[..rest.len()].copy_from_slice(rest);
        cells[words.len()].store(u64::from_ne_bytes(word), Ordering::Relaxed);
    }
}

/// Fills `bytes` from the front of `cells`.
///
/// # Panics
/// If the cells have fewer bytes.
pub(crate) fn copy_out(cells: &[AtomicU64], bytes: &mut [u8]) {
    assert!(
        bytes.len() <= cells.len() * WORD,
        "the cells have that many bytes"
    );
    let (words, rest) = bytes.as_chunks_mut::<WORD>();
    let count = words.len();
    for (cell, word) in cells.iter().zip(words) {
        *word = cell.load(Ordering::Relaxed).to_ne_bytes();
    }
    if !rest.is_empty() {
        let word = cells[count].load(Ordering::Relaxed).to_ne_bytes();
        rest.copy_from_slice(&word[..rest.len()]);
    }
}

/// What stands for the part that [`shortened`] removes.
pub(super) const CUT: &str = " … ";

/// A text of at most `most` bytes: of a longer one the beginning and the end. The end of an error's
/// text tells the root cause.
pub(crate) fn shortened(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    let Some(room) = most.checked_sub(CUT.len()) else {
        return beginning(text, most).into();
    };
    let first = beginning(text, room / 2);
    let last = ending(text, room - first.len());
    [first, CUT, last].concat().into()
}

/// The longest beginning of a text that has at most `most` bytes.
pub(crate) fn beginning(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The longest end of a text that has at most `most` bytes.
pub(crate) fn ending(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Sets the text in these cells, which are at least one: its length in the first, and then its bytes.
/// Keeps the beginning and the end of a text that is too long.
pub(crate) fn set_text(cells: &[AtomicU64], text: &str) {
    let (length, cells) = cells.split_first().expect("a cell for the length");
    let text = shortened(text, cells.len() * WORD);
    copy_in(cells, text.as_bytes());
    length.store(text.len() as u64, Ordering::Relaxed);
}

/// The text that [`set_text`] has set in these cells.
pub(crate) fn text_in(cells: &[AtomicU64]) -> String {
    let (length, cells) = cells.split_first().expect("a cell for the length");
    let length = length
        .load(Ordering::Relaxed)
        .min((cells.len() * WORD) as u64);
    let mut bytes = vec![0; length as usize];
    copy_out(cells, &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text of at most `8 * N` bytes in shared memory.
#[repr(C)]
pub(crate) struct Text<const N: usize> {
    pub(super) length: AtomicU64,
    pub(super) cells: [AtomicU64; N],
}

impl<const N: usize> Text<N> {
    /// Sets the text; keeps the beginning and the end of a text that is too long.
    pub(crate) fn set(&self, text: &str) {
        self.set_bytes(shortened(text, N * WORD).as_bytes());
    }

    /// Sets the text; keeps the end of a text that is too long. For paths, whose end says most.
    pub(crate) fn set_tail(&self, text: &str) {
        self.set_bytes(ending(text, N * WORD).as_bytes());
    }

    fn set_bytes(&self, bytes: &[u8]) {
        copy_in(&self.cells, bytes);
        self.length.store(bytes.len() as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> String {
        let length = self.length.load(Ordering::Relaxed).min((N * WORD) as u64) as usize;
        let mut bytes = vec![0; length];
        copy_out(&self.cells, &mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
