//! The record of a wait in the shared memory of each communicator of the rank.
//!
//! A rank that waits on an object of one communicator may keep the ranks of another one waiting. So
//! the record is written for all communicators of the process; only the object's own communicator
//! learns which object it is and for which rank the call waits.

use crate::error::call_text;
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use crate::shm::cells::Text;
use crate::shm::domain::Domain;
use crate::shm::lock;
use crate::shm::mapping::Mapping;
use crate::shm::members::Member;
use crate::shm::topology::RankLocation;
use crate::shm::waiting::graph::NeededProcesses;
use crate::shm::waiting::news::NewsWords;
use crate::shm::waiting::report::seconds;
use crate::shm::waiting::want::{GlobalId, WANTED_WORDS, Want, Wanted};
use crate::shm::waiting::{Awaited, Call, Label, Needs, seen_for};
use core::sync::atomic::{AtomicBool, AtomicU64 as Number};
use serde::{Deserialize, Serialize};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::ptr;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::thread::ThreadId;
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
    /// The number of the rank's last look at its wait, which grows; 0 while the words below are
    /// written, and before the first look of a wait.
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
        not(feature = "cli"),
        allow(dead_code, reason = "only a process outside reads it")
    )]
    pub(crate) since: u64,
    pub(crate) file: String,
    pub(crate) line: u32,
}

/// The most places that a record names.
const MOST_HELD: usize = 4;
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
    fn note_look(&self, looked: &Looked) {
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

    /// The number of the process; 0 for a server, and before the process has registered.
    pub(crate) fn process(&self) -> u64 {
        self.process.load(Ordering::Acquire)
    }

    /// Where processes have taken what the rank waits for, as far as it has found out.
    #[cfg(feature = "cli")]
    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.looked().map_or(Vec::new(), |looked| looked.taken)
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

/// The records of a communicator on this node.
struct Records {
    memory: Weak<Mapping>,
    /// The offset of the data of its members.
    members: usize,
    /// This rank's number among them.
    me: usize,
    /// The ranks of the members in the communicator.
    ranks: Vec<u32>,
    /// The offset of the news of other hosts, if there are any.
    news: Option<usize>,
}

/// The records of this process's communicators.
static RECORDS: Mutex<Vec<Records>> = Mutex::new(Vec::new());

/// A rank of one of this process's communicators, with its record.
pub(super) struct Known<'a> {
    pub(super) rank: u32,
    /// The number of its process.
    pub(super) process: u64,
    /// The number that the system gave the process.
    pub(super) id: u32,
    record: &'a WaitRecord,
}

impl Known<'_> {
    pub(super) fn wait(&self) -> Option<Wait> {
        self.record.get()
    }

    pub(super) fn looked(&self) -> Option<Looked> {
        self.record.looked()
    }

    /// The identity of its wait, and how far it has got in ending it.
    pub(super) fn phase(&self) -> (u64, u32) {
        self.record.phase()
    }
}

/// Adds a communicator's records: `ranks` are on this node, this one is the one of number `me`. News of
/// other hosts, if there are any, are at the offset `news`.
pub(crate) fn register(
    memory: &Arc<Mapping>,
    members: usize,
    me: usize,
    ranks: &[u32],
    news: Option<usize>,
) {
    note_thread();
    let all: &[Member] = memory.slice(members, ranks.len());
    all[me].wait.process.store(own_number(), Ordering::Release);
    let mut records = lock(&RECORDS);
    records.retain(|records| records.memory.strong_count() > 0);
    records.push(Records {
        memory: Arc::downgrade(memory),
        members,
        me,
        ranks: ranks.to_vec(),
        news,
    });
}

/// The number of this process, which differs between the processes of a node, also if they are in
/// PID namespaces of their own. Never 0.
pub(super) fn own_number() -> u64 {
    static NUMBER: OnceLock<u64> = OnceLock::new();
    *NUMBER.get_or_init(|| RandomState::new().hash_one(std::process::id()) | 1)
}

/// Calls `act` with the rank of each other process of this node once, and with this rank.
pub(super) fn for_each_known(mut act: impl FnMut(Known<'_>)) {
    let mut seen = Vec::new();
    for records in &*lock(&RECORDS) {
        let Some(memory) = records.memory.upgrade() else {
            continue;
        };
        let members: &[Member] = memory.slice(records.members, records.ranks.len());
        for (member, &rank) in members.iter().zip(&records.ranks) {
            let process = member.wait.process();
            if process != 0 && !seen.contains(&process) {
                seen.push(process);
                let (id, record) = (member.process.load(Ordering::Relaxed), &member.wait);
                act(Known {
                    rank,
                    process,
                    id,
                    record,
                });
            }
        }
    }
}

/// The thread of this process that makes objects, and whether there are several.
static USER: Mutex<Option<ThreadId>> = Mutex::new(None);
static HAS_SEVERAL_USERS: AtomicBool = AtomicBool::new(false);

/// Notes that this thread makes an object. Objects and guards stay on their threads.
pub(crate) fn note_thread() {
    let this = thread::current().id();
    if *lock(&USER).get_or_insert(this) != this {
        HAS_SEVERAL_USERS.store(true, Ordering::Relaxed);
    }
}

/// Whether a wait keeps this process from everything else that it does with the library: it has one
/// thread that does.
pub(super) fn waits_as_a_whole() -> bool {
    !HAS_SEVERAL_USERS.load(Ordering::Relaxed)
}

/// Calls `act` with this rank's record in each communicator that spans hosts, and with the memory of the
/// news there.
pub(super) fn for_each_with_news(mut act: impl FnMut(&WaitRecord, &NewsWords)) {
    for records in &*lock(&RECORDS) {
        if let (Some(memory), Some(news)) = (records.memory.upgrade(), records.news) {
            let members: &[Member] = memory.slice(records.members, records.ranks.len());
            act(&members[records.me].wait, memory.get(news));
        }
    }
}

fn for_each(mut act: impl FnMut(&WaitRecord)) {
    lock(&RECORDS).retain(|records| {
        let memory = records.memory.upgrade();
        memory.is_some_and(|memory| {
            let members: &[Member] = memory.slice(records.members, records.ranks.len());
            act(&members[records.me].wait);
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

/// Notes what a look at the wait of this identity has found: it cannot end before `needs`, and waits for
/// `awaited`. `want` is the same in a form for other hosts.
pub(super) fn note_look(
    call: Call<'_>,
    since: u64,
    needs: &Needs,
    awaited: &[Awaited],
    want: Option<Want>,
) {
    /// The number of the last look of this process.
    static LOOKS: Number = Number::new(0);
    let domain = call.subject.domain();
    let process = |rank: &u32| match domain.topology().location(*rank as usize) {
        RankLocation::Local(local_rank) => Some(process_of(domain, local_rank)),
        RankLocation::Remote(_) => None,
    };
    let needs = match needs {
        Needs::Unknown => None,
        // Fewer are enough: each of them has to go on.
        Needs::Each(ranks) => {
            let processes = ranks.iter().filter_map(process).take(MOST_NEEDED);
            Some(NeededProcesses::Each(processes.collect()))
        }
        // All have to be known.
        Needs::Any(ranks) if ranks.len() <= MOST_NEEDED => {
            let processes: Option<Vec<u64>> = ranks.iter().map(process).collect();
            processes.map(NeededProcesses::Any)
        }
        Needs::Any(_) => None,
    };
    let taken = awaited.iter().filter_map(|awaited| {
        let place = awaited.held_at?;
        if awaited.rank == domain.topology().rank() {
            return None;
        }
        let seen_for = seen_for(awaited).unwrap_or_default();
        Some(Taken {
            process: process(&awaited.rank)?,
            since: now().saturating_sub(seen_for.as_nanos() as u64),
            file: place.file().to_owned(),
            line: place.line(),
        })
    });
    let looked = Looked {
        since,
        look: LOOKS.fetch_add(1, Ordering::Relaxed) + 1,
        needs: needs.filter(|_| waits_as_a_whole()),
        taken: taken.take(MOST_HELD).collect(),
        object: call.subject.object(),
        want: want.filter(|_| waits_as_a_whole()),
    };
    for_each(|record| record.note_look(&looked));
}

fn process_of(domain: &Domain, local_rank: usize) -> u64 {
    domain.segment().member(local_rank).wait.process()
}

/// Notes how far this rank has got in ending the wait of this identity.
pub(super) fn note_phase(since: u64, phase: u32) {
    for_each(|record| {
        if record.since.load(Ordering::Relaxed) == since {
            record.phase.store(phase, Ordering::Release);
        }
    });
}

/// Ends the record of this identity.
pub(super) fn end(since: u64) {
    for_each(|record| record.end(since));
}

/// The host's clock in nanoseconds, which all processes read alike. It may be set back; only the text
/// of a report depends on it.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_nanos() as u64
}
