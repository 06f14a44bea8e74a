//! What goes with the permit of a wait queue that has one.

use crate::wait_queue::memory::{Seats, WaitMemory};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

/// What goes with the permit of a wait queue that has one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Cargo {
    #[default]
    Nothing,
    /// A value that is there from the beginning, with these bytes at first. Only who has the permit
    /// reads and writes it.
    Value(Vec<u8>),
    /// Bytes up to so many, which are put there once, by who has the permit.
    Once(usize),
}

impl Cargo {
    /// How many bytes there are at most.
    pub(crate) fn room(&self) -> usize {
        match self {
            Cargo::Nothing => 0,
            Cargo::Value(bytes) => bytes.len(),
            Cargo::Once(room) => *room,
        }
    }

    /// The bytes, for who has the permit; none where there are none yet.
    ///
    /// # Safety
    /// The caller acts for who has the permit, and `seats` is a list with this cargo.
    pub(crate) unsafe fn read(&self, seats: &Seats) -> Option<Vec<u8>> {
        match self {
            Cargo::Nothing => None,
            // SAFETY: there are so many, and nobody else changes them while the permit is held.
            Cargo::Value(bytes) => Some(unsafe { copy(seats, bytes.len()) }),
            Cargo::Once(_) => self.look(seats),
        }
    }

    /// Bytes that were put there once, for anybody.
    pub(crate) fn look(&self, seats: &Seats) -> Option<Vec<u8>> {
        let Cargo::Once(room) = self else {
            return None;
        };
        // Acquire: the bytes are there, and stay as they are.
        let length = seats.words().cargo.load(Ordering::Acquire).checked_sub(1)?;
        assert!(length <= *room as u64, "as it was stored");
        // SAFETY: there are so many, and nobody changes them any more.
        Some(unsafe { copy(seats, length as usize) })
    }

    /// Stores the bytes.
    ///
    /// # Safety
    /// As for [`read`](Self::read).
    pub(crate) unsafe fn write(&self, seats: &Seats, bytes: &[u8]) {
        assert!(
            bytes.len() <= self.room(),
            "as many bytes as there is room for"
        );
        let is_there = || seats.words().cargo.load(Ordering::Relaxed) != 0;
        if matches!(self, Cargo::Once(_)) && is_there() {
            return;
        }
        // SAFETY: there is room for so many, and nobody else reads or writes them while the permit is held: not before they
        // are said to be there.
        unsafe {
            let from = NonNull::from(bytes).cast();
            seats.cargo().copy_from_nonoverlapping(from, bytes.len());
        }
        if matches!(self, Cargo::Once(_)) {
            let length = bytes.len() as u64 + 1;
            seats.words().cargo.store(length, Ordering::Release);
        }
    }
}

/// # Safety
/// There are so many bytes, which nobody changes meanwhile.
unsafe fn copy(seats: &Seats, length: usize) -> Vec<u8> {
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(seats.cargo().as_ptr(), length) }.to_vec()
}
