//! The words of a board: where a rank stands in collective calls.

use crate::memory::cells::Text;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Where one rank stands in collective calls. Stored by that rank only. All zero is the first state.
#[repr(C)]
pub(crate) struct Board {
    /// The number of the meeting for which this rank has posted a note last.
    pub(crate) posted: AtomicU64,
    /// The notes for even and odd numbers.
    pub(crate) notes: [Note; 2],
}

#[repr(C)]
pub(crate) struct Note {
    /// A number that differs between calls.
    pub(crate) signature: AtomicU64,
    pub(crate) step: AtomicU32,
    pub(crate) depth: AtomicU32,
    pub(crate) outcome: AtomicU32,
    pub(crate) line: AtomicU32,
    pub(crate) calls: AtomicU64,
    pub(crate) file: Text<16>,
    pub(crate) reason: Text<64>,
}
