//! One node's copy of a region's items.

use super::mapping::{ALIGN, Mapping};
#[cfg(feature = "mpi")]
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;

/// The items of a region as they lie in this node's memory. Who reads and writes them holds the region's lock.
pub(crate) struct NodeCopy<T> {
    /// Aligned; where there are no items, nothing is there.
    start: NonNull<T>,
    items: usize,
    /// Keeps the memory mapped. None where there are no items.
    #[cfg_attr(not(feature = "mpi"), expect(dead_code, reason = "it is only kept"))]
    memory: Option<Arc<Mapping>>,
}

impl<T> NodeCopy<T> {
    /// Of so many items, all bytes of which are zero at first, in `memory` of their length.
    pub(crate) fn new(items: usize, memory: Option<Arc<Mapping>>) -> Self {
        const { assert!(align_of::<T>() <= ALIGN, "a type of a common alignment") };
        let start = match &memory {
            Some(memory) => {
                assert!(
                    memory.length() == items * size_of::<T>(),
                    "memory for the items"
                );
                memory.start().cast()
            }
            None => {
                assert!(items * size_of::<T>() == 0, "no items without memory");
                NonNull::dangling()
            }
        };
        NodeCopy {
            start,
            items,
            memory,
        }
    }

    /// The first item. The others follow it, as many as there are.
    #[inline]
    pub(crate) fn start(&self) -> NonNull<T> {
        self.start
    }

    /// How many items there are.
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// What they take on this node.
    pub(crate) fn bytes(&self) -> usize {
        self.items * size_of::<T>()
    }

    /// Their bytes, for who carries changes to other nodes; none where there are no items.
    ///
    /// # Safety
    /// The caller has the region's write lock as long as it uses them.
    #[cfg(feature = "mpi")]
    pub(crate) unsafe fn as_bytes(&self) -> Option<CopyBytes> {
        self.memory.clone().map(|memory| CopyBytes { memory })
    }
}

/// The bytes of a node's copy.
///
/// Whoever has it is alone with them when it uses them: the region's writer on its node, and on the others the node's agent
/// while it takes over a change of that writer, for whom the gates of all nodes are closed.
#[cfg(feature = "mpi")]
pub(crate) struct CopyBytes {
    memory: Arc<Mapping>,
}

#[cfg(feature = "mpi")]
impl CopyBytes {
    /// # Safety
    /// They are used only to take over changes that the region's writer sends.
    pub(crate) unsafe fn for_agent(memory: Arc<Mapping>) -> Self {
        CopyBytes { memory }
    }

    /// Where the bytes in `place` are.
    ///
    /// # Panics
    /// If not all of them are there.
    pub(super) fn at(&self, place: &Range<usize>) -> NonNull<u8> {
        assert!(
            place.start <= place.end && place.end <= self.memory.length(),
            "bytes of the copy"
        );
        // SAFETY: the place lies inside the mapping.
        unsafe { self.memory.start().add(place.start) }
    }

    /// What keeps them where they are.
    pub(super) fn memory(&self) -> &Arc<Mapping> {
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
