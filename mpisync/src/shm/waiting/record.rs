//! The record of a wait in the shared memory of each communicator of the rank.
//!
//! A rank that waits on an object of one communicator may keep the ranks of another one waiting. So
//! the record is written for all communicators of the process; only the object's own communicator
//! learns which object it is and for which rank the call waits.

use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::shm::cells::Text;
use crate::shm::lock;
use crate::shm::mapping::Mapping;
use crate::shm::waiting::{Call, Label};
use std::ptr;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The wait of a rank. All zero: it does not wait. Only that rank writes it.
#[repr(C, align(128))]
pub(crate) struct WaitRecord {
    /// When the wait began, in nanoseconds of the host's clock; 0 if the rank does not
    /// wait, and while the record is written. Identifies the wait.
    since: AtomicU64,
    /// [`Label::identity`] in this communicator, or 0.
    identity: AtomicU64,
    /// The rank of this communicator for which it waits, plus one, or 0.
    awaited: AtomicU32,
    line: AtomicU32,
    kind: Text<2>,
    object: Text<6>,
    call: Text<3>,
    file: Text<8>,
}

/// The contents of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) since: u64,
    pub(crate) identity: u64,
    pub(crate) awaited: Option<u32>,
    pub(crate) kind: String,
    pub(crate) object: String,
    pub(crate) call: String,
    pub(crate) file: String,
    pub(crate) line: u32,
}

impl WaitRecord {
    /// Writes the record of a wait, unless another thread of the rank already waits.
    pub(super) fn begin(&self, call: Call<'_>, since: u64) {
        if self.since.load(Ordering::Relaxed) != 0 {
            return;
        }
        let Label { kind, name, .. } = call.subject.label();
        // A reader that sees a part of this record sees the last one ended.
        fence(Ordering::Release);
        self.identity.store(0, Ordering::Relaxed);
        self.awaited.store(0, Ordering::Relaxed);
        self.kind.set(kind);
        self.object.set(name);
        self.call.set(call.name);
        let (file, line) = call.place.unwrap_or_default();
        self.file.set_tail(file);
        self.line.store(line, Ordering::Relaxed);
        self.since.store(since, Ordering::Release);
    }

    /// Adds what only the object's own communicator learns.
    pub(super) fn note_awaited(&self, identity: u64, since: u64, awaited: Option<u32>) {
        if self.since.load(Ordering::Relaxed) == since {
            self.identity.store(identity, Ordering::Relaxed);
            let awaited = awaited.map_or(0, |rank| rank + 1);
            self.awaited.store(awaited, Ordering::Relaxed);
        }
    }

    pub(super) fn end(&self, since: u64) {
        if self.since.load(Ordering::Relaxed) == since {
            self.since.store(0, Ordering::Relaxed);
        }
    }

    /// The wait of the rank, if it is in one.
    pub(crate) fn get(&self) -> Option<Wait> {
        /// How often a record that changes is read.
        const ATTEMPTS: u32 = 3;
        for _ in 0..ATTEMPTS {
            let since = self.since.load(Ordering::Acquire);
            if since == 0 {
                return None;
            }
            let wait = Wait {
                since,
                identity: self.identity.load(Ordering::Relaxed),
                awaited: self.awaited.load(Ordering::Relaxed).checked_sub(1),
                kind: self.kind.get(),
                object: self.object.get(),
                call: self.call.get(),
                file: self.file.get(),
                line: self.line.load(Ordering::Relaxed),
            };
            fence(Ordering::Acquire);
            // No two waits of a rank begin at the same time.
            if self.since.load(Ordering::Relaxed) == since {
                return Some(wait);
            }
        }
        None
    }
}

impl Wait {
    /// How long the wait has lasted.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_nanos(now().saturating_sub(self.since))
    }
}

/// This process's records: one in the memory of each communicator, at that offset.
static RECORDS: Mutex<Vec<(Weak<Mapping>, usize)>> = Mutex::new(Vec::new());

/// Adds a communicator's record of this process.
pub(crate) fn register(memory: &Arc<Mapping>, offset: usize) {
    let mut records = lock(&RECORDS);
    records.retain(|(memory, _)| memory.strong_count() > 0);
    records.push((Arc::downgrade(memory), offset));
}

fn for_each(mut act: impl FnMut(&WaitRecord)) {
    lock(&RECORDS).retain(|(memory, offset)| {
        let memory = memory.upgrade();
        memory.is_some_and(|memory| {
            act(memory.get(*offset));
            true
        })
    });
}

/// Records a wait that has already lasted for some time. Returns its identity.
pub(super) fn begin(call: Call<'_>, lasted: Duration) -> u64 {
    let lasted = lasted.as_nanos() as u64;
    let since = now().saturating_sub(lasted).max(1);
    for_each(|record| record.begin(call, since));
    since
}

/// Notes for whom the call of this identity waits.
pub(super) fn note_awaited(call: Call<'_>, since: u64, awaited: Option<u32>) {
    let own = call.subject.domain().segment().my_wait();
    let identity = call.subject.label().identity;
    for_each(|record| {
        if ptr::eq(record, own) {
            record.note_awaited(identity, since, awaited);
        }
    });
}

/// Ends the record of this identity.
pub(super) fn end(since: u64) {
    for_each(|record| record.end(since));
}

/// The host's clock in nanoseconds, which all processes read alike. It may be set back; only the text
/// of a report depends on it.
pub(super) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_nanos() as u64
}
