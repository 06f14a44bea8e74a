//! One node's copy of a region's items, as who carries changes between nodes sees it.

use crate::shm::mapping::Mapping;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

/// The bytes of a node's copy.
///
/// Whoever has it is alone with them when it uses them: the region's writer on its node, and on the
/// others the node's server while it takes over a change of that writer, for whom the gates of all
/// nodes are closed.
pub(crate) struct CopyBytes {
    memory: Arc<Mapping>,
}

impl CopyBytes {
    /// # Safety
    /// They are used only under the region's write lock, or to take over changes that the region's
    /// writer sends.
    pub(crate) unsafe fn new(memory: Arc<Mapping>) -> Self {
        CopyBytes { memory }
    }

    /// Where the bytes in `place` are.
    ///
    /// # Panics
    /// If not all of them are there.
    pub(crate) fn at(&self, place: &Range<usize>) -> NonNull<u8> {
        assert!(
            place.start <= place.end && place.end <= self.memory.length(),
            "bytes of the copy"
        );
        // SAFETY: the place lies inside the mapping.
        unsafe { self.memory.start().add(place.start) }
    }

    /// What keeps them where they are.
    pub(crate) fn memory(&self) -> &Arc<Mapping> {
        &self.memory
    }

    /// Appends the bytes in `place` to `to`.
    pub(crate) fn append_to(&self, to: &mut Vec<u8>, place: Range<usize>) {
        let start = self.at(&place);
        // SAFETY: the bytes are there, all of them initialized, and nobody else writes them now.
        to.extend_from_slice(unsafe { std::slice::from_raw_parts(start.as_ptr(), place.len()) });
    }

    /// Puts `bytes` to `start`.
    pub(crate) fn put(&self, start: usize, bytes: &[u8]) {
        let to = self.at(&(start..start + bytes.len()));
        // SAFETY: there is room for the bytes, which are somewhere else, and nobody else uses that room now.
        unsafe { to.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
    }
}
