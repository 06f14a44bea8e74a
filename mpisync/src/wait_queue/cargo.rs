//! The bytes that travel with the permit of a wait queue that has one permit.

use crate::wait_queue::memory::{Slots, WaitMemory};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// The bytes that travel with the only permit of a wait queue.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Cargo {
    #[default]
    Nothing,
    /// A value with these initial bytes. Only the holder of the permit reads and writes it.
    Value(Vec<u8>),
    /// At most this many bytes, which the holder of the permit stores once.
    Once(usize),
}

impl Cargo {
    /// The most bytes that there can be.
    pub(crate) fn room(&self) -> usize {
        match self {
            Cargo::Nothing => 0,
            Cargo::Value(bytes) => bytes.len(),
            Cargo::Once(room) => *room,
        }
    }

    /// The bytes, for the holder of the permit; none before they are stored.
    ///
    /// # Safety
    /// The caller acts for the holder of the permit, and `slots` is a queue with this cargo.
    pub(crate) unsafe fn read(&self, slots: &Slots) -> Option<Vec<u8>> {
        match self {
            Cargo::Nothing => None,
            // SAFETY: there are this many bytes, and no other rank changes them while the permit is held.
            Cargo::Value(bytes) => Some(unsafe { copy(slots, bytes.len()) }),
            Cargo::Once(_) => self.look(slots),
        }
    }

    /// The bytes that were stored once, for any rank.
    pub(crate) fn look(&self, slots: &Slots) -> Option<Vec<u8>> {
        let Cargo::Once(room) = self else {
            return None;
        };
        // Acquire: the bytes are visible. They do not change any more.
        let length = slots.words().cargo.load(Ordering::Acquire).checked_sub(1)?;
        assert!(length <= *room as u64, "as it was stored");
        // SAFETY: there are this many bytes, and no rank changes them any more.
        Some(unsafe { copy(slots, length as usize) })
    }

    /// Stores the bytes.
    ///
    /// # Safety
    /// As for [`read`](Self::read).
    pub(crate) unsafe fn write(&self, slots: &Slots, bytes: &[u8]) {
        assert!(
            bytes.len() <= self.room(),
            "as many bytes as there is room for"
        );
        let is_there = || slots.words().cargo.load(Ordering::Relaxed) != 0;
        if matches!(self, Cargo::Once(_)) && is_there() {
            return;
        }
        // SAFETY: there is room for so many, and nobody else reads or writes them while the permit is held: not before they
        // are said to be there.
        unsafe {
            let from = NonNull::from(bytes).cast();
            slots.cargo().copy_from_nonoverlapping(from, bytes.len());
        }
        if matches!(self, Cargo::Once(_)) {
            let length = bytes.len() as u64 + 1;
            slots.words().cargo.store(length, Ordering::Release);
        }
    }
}

/// # Safety
/// There are so many bytes, which nobody changes meanwhile.
unsafe fn copy(slots: &Slots, length: usize) -> Vec<u8> {
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(slots.cargo().as_ptr(), length) }.to_vec()
}
