//! One controller's part of a segment.

use super::domain::Domain;
use super::mapping::{Mapping, Shareable};
use super::segment::Extent;
use super::words::lock::{Door, DoorKind, Line, RankWords, Words};
use super::words::mail::{Mail, Mailbox};
use super::{Memory, Surroundings};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// What a block begins with: how it goes back to the segment.
#[repr(C, align(128))]
pub(crate) struct BlockHeader {
    /// How many ranks have given it back.
    pub(crate) given_back: AtomicU32,
    /// Once all have: its length, and the next block on the list.
    pub(crate) length: AtomicU32,
    pub(crate) next: AtomicU64,
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for BlockHeader {}
// SAFETY: as above.
unsafe impl Shareable for Words {}
// SAFETY: as above.
unsafe impl Shareable for Line<RankWords> {}
// SAFETY: as above.
unsafe impl Shareable for Mailbox {}
// SAFETY: as above.
unsafe impl Shareable for Line<Mail> {}

const WORDS_AT: usize = size_of::<BlockHeader>();
const MAILBOX_AT: usize = WORDS_AT + size_of::<Words>();
const RANKS_AT: usize = MAILBOX_AT + size_of::<Mailbox>();

/// The block of one controller, as this rank sees it. Dropping it gives this rank's share back, without a word to
/// the others.
pub(crate) struct Block {
    /// Into `chunk`; kept as pointers because a read lock takes less time than finding them.
    words: NonNull<Words>,
    rank_words: NonNull<Line<RankWords>>,
    my_words: NonNull<RankWords>,
    me: usize,
    ranks: usize,
    door: DoorKind,
    can_be_quiet: bool,
    extent: Extent,
    chunk: Arc<Mapping>,
    domain: Arc<Domain>,
}

impl Block {
    /// The length of a block for that many ranks.
    pub(crate) fn length(ranks: usize) -> usize {
        RANKS_AT + ranks * (size_of::<Line<RankWords>>() + size_of::<Line<Mail>>())
    }

    /// This rank's view of the block at `extent`, whose lock has a door of that kind.
    pub(crate) fn new(domain: Arc<Domain>, extent: Extent, door: DoorKind) -> Self {
        let chunk = domain.segment().chunk(extent.chunk);
        let (me, ranks) = (domain.segment().me(), domain.segment().ranks());
        let start = extent.offset as usize;
        let rank_words: &[Line<RankWords>] = chunk.slice(start + RANKS_AT, ranks);
        Block {
            words: NonNull::from(chunk.get(start + WORDS_AT)),
            rank_words: NonNull::from(rank_words).cast(),
            my_words: NonNull::from(&rank_words[me].0),
            me,
            ranks,
            door,
            can_be_quiet: domain.heeds_fences(),
            extent,
            chunk,
            domain,
        }
    }

    /// What this controller's communicator has.
    pub(crate) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// A number that tells this controller from the others of the communicator; the same on all ranks.
    pub(crate) fn identity(&self) -> u64 {
        u64::from(self.extent.chunk) << 32 | u64::from(self.extent.offset)
    }

    /// Through which values travel.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        self.chunk.get(self.extent.offset as usize + MAILBOX_AT)
    }

    /// What the rank of this index has to say about the mailbox.
    pub(crate) fn mail(&self, rank: usize) -> &Mail {
        let offset =
            self.extent.offset as usize + RANKS_AT + self.ranks * size_of::<Line<RankWords>>();
        let mails: &[Line<Mail>] = self.chunk.slice(offset, self.ranks);
        &mails[rank].0
    }
}

// SAFETY: the pointers lead into `chunk`, which any thread may use, to words that are atomics.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Drop for Block {
    fn drop(&mut self) {
        let header = self.chunk.get(self.extent.offset as usize);
        self.domain.segment().give_back(self.extent, header);
    }
}

impl Surroundings for Block {
    fn progress(&self) {
        self.domain.progress();
    }

    fn is_alive(&self, rank: usize) -> bool {
        self.domain.is_alive(rank)
    }
}

impl Memory for Block {
    #[inline]
    fn words(&self) -> &Words {
        // SAFETY: taken from a reference into `chunk`, which `self` keeps mapped.
        unsafe { self.words.as_ref() }
    }

    #[inline]
    fn door(&self) -> Door<'_> {
        self.words().door(self.door)
    }

    #[inline]
    fn rank_words(&self, rank: usize) -> &RankWords {
        assert!(rank < self.ranks, "a rank of this node");
        // SAFETY: taken from a slice of `ranks` values in `chunk`, which `self` keeps mapped.
        unsafe { &self.rank_words.add(rank).as_ref().0 }
    }

    #[inline]
    fn my_words(&self) -> &RankWords {
        // SAFETY: taken from a reference into `chunk`, which `self` keeps mapped.
        unsafe { self.my_words.as_ref() }
    }

    fn can_be_quiet(&self) -> bool {
        self.can_be_quiet
    }

    #[inline]
    fn ranks(&self) -> usize {
        self.ranks
    }

    #[inline]
    fn me(&self) -> usize {
        self.me
    }
}
