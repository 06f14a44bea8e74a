//! The records of a rank's waits in the memory of all its communicators.
//!
//! A rank that waits on an object of one communicator may keep the ranks of another one waiting. So
//! the record is written for all communicators of the process; only the object's own communicator
//! learns which object it is and for which rank the call waits.

use crate::shm::atomic::Ordering;
use crate::shm::domain::{Domain, number_of_this_thread};
use crate::shm::lock;
use crate::shm::mapping::Mapping;
use crate::shm::members::Member;
use crate::shm::topology::RankLocation;
use crate::shm::waiting::graph::NeededProcesses;
use crate::shm::waiting::news::NewsWords;
use crate::shm::waiting::record::{Looked, MOST_HELD, MOST_NEEDED, Taken, Wait, WaitRecord, now};
use crate::shm::waiting::want::Want;
use crate::shm::waiting::{Awaited, Call, Needs, seen_for};
use core::sync::atomic::{AtomicBool, AtomicUsize};
use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::mem;
use std::ptr;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::thread::ThreadId;
use std::time::Duration;

/// The records of a communicator on this node.
struct Records {
    /// The number of the process or thread that is the rank.
    owner: u64,
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

    /// The identity of its wait, and the number of its last look at it.
    pub(super) fn look(&self) -> Option<(u64, u64)> {
        self.record.look()
    }

    /// The identity of its wait, and how far it has got in ending it.
    pub(super) fn phase(&self) -> (u64, u32) {
        self.record.phase()
    }
}

/// Adds a communicator's records: `ranks` are on this node, this one is that of number `me`, and this
/// process, or the thread with the number `thread`. News of other hosts, if there are any, are at the
/// offset `news`.
pub(crate) fn register(
    memory: &Arc<Mapping>,
    members: usize,
    me: usize,
    ranks: &[u32],
    thread: Option<u64>,
    news: Option<usize>,
) {
    let owner = thread.unwrap_or_else(|| {
        note_thread();
        number_of_process()
    });
    let all: &[Member] = memory.slice(members, ranks.len());
    all[me].wait.set_process(owner);
    let mut records = lock(&RECORDS);
    records.retain(|records| records.memory.strong_count() > 0);
    records.push(Records {
        owner,
        memory: Arc::downgrade(memory),
        members,
        me,
        ranks: ranks.to_vec(),
        news,
    });
}

/// The number of this process, or of this thread if that is a rank by itself.
pub(super) fn own_number() -> u64 {
    number_of_this_thread().unwrap_or_else(number_of_process)
}

/// The number of this process, which differs between the processes of a node, also if they are in
/// PID namespaces of their own. Never 0.
fn number_of_process() -> u64 {
    static NUMBER: OnceLock<u64> = OnceLock::new();
    *NUMBER.get_or_init(|| RandomState::new().hash_one(std::process::id()) | 1)
}

/// Calls `act` with the rank of each other process of this node once, and with this rank.
pub(super) fn for_each_known(mut act: impl FnMut(Known<'_>)) {
    let (mut seen, mut memories) = (HashSet::new(), HashSet::new());
    let mut previous = ptr::null();
    for records in &*lock(&RECORDS) {
        // Ranks that are threads have the same memory, mostly one after the other.
        let this = records.memory.as_ptr();
        if mem::replace(&mut previous, this) == this || !memories.insert(this) {
            continue;
        }
        let Some(memory) = records.memory.upgrade() else {
            continue;
        };
        let members: &[Member] = memory.slice(records.members, records.ranks.len());
        for (member, &rank) in members.iter().zip(&records.ranks) {
            let process = member.wait.process();
            if process != 0 && seen.insert(process) {
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

/// Whether a wait of this rank of the domain keeps the rank from everything else that it does with the
/// library: the rank is a thread, or a process with one thread that uses the library.
fn waits_as_a_whole(domain: &Domain) -> bool {
    let is_shared = SHARED.load(Ordering::Relaxed) > 0;
    !is_shared && (domain.is_of_threads() || !HAS_SEVERAL_USERS.load(Ordering::Relaxed))
}

/// How many objects threads of this process share.
static SHARED: AtomicUsize = AtomicUsize::new(0);

/// While it exists, threads of this rank share an object: one that waits does not keep the others from going on.
pub(crate) struct SeveralThreads(());

impl SeveralThreads {
    pub(crate) fn begin() -> Self {
        SHARED.fetch_add(1, Ordering::Relaxed);
        SeveralThreads(())
    }
}

impl Drop for SeveralThreads {
    fn drop(&mut self) {
        SHARED.fetch_sub(1, Ordering::Relaxed);
    }
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

/// Calls `act` with the record of this process, and of this thread if that is a rank by itself, in each
/// communicator.
fn for_each(act: impl FnMut(&WaitRecord)) {
    let owners = [Some(number_of_process()), number_of_this_thread()];
    for_each_of(owners, act);
}

/// Calls `act` with those records in each communicator that a wait in this domain concerns: if the ranks
/// of that are threads, it keeps the thread waiting and not the process.
fn for_each_in(domain: &Domain, act: impl FnMut(&WaitRecord)) {
    let process = (!domain.is_of_threads()).then(number_of_process);
    for_each_of([process, number_of_this_thread()], act);
}

fn for_each_of(owners: [Option<u64>; 2], mut act: impl FnMut(&WaitRecord)) {
    lock(&RECORDS).retain(|records| {
        if owners.contains(&Some(records.owner))
            && let Some(memory) = records.memory.upgrade()
        {
            let members: &[Member] = memory.slice(records.members, records.ranks.len());
            act(&members[records.me].wait);
        }
        records.memory.strong_count() > 0
    });
}

/// Records a wait that has already lasted for some time. Returns its identity.
pub(super) fn begin(call: Call<'_>, lasted: Duration) -> u64 {
    let lasted = lasted.as_nanos() as u64;
    let since = now().saturating_sub(lasted).max(1);
    for_each_in(call.subject.domain(), |record| record.begin(call, since));
    since
}

/// Records the wait of this identity if another thread of this rank had the record when it began, and has ended its wait.
pub(super) fn renew(call: Call<'_>, since: u64) {
    for_each_in(call.subject.domain(), |record| record.begin(call, since));
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

/// Notes what look number `look` at the wait of this identity has found: it cannot end before `needs`,
/// and waits for `awaited`. `want` is the same in a form for other hosts.
pub(super) fn note_look(
    call: Call<'_>,
    (since, look): (u64, u64),
    needs: &Needs,
    awaited: &[Awaited],
    want: Option<Want>,
) {
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
        look,
        needs: needs.filter(|_| waits_as_a_whole(domain)),
        taken: taken.take(MOST_HELD).collect(),
        object: call.subject.object(),
        want: want.filter(|_| waits_as_a_whole(domain)),
    };
    for_each_in(domain, |record| record.note_look(&looked));
}

fn process_of(domain: &Domain, local_rank: usize) -> u64 {
    domain.segment().member(local_rank).wait.process()
}

/// Notes how far this rank has got in ending the wait of this identity.
pub(super) fn note_phase(since: u64, phase: u32) {
    for_each(|record| {
        record.set_phase(since, phase);
    });
}

/// Ends the record of this identity.
pub(super) fn end(since: u64) {
    for_each(|record| record.end(since));
}
