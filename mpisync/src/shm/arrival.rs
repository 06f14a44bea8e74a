//! The layout of an arrival slot: where a rank is in collective calls.

use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::shm::cells::Text;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Where one rank is in collective calls. Only that rank writes it. The initial state is all zero.
#[repr(C)]
pub(crate) struct ArrivalSlot {
    /// The number of the last rendezvous for which this rank has posted an announcement.
    pub(crate) posted: AtomicU64,
    /// The announcements for rendezvous of even and of odd numbers.
    pub(crate) announcements: [Announcement; 2],
}

#[repr(C)]
pub(crate) struct Announcement {
    /// Identifies the call.
    pub(crate) signature: AtomicU64,
    pub(crate) step: AtomicU32,
    pub(crate) depth: AtomicU32,
    pub(crate) outcome: AtomicU32,
    pub(crate) line: AtomicU32,
    pub(crate) calls: AtomicU64,
    pub(crate) said: [AtomicU64; PAYLOAD_WORDS],
    /// The name of the call, the kind of its object, and the object's name.
    pub(crate) call: Text<8>,
    pub(crate) kind: Text<2>,
    pub(crate) object: Text<8>,
    pub(crate) file: Text<16>,
    pub(crate) reason: Text<64>,
}

/// How many words an announcement has for the arguments of the call.
pub(crate) const PAYLOAD_WORDS: usize = 5;

/// The contents of an announcement.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AnnouncementData<'a> {
    pub(crate) signature: u64,
    pub(crate) step: u32,
    pub(crate) depth: u32,
    pub(crate) outcome: u32,
    pub(crate) line: u32,
    pub(crate) calls: u64,
    pub(crate) said: [u64; PAYLOAD_WORDS],
    pub(crate) call: Cow<'a, str>,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) object: Cow<'a, str>,
    pub(crate) file: Cow<'a, str>,
    /// Empty if the outcome is [`FINE`].
    pub(crate) reason: Cow<'a, str>,
}

/// `step`: the rank leaves a collective call.
pub(crate) const EXIT: u32 = 1;

/// `outcome`: no failure so far.
pub(crate) const FINE: u32 = 0;
/// `outcome`: the rank's part failed.
pub(crate) const FAILED: u32 = 1;
/// `outcome`: the rank's part panicked.
pub(crate) const PANICKED: u32 = 2;
/// A bit of `outcome` beside [`FAILED`] or [`PANICKED`]: another rank failed first.
pub(crate) const PASSED_ON: u32 = 4;

impl Announcement {
    pub(crate) fn set(&self, data: &AnnouncementData<'_>) {
        self.signature.store(data.signature, Ordering::Relaxed);
        self.step.store(data.step, Ordering::Relaxed);
        self.depth.store(data.depth, Ordering::Relaxed);
        self.calls.store(data.calls, Ordering::Relaxed);
        self.line.store(data.line, Ordering::Relaxed);
        for (word, said) in self.said.iter().zip(data.said) {
            word.store(said, Ordering::Relaxed);
        }
        self.call.set(&data.call);
        self.kind.set(&data.kind);
        self.object.set(&data.object);
        self.file.set_tail(&data.file);
        if data.outcome != FINE {
            self.reason.set(&data.reason);
        }
        self.outcome.store(data.outcome, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> AnnouncementData<'static> {
        AnnouncementData {
            signature: self.signature.load(Ordering::Relaxed),
            step: self.step.load(Ordering::Relaxed),
            depth: self.depth.load(Ordering::Relaxed),
            outcome: self.outcome.load(Ordering::Relaxed),
            line: self.line.load(Ordering::Relaxed),
            calls: self.calls.load(Ordering::Relaxed),
            said: self.said(),
            call: self.call.get().into(),
            kind: self.kind.get().into(),
            object: self.object.get().into(),
            file: self.file.get().into(),
            reason: self.reason().into(),
        }
    }

    pub(crate) fn said(&self) -> [u64; PAYLOAD_WORDS] {
        std::array::from_fn(|index| self.said[index].load(Ordering::Relaxed))
    }

    /// Why the rank's part failed; empty if it did not.
    pub(crate) fn reason(&self) -> String {
        match self.outcome.load(Ordering::Relaxed) {
            FINE => String::new(),
            _ => self.reason.get(),
        }
    }
}
