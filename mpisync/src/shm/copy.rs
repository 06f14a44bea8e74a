//! One node's copy of a region's items, as bytes that travel between nodes.

use crate::shm::mapping::Mapping;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

/// The bytes of a node's copy.
///
/// A user of bytes has exclusive access to them: the region's writer on its own node, or the writer of
/// a part to the bytes of that part, and on the other nodes the node's server while it applies a
/// change of that writer, for which the gates of all nodes are closed. The server of the writer's node reads a change
/// again, beside readers, while other nodes wait for it, and so no writer changes it.
pub(crate) struct CopyBytes {
    memory: Arc<Mapping>,
}

impl CopyBytes {
    /// # Safety
    /// The bytes are used only under the region's write lock, those of a part by its writer only, or to
    /// apply changes that such a writer sends, or to read them while the lock waits for a node that lacks them.
    pub(crate) unsafe fn new(memory: Arc<Mapping>) -> Self {
        CopyBytes { memory }
    }

    /// The address of the bytes in `place`.
    ///
    /// # Panics
    /// If `place` is not inside the copy.
    pub(crate) fn at(&self, place: &Range<usize>) -> NonNull<u8> {
        assert!(
            place.start <= place.end && place.end <= self.memory.length(),
            "bytes of the copy"
        );
        // SAFETY: the place lies inside the mapping.
        unsafe { self.memory.start().add(place.start) }
    }

    /// The mapping that holds the bytes.
    pub(crate) fn memory(&self) -> &Arc<Mapping> {
        &self.memory
    }

    /// Appends the bytes in `place` to `to`.
    pub(crate) fn append_to(&self, to: &mut Vec<u8>, place: Range<usize>) {
        let start = self.at(&place);
        // SAFETY: the bytes are inside the mapping and initialized, and nobody else writes them
        // now.
        to.extend_from_slice(unsafe { std::slice::from_raw_parts(start.as_ptr(), place.len()) });
    }

    /// Writes `bytes` to `start`.
    pub(crate) fn put(&self, start: usize, bytes: &[u8]) {
        let to = self.at(&(start..start + bytes.len()));
        // SAFETY: the destination is inside the mapping, does not overlap the source, and nobody
        // else accesses it now.
        unsafe { to.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) };
    }
}
