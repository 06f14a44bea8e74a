//! The entry of an object whose memory is not in the segment, for processes that look at it from
//! outside: a block without contents.

use crate::shm::block::BlockHeader;
use crate::shm::domain::Domain;
use crate::shm::segment::Extent;
use crate::shm::waiting::Label;
use std::sync::Arc;

/// An entry. Removed on drop.
pub(crate) struct Listing {
    domain: Arc<Domain>,
    extent: Extent,
}

impl Listing {
    /// The identity of the entry, which ranks do not know: they name the object in their waits.
    const IDENTITY: u64 = u64::MAX;

    /// As the leader: lists an object. None on other ranks, and if it takes a new chunk.
    pub(crate) fn new(domain: &Arc<Domain>, kind: &str, name: &str) -> Option<Self> {
        if !domain.topology().is_leader() {
            return None;
        }
        let extent = domain.segment().allocate(size_of::<BlockHeader>()).ok()?;
        let listing = Listing {
            domain: Arc::clone(domain),
            extent,
        };
        listing.with_header(|header| {
            header.describe(Label {
                kind,
                name,
                identity: Self::IDENTITY,
            });
        });
        Some(listing)
    }

    fn with_header(&self, act: impl FnOnce(&BlockHeader)) {
        let chunk = self.domain.segment().chunk(self.extent.chunk);
        act(chunk.get(self.extent.offset as usize));
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.with_header(BlockHeader::forget);
        self.domain.segment().take_back(self.extent);
    }
}
