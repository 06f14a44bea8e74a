//! The words of a mailbox, their meaning and their writers.

use crate::location::{CallSite, Place};
use crate::shm::atomic::{AtomicU32, AtomicU64, MODELLED, Ordering, fence};
use crate::shm::cells::{Text, ending, shortened};
use crate::shm::event::{Event, Sleepers};
use std::borrow::Cow;
use std::mem;

/// The most bytes of a value in a record; larger values go through the staging buffer.
pub(crate) const INLINE: usize = 448;

/// The mailbox of an object, through which its ranks share values. All zero is the initial state.
#[repr(C, align(128))]
pub(crate) struct Mailbox {
    /// Counts published records and chunks; collectors sleep on it.
    pub(crate) published: AtomicU32,
    pub(crate) published_sleepers: Sleepers,
    /// The last call whose writer was in another call than a collector, which has noted so in its
    /// [`RankRecord`]; zero if the writer knows. Stored by collectors, and reset by the writer.
    pub(crate) diverged: AtomicU64,
    /// Counts collected values and chunks; a writer that needs room sleeps on it.
    pub(crate) collected: AtomicU32,
    pub(crate) collected_sleepers: Sleepers,
    /// Used in turn, so that a writer may be one call ahead of the collectors.
    pub(crate) records: [Record; 2],
}

/// The outcome of one call. Stored by the call's writer only. The words that every call uses are in
/// the first 64 bytes.
#[repr(C, align(128))]
pub(crate) struct Record {
    /// The number of the call. Stored last: the rest of the record is complete then.
    pub(crate) call: AtomicU64,
    /// The number of chunks of a [`STAGED_VALUE`] published so far.
    pub(crate) staged: AtomicU64,
    /// The last call with a known writer, which is `writer`. Stored under the write lock.
    pub(crate) claimed: AtomicU64,
    /// The writer's rank.
    pub(crate) writer: AtomicU32,
    /// [`INLINE_VALUE`] and so on.
    pub(crate) outcome: AtomicU32,
    /// The number of the writer's call site; `called`, `line` and `file` belong to it.
    pub(crate) site: AtomicU64,
    /// The number of the value's kind.
    pub(crate) kind: AtomicU64,
    /// The layout of the value's type; zero if unknown.
    pub(crate) layout: AtomicU64,
    /// The length of the value in bytes.
    pub(crate) length: AtomicU64,
    /// An [`INLINE_VALUE`], or the handle of an [`OBJECT_VALUE`]. Begins in the next cache line.
    pub(crate) data: [AtomicU64; INLINE / 8],
    /// One more than the local rank, or the server, that fills the record or reads it alone, if the
    /// communicator spans nodes; 0 if none does. A value from another node may come after all ranks
    /// of this node have gone on without it, while a writer of this node is in a later call.
    filling: AtomicU32,
    /// The line of the writer's call site.
    pub(crate) line: AtomicU32,
    /// The name of the writer's call.
    pub(crate) called: Text<8>,
    /// The file of the writer's call site.
    pub(crate) file: Text<16>,
    /// The name of the value's kind.
    pub(crate) label: Text<16>,
    /// The reason why there is no value.
    pub(crate) reason: Text<64>,
}

const _: () = assert!(
    MODELLED || mem::offset_of!(Record, data) == 64,
    "the words that every call uses are in one cache line"
);

impl Mailbox {
    /// The event of a published record or chunk.
    pub(crate) fn published(&self) -> Event<'_> {
        Event {
            word: &self.published,
            sleepers: &self.published_sleepers,
        }
    }
}

impl Record {
    /// Stores the kind of the value, unless it is already there.
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

    /// Stores the writer's call site, unless it is already there.
    pub(crate) fn set_site(&self, number: u64, called: &str, file: &str, line: u32) {
        if self.site.load(Ordering::Relaxed) != number || self.line.load(Ordering::Relaxed) != line
        {
            self.called.set(called);
            self.file.set_tail(file);
            self.line.store(line, Ordering::Relaxed);
            self.site.store(number, Ordering::Relaxed);
        }
    }

    /// The writer's call site.
    pub(crate) fn place(&self) -> Place {
        Place::new(self.file.get(), self.line.load(Ordering::Relaxed))
    }

    /// Begins to fill the record as this local rank, or server, if no other does that is left.
    pub(crate) fn try_to_fill(
        &self,
        me: usize,
        has_left: impl Fn(usize) -> bool,
    ) -> Option<Filling<'_>> {
        let filling = &self.filling;
        let holder = filling.load(Ordering::Relaxed);
        if (holder as usize)
            .checked_sub(1)
            .is_some_and(|of| !has_left(of))
        {
            return None;
        }
        let (mine, order) = (me as u32 + 1, (Ordering::Acquire, Ordering::Relaxed));
        let begun = filling.compare_exchange(holder, mine, order.0, order.1);
        begun.is_ok().then_some(Filling(filling))
    }
}

/// The right to fill a record, until it is dropped.
pub(crate) struct Filling<'a>(&'a AtomicU32);

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

/// `outcome`: the value is in `data`.
pub(crate) const INLINE_VALUE: u32 = 1;
/// `outcome`: the value goes through the writer's staging buffer.
pub(crate) const STAGED_VALUE: u32 = 2;
/// `outcome`: the writer failed.
pub(crate) const FAILED: u32 = 3;
/// `outcome`: the writer panicked.
pub(crate) const PANICKED: u32 = 4;
/// `outcome`: the writer dropped its fence.
pub(crate) const UNSHARED: u32 = 5;
/// `outcome`: the value, from another node, is in a shared-memory object of its own.
pub(crate) const OBJECT_VALUE: u32 = 6;

/// The progress of one rank in calls. Stored by that rank only.
#[repr(C)]
pub(crate) struct RankRecord {
    /// The last call that this rank is done with, as a writer or as a collector.
    pub(crate) done: AtomicU64,
    /// The last call in which this rank has waited long and published for whom it waits.
    pub(crate) waiting: AtomicU64,
    /// The rank it waits for.
    pub(crate) waits_for: AtomicU32,
    /// The last even and the last odd call in which this rank was the writer.
    pub(crate) wrote: [AtomicU64; 2],
    /// The last call in which this rank takes chunks from a staging buffer. Stored after `taken` is
    /// set to zero. Calls of two epochs differ in the upper half only.
    pub(crate) takes_in: AtomicU64,
    /// The number of chunks that it has taken in that call.
    pub(crate) taken: AtomicU64,
    /// The last call whose writer this rank found in another call.
    pub(crate) diverged: AtomicU64,
    /// The number of the site of the call that `waiting` is about, or for which the rank has left
    /// last; `line` and `text` belong to it.
    pub(crate) site: AtomicU64,
    pub(crate) line: AtomicU32,
    /// The line of the call that `diverged` is about.
    pub(crate) diverged_line: AtomicU32,
    /// The name and the file of the first of these calls, and of the other one.
    pub(crate) text: Text<SITE_WORDS>,
    pub(crate) diverged_text: Text<SITE_WORDS>,
}

/// The length of the name and the file of a call site in a [`RankRecord`].
const SITE_WORDS: usize = 10;

/// The most bytes of a name in such a text. The rest is for the end of the file's path.
const LONGEST_NAME: usize = 44;

impl RankRecord {
    /// Stores the site of the call named `called`. Its texts are stored only if they are not already
    /// there.
    pub(crate) fn set_site(&self, site: CallSite, called: &str) {
        let (number, line) = (site.number(), site.location().line());
        if self.site.load(Ordering::Relaxed) != number || self.line.load(Ordering::Relaxed) != line
        {
            set_text(&self.text, site, called);
            self.line.store(line, Ordering::Relaxed);
        }
        self.site.store(number, Ordering::Release);
    }

    /// Stores that the rank has found the writer of `call` in another call than its own, which is at
    /// `site` and named `called`.
    pub(crate) fn set_diverged(&self, call: u64, site: CallSite, called: &str) {
        self.diverged.store(0, Ordering::Relaxed);
        // A reader that sees a part of the text sees that it is not that of the last call.
        fence(Ordering::Release);
        set_text(&self.diverged_text, site, called);
        let line = site.location().line();
        self.diverged_line.store(line, Ordering::Relaxed);
        self.diverged.store(call, Ordering::Release);
    }

    /// The name and the place of the call that the rank has published with its site.
    pub(crate) fn called(&self) -> (String, Place) {
        read_text(&self.text, &self.line)
    }

    /// The name and the place of the call in which the rank has found the writer of `call` in another
    /// one, if it has.
    pub(crate) fn diverged_in(&self, call: u64) -> Option<(String, Place)> {
        if self.diverged.load(Ordering::Acquire) != call {
            return None;
        }
        let called = read_text(&self.diverged_text, &self.diverged_line);
        fence(Ordering::Acquire);
        (self.diverged.load(Ordering::Relaxed) == call).then_some(called)
    }
}

/// Stores the name and the end of the path, separated by a line break.
fn set_text(text: &Text<SITE_WORDS>, site: CallSite, called: &str) {
    let called = shortened(called, LONGEST_NAME);
    let file = site.location().file();
    let room = SITE_WORDS * size_of::<u64>() - called.len() - 1;
    text.set(&[&*called, "\n", ending(file, room)].concat());
}

fn read_text(text: &Text<SITE_WORDS>, line: &AtomicU32) -> (String, Place) {
    let text = text.get();
    let (called, file) = text.split_once('\n').unwrap_or_default();
    let place = Place::new(file.to_owned(), line.load(Ordering::Relaxed));
    (called.to_owned(), place)
}
