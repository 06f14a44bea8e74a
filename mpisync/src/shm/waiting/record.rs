//! The record of a wait in the shared memory of a communicator.

use crate::error::call_text;
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::shm::cells::Text;
use crate::shm::waiting::graph::NeededProcesses;
use crate::shm::waiting::report::seconds;
use crate::shm::waiting::want::{GlobalId, WANTED_WORDS, Want, Wanted};
use crate::shm::waiting::{Call, Label};
use serde::{Deserialize, Serialize};
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
    /// The number of the process, the same in the records of all its communicators; 0 for a server.
    process: AtomicU64,
    /// The number of the rank's last look at this wait, from 1; 0 while the words below are written, and
    /// before the first look.
    look: AtomicU64,
    /// What has to happen before the wait ends: [`EACH`], [`ANY`], or 0 if that is not known.
    needs: AtomicU32,
    /// The number of processes in `needed`.
    count: AtomicU32,
    /// The processes that have to go on.
    needed: [AtomicU64; MOST_NEEDED],
    /// Where processes have taken what this one waits for.
    held: [Held; MOST_HELD],
    /// 1 if the wait is on an object of several hosts, `object_id`; 0 if not.
    is_global: AtomicU32,
    /// The numbers of its communicator and of the object.
    object_id: [AtomicU64; 2],
    /// The parts of its [`Want`]; `least` is 0 if there is none.
    wanted_id: [AtomicU64; 2],
    want: [AtomicU64; WANTED_WORDS],
    least: AtomicU64,
    /// [`NOTHING_FOUND`], [`FOUND`] or [`LEAVING`].
    phase: AtomicU32,
    /// The identity of a wait that is a part of a deadlock over several hosts, and which news are about
    /// it. Stored by the node's leader.
    pub(super) news_for: AtomicU64,
    pub(super) news: AtomicU64,
}

/// Where a process has taken what another one waits for.
#[repr(C)]
struct Held {
    /// 0 if not known.
    process: AtomicU64,
    /// Since when it is known to have it, in nanoseconds of the host's clock.
    since: AtomicU64,
    line: AtomicU32,
    file: Text<8>,
}

/// The contents of a [`Held`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) process: u64,
    #[cfg_attr(
        not(feature = "inspect"),
        allow(dead_code, reason = "only a process outside reads it")
    )]
    pub(crate) since: u64,
    pub(crate) file: String,
    pub(crate) line: u32,
}

/// The most places that a record names.
pub(super) const MOST_HELD: usize = 4;
/// The most processes that a record names.
pub(super) const MOST_NEEDED: usize = 64;
/// `needs`: the wait does not end before each of the processes has gone on. There may be more.
const EACH: u32 = 1;
/// `needs`: the wait does not end before one of the processes has gone on. There are no more.
const ANY: u32 = 2;

/// `phase`: the rank has found no deadlock.
const NOTHING_FOUND: u32 = 0;
/// `phase`: the rank has found that it waits in a deadlock.
pub(super) const FOUND: u32 = 1;
/// `phase`: it is about to end its wait for that reason.
pub(super) const LEAVING: u32 = 2;

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

/// What a rank has found out in a look at its wait.
#[derive(Clone, Debug)]
pub(super) struct Looked {
    pub(super) since: u64,
    pub(super) look: u64,
    /// None if it does not know what could end its wait.
    pub(super) needs: Option<NeededProcesses>,
    /// Where processes have taken what is waited for.
    pub(super) taken: Vec<Taken>,
    /// The object, if it spans hosts.
    pub(super) object: Option<GlobalId>,
    pub(super) want: Option<Want>,
}

impl Looked {
    /// Whether the process is in the same wait as before, and has looked anew, from beginning to end.
    pub(super) fn is_new_since(&self, (since, look): &(u64, u64)) -> bool {
        // The look that was under way at the first time may have written its number after it.
        self.since == *since && self.look >= look + 2
    }
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
        self.look.store(0, Ordering::Relaxed);
        self.phase.store(NOTHING_FOUND, Ordering::Relaxed);
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

    /// Writes what a look has found.
    pub(super) fn note_look(&self, looked: &Looked) {
        if self.since.load(Ordering::Relaxed) != looked.since {
            return;
        }
        self.look.store(0, Ordering::Relaxed);
        // A reader that sees a part of what follows sees the 0.
        fence(Ordering::Release);
        let (needs, processes): (u32, &[u64]) = match &looked.needs {
            None => (0, &[]),
            Some(NeededProcesses::Each(processes)) => (EACH, processes),
            Some(NeededProcesses::Any(processes)) => (ANY, processes),
            Some(NeededProcesses::Amount { .. }) => (0, &[]),
        };
        self.needs.store(needs, Ordering::Relaxed);
        self.count.store(processes.len() as u32, Ordering::Relaxed);
        for (word, process) in self.needed.iter().zip(processes) {
            word.store(*process, Ordering::Relaxed);
        }
        for (index, held) in self.held.iter().enumerate() {
            let taken = looked.taken.get(index);
            let process = taken.map_or(0, |taken| taken.process);
            held.process.store(process, Ordering::Relaxed);
            if let Some(taken) = taken {
                held.since.store(taken.since, Ordering::Relaxed);
                held.line.store(taken.line, Ordering::Relaxed);
                held.file.set_tail(&taken.file);
            }
        }
        self.note_want(looked);
        self.look.store(looked.look, Ordering::Release);
    }

    fn note_want(&self, looked: &Looked) {
        self.is_global
            .store(looked.object.is_some().into(), Ordering::Relaxed);
        if let Some(GlobalId {
            communicator,
            object,
        }) = looked.object
        {
            self.object_id[0].store(communicator, Ordering::Relaxed);
            self.object_id[1].store(object, Ordering::Relaxed);
        }
        let Want { of, what, least } = match looked.want {
            Some(want) => want,
            None => return self.least.store(0, Ordering::Relaxed),
        };
        self.wanted_id[0].store(of.communicator, Ordering::Relaxed);
        self.wanted_id[1].store(of.object, Ordering::Relaxed);
        for (word, value) in self.want.iter().zip(what.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
        self.least.store(least, Ordering::Relaxed);
    }

    fn want(&self, of: GlobalId) -> Option<Want> {
        let words = self.want.each_ref();
        let what = Wanted::from_words(words.map(|word| word.load(Ordering::Relaxed)))?;
        let least = self.least.load(Ordering::Relaxed);
        (least > 0).then_some(Want { of, what, least })
    }

    /// Whether a rank waits without a time limit and knows what could end its wait; since when.
    pub(super) fn waits_endlessly(&self) -> Option<u64> {
        let since = self.since.load(Ordering::Relaxed);
        let knows =
            self.needs.load(Ordering::Relaxed) != 0 || self.least.load(Ordering::Relaxed) != 0;
        (since != 0 && knows && self.look.load(Ordering::Relaxed) != 0).then_some(since)
    }

    /// The identity of the wait, and the number of the rank's last look at it, if it waits and has
    /// looked.
    pub(super) fn look(&self) -> Option<(u64, u64)> {
        let since = self.since.load(Ordering::Acquire);
        let look = self.look.load(Ordering::Acquire);
        let is_whole = self.since.load(Ordering::Relaxed) == since;
        (since != 0 && look != 0 && is_whole).then_some((since, look))
    }

    /// What the rank has found out in its last look, if it waits and has looked.
    pub(super) fn looked(&self) -> Option<Looked> {
        let id = |words: &[AtomicU64; 2]| GlobalId {
            communicator: words[0].load(Ordering::Relaxed),
            object: words[1].load(Ordering::Relaxed),
        };
        let since = self.since.load(Ordering::Acquire);
        let look = self.look.load(Ordering::Acquire);
        let count = self.count.load(Ordering::Relaxed) as usize;
        let needed = self.needed.iter().take(count);
        let processes = needed.map(|word| word.load(Ordering::Relaxed)).collect();
        let looked = Looked {
            since,
            look,
            needs: match self.needs.load(Ordering::Relaxed) {
                EACH => Some(NeededProcesses::Each(processes)),
                ANY => Some(NeededProcesses::Any(processes)),
                _ => None,
            },
            taken: self.held.iter().filter_map(Held::get).collect(),
            object: (self.is_global.load(Ordering::Relaxed) != 0).then(|| id(&self.object_id)),
            want: self.want(id(&self.wanted_id)),
        };
        fence(Ordering::Acquire);
        let is_whole = self.look.load(Ordering::Relaxed) == look
            && self.since.load(Ordering::Relaxed) == since;
        (since != 0 && look != 0 && is_whole).then_some(looked)
    }

    /// The identity of the wait, and how far the rank has got in ending it.
    pub(super) fn phase(&self) -> (u64, u32) {
        let since = self.since.load(Ordering::Acquire);
        (since, self.phase.load(Ordering::Acquire))
    }

    /// Stores how far the rank has got in ending the wait of this identity.
    pub(super) fn set_phase(&self, since: u64, phase: u32) {
        if self.since.load(Ordering::Relaxed) == since {
            self.phase.store(phase, Ordering::Release);
        }
    }

    /// The number of the process; 0 for a server, and before the process has registered.
    pub(crate) fn process(&self) -> u64 {
        self.process.load(Ordering::Acquire)
    }

    /// Where processes have taken what the rank waits for, as far as it has found out.
    #[cfg(feature = "inspect")]
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.looked().map_or(Vec::new(), |looked| looked.taken)
    }

    pub(super) fn set_process(&self, number: u64) {
        self.process.store(number, Ordering::Release);
    }

    pub(super) fn end(&self, since: u64) {
        if self.since.load(Ordering::Relaxed) == since {
            self.since.store(0, Ordering::Relaxed);
            // A reader that sees what the rank does from here on sees that the wait has ended.
            fence(Ordering::Release);
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

impl Held {
    fn get(&self) -> Option<Taken> {
        let process = self.process.load(Ordering::Relaxed);
        (process != 0).then(|| Taken {
            process,
            since: self.since.load(Ordering::Relaxed),
            file: self.file.get(),
            line: self.line.load(Ordering::Relaxed),
        })
    }
}

impl Taken {
    /// Where `process` has taken what a rank waits for, if one of `all` says so.
    pub(super) fn place_of(all: &[Taken], process: u64) -> Option<(&str, u32)> {
        let taken = all.iter().find(|taken| taken.process == process)?;
        Some((&taken.file, taken.line))
    }
}

impl Wait {
    /// How long the wait has lasted.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_nanos(now().saturating_sub(self.since))
    }

    /// How long it has lasted, and in which call.
    pub(super) fn text(&self) -> String {
        let call = call_text(&self.call, &self.kind, &self.object, &self.file, self.line);
        format!("has waited for {} in {call}", seconds(self.age()))
    }
}

/// The host's clock in nanoseconds, which all processes read alike. It may be set back; only the text
/// of a report depends on it.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_nanos() as u64
}
