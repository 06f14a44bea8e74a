//! The words of a mailbox: what they mean and who may store them.

use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::cells::Text;
use crate::shm::event::Sleepers;
use std::borrow::Cow;
use std::mem;

/// How many bytes lie in the mailbox itself; larger values take the stage.
pub(crate) const INLINE: usize = 448;

/// The part of a controller's block through which values travel. All zero is the first state.
#[repr(C, align(128))]
pub(crate) struct Mailbox {
    /// Counts what writers put out; those who collect sleep on it.
    pub(crate) published: AtomicU32,
    pub(crate) published_sleepers: Sleepers,
    /// The last call whose writer was in another one than a rank that collects and has said so in
    /// its [`Mail`]; zero when the writer knows. Stored by ranks that collect, and set back by the
    /// writer.
    pub(crate) diverged: AtomicU64,
    /// Counts what was collected; a writer who needs room sleeps on it.
    pub(crate) collected: AtomicU32,
    pub(crate) collected_sleepers: Sleepers,
    /// Two, in turn, so that a writer may be one call ahead of who collects.
    pub(crate) records: [Record; 2],
}

/// What came of one call. Stored by the call's writer only. What every call uses lies in the first
/// 64 bytes.
#[repr(C, align(128))]
pub(crate) struct Record {
    /// The number of the call; stored last, and with it the rest is there.
    pub(crate) call: AtomicU64,
    /// How many chunks of a staged value have been put out for this call; of an [`OBJECT_VALUE`],
    /// where it is.
    pub(crate) staged: AtomicU64,
    /// The call whose writer has been settled, under the write lock; then `writer` names it.
    pub(crate) claimed: AtomicU64,
    /// The writer's rank.
    pub(crate) writer: AtomicU32,
    /// [`INLINE_VALUE`] and so on.
    pub(crate) outcome: AtomicU32,
    /// The number of the writer's call site; with it `line` and `file` are there.
    pub(crate) site: AtomicU64,
    /// The number of the value's kind.
    pub(crate) kind: AtomicU64,
    /// The layout of the value's type, as far as it is known.
    pub(crate) layout: AtomicU64,
    /// Length of a value in bytes.
    pub(crate) length: AtomicU64,
    /// A small value, which begins in the line behind that.
    pub(crate) data: [AtomicU64; INLINE / 8],
    /// Nonzero while somebody fills the record, where the controller spans nodes: a value from
    /// another node may come when all ranks here have gone on without it, and a writer of this node
    /// is at a later call.
    pub(crate) filling: AtomicU32,
    /// Line of the source where the call was made, and below its file.
    pub(crate) line: AtomicU32,
    pub(crate) file: Text<16>,
    /// What the value's kind is called.
    pub(crate) label: Text<16>,
    /// The reason why there is no value.
    pub(crate) reason: Text<64>,
}

const _: () = assert!(
    cfg!(loom) || mem::offset_of!(Record, data) == 64,
    "what every call uses lies in one cache line"
);

impl Record {
    /// Says what kind of value it is. What is there already is not written again.
    pub(crate) fn set_kind<'a>(
        &self,
        number: u64,
        layout: u64,
        label: impl FnOnce() -> Cow<'a, str>,
    ) {
        if self.kind.load(Ordering::Relaxed) != number
            || self.layout.load(Ordering::Relaxed) != layout
        {
            self.kind.store(number, Ordering::Relaxed);
            self.layout.store(layout, Ordering::Relaxed);
            self.label.set(&label());
        }
    }

    /// Says where the writer makes the call. What is there already is not written again.
    pub(crate) fn set_site(&self, number: u64, file: &str, line: u32) {
        if self.site.load(Ordering::Relaxed) != number || self.line.load(Ordering::Relaxed) != line
        {
            self.file.set_tail(file);
            self.line.store(line, Ordering::Relaxed);
            self.site.store(number, Ordering::Relaxed);
        }
    }
}

impl Record {
    /// Begins to fill the record if nobody else does.
    pub(crate) fn try_to_fill(&self) -> bool {
        let filling = &self.filling;
        filling
            .compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }
}

/// `outcome`: the value is in `data`.
pub(crate) const INLINE_VALUE: u32 = 1;
/// `outcome`: the value comes through the writer's stage.
pub(crate) const STAGED_VALUE: u32 = 2;
/// `outcome`: the writer failed.
pub(crate) const FAILED: u32 = 3;
/// `outcome`: the writer panicked.
pub(crate) const PANICKED: u32 = 4;
/// `outcome`: the writer dropped its fence.
pub(crate) const UNSHARED: u32 = 5;

/// `outcome`: the value, from another node, is in a shared-memory object of its own.
pub(crate) const OBJECT_VALUE: u32 = 6;

/// Where one rank stands. Stored by that rank only.
#[repr(C)]
pub(crate) struct Mail {
    /// The last call that this rank is done with, as its writer or having collected.
    pub(crate) done: AtomicU64,
    /// The call during which this rank, waiting long, has said whom it waits for.
    pub(crate) waiting: AtomicU64,
    /// Whom it waits for, by rank.
    pub(crate) waits_for: AtomicU32,
    /// The last calls of even and of odd number that this rank wrote in.
    pub(crate) wrote: [AtomicU64; 2],
    /// Chunks taken from the stage: the lower half of the call's number, then how many.
    pub(crate) taken: AtomicU64,
    /// The last call whose writer this rank found in another one.
    pub(crate) diverged: AtomicU64,
    /// The number of the site of the call that `waiting` or `diverged` is about, and the site
    /// itself.
    pub(crate) site: AtomicU64,
    pub(crate) line: AtomicU32,
    pub(crate) file: Text<5>,
}
