//! Threads that share a rank, beside other ranks.

use super::Guarded;
use crate::rwlock::layout::{GRANTED, GateKind};
use crate::rwlock::memory::Memory;
use crate::rwlock::node::NodeLock;
use crate::rwlock::shared::queue::ThreadQueue;
use crate::rwlock::shared::readers::WaitingReaders;
use crate::rwlock::tests::heap::HeapMemory;
use crate::rwlock::tests::locks;
use crate::shm::atomic::Ordering;
use crate::shm::wait::Deadline;
use ::loom::sync::Arc;
use std::time::Duration;

/// A rank whose threads share it.
struct Rank {
    lock: NodeLock<HeapMemory>,
    waiting: WaitingReaders,
}

impl Rank {
    fn new(mut lock: NodeLock<HeapMemory>) -> Self {
        lock.memory.writers = Some(ThreadQueue::default());
        Rank {
            lock,
            waiting: WaitingReaders::default(),
        }
    }

    fn writers(&self) -> &ThreadQueue {
        self.lock.memory.writers.as_ref().expect("it has threads")
    }
}

/// What a thread does. Returns how often it has written.
type Act = fn(&Rank, &Guarded) -> u32;

fn read(rank: &Rank, guarded: &Guarded, deadline: Deadline<'_>) -> bool {
    let Ok(counter) = rank.waiting.read(&rank.lock, 0, || deadline) else {
        return false;
    };
    // SAFETY: the read lock is held; loom reports a write at the same time.
    guarded.with(|value| unsafe { *value });
    rank.lock.unlock_read_as_thread(counter);
    true
}

fn write(rank: &Rank, guarded: &Guarded, deadline: Deadline<'_>) -> bool {
    if rank.writers().take(&rank.lock.memory, deadline).is_err() {
        return false;
    }
    let has_entered = rank.lock.write(|| deadline).is_ok();
    if has_entered {
        // SAFETY: the write lock is held; loom reports any other access at the same time.
        guarded.with_mut(|value| unsafe { *value += 1 });
        rank.lock.unlock_write();
    }
    rank.writers().pass_on();
    has_entered
}

const READ: Act = |rank, guarded| {
    assert!(read(rank, guarded, Deadline::NEVER));
    0
};
const WRITE: Act = |rank, guarded| {
    assert!(write(rank, guarded, Deadline::NEVER));
    1
};
const IMPATIENT_READ: Act = |rank, guarded| {
    read(rank, guarded, Deadline::after(Duration::ZERO));
    0
};
const IMPATIENT_WRITE: Act =
    |rank, guarded| write(rank, guarded, Deadline::after(Duration::ZERO)).into();

/// Runs these acts at the same time, each of them on a thread: those of the first list are threads of one rank, the
/// others those of another one. Afterwards the guarded value is the sum of what the acts returned, and both ranks can
/// have the lock.
fn explore(preemptions: usize, first: &'static [Act], second: &'static [Act]) {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(preemptions));
    model.check(move || {
        let guarded = Arc::new(Guarded::new(0));
        let mut locks = locks(2, GateKind::Local);
        locks.iter_mut().for_each(|lock| lock.memory.counters = 1);
        let ranks: Vec<_> = locks
            .into_iter()
            .map(|lock| Arc::new(Rank::new(lock)))
            .collect();
        let acts = first.iter().map(|act| (&ranks[0], act));
        let mut acts = acts.chain(second.iter().map(|act| (&ranks[1], act)));
        let mine = acts.next().expect("at least one thread");
        let threads: Vec<_> = acts
            .map(|(rank, act)| {
                let (rank, guarded) = (Arc::clone(rank), Arc::clone(&guarded));
                ::loom::thread::spawn(move || act(&rank, &guarded))
            })
            .collect();
        let (rank, act) = mine;
        let mut written = act(rank, &guarded);
        for thread in threads {
            written += thread.join().expect("no thread fails");
        }
        for rank in &ranks {
            assert!(rank.lock.try_read_as_thread(0), "no writer is left behind");
            rank.lock.unlock_read_as_thread(0);
            assert!(rank.writers().try_take(), "no thread is left in the line");
            assert!(rank.lock.try_write(), "no reader is left behind");
            rank.lock.unlock_write();
            rank.writers().pass_on();
        }
        // SAFETY: no thread is left.
        guarded.with(|value| assert_eq!(unsafe { *value }, written));
    });
}

#[test]
fn a_reading_and_a_writing_thread_of_one_rank() {
    explore(2, &[READ, WRITE], &[]);
}

#[test]
fn two_writing_threads_of_one_rank() {
    explore(2, &[WRITE, WRITE], &[]);
}

#[test]
fn two_reading_threads_beside_a_rank_that_writes() {
    explore(1, &[READ, READ], &[WRITE]);
}

#[test]
fn a_reading_and_a_writing_thread_beside_a_rank_that_writes() {
    explore(1, &[READ, WRITE], &[WRITE]);
}

#[test]
fn two_writing_threads_beside_a_rank_that_reads() {
    explore(1, &[WRITE, WRITE], &[READ]);
}

#[test]
fn impatient_threads() {
    explore(2, &[IMPATIENT_READ, WRITE], &[]);
    explore(2, &[IMPATIENT_WRITE, WRITE], &[]);
    explore(1, &[IMPATIENT_READ, READ], &[WRITE]);
    explore(1, &[IMPATIENT_WRITE, READ], &[WRITE]);
}

/// A writer has died with a request that was granted: a reading thread frees the turn and opens the gate, while another
/// thread of its rank, which has the same number in the turn, writes.
#[test]
fn a_reading_thread_that_opens_for_the_dead_is_not_taken_for_the_writing_one() {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(2));
    model.check(|| {
        let guarded = Arc::new(Guarded::new(0));
        let [dead, mut lock]: [_; 2] = locks(2, GateKind::Local)
            .try_into()
            .unwrap_or_else(|_| unreachable!("two locks"));
        assert!(dead.try_write());
        let request = &dead.memory.my_words().request;
        request.store(GRANTED, Ordering::Relaxed);
        lock.memory.counters = 1;
        lock.memory.dead = Some(0);
        let rank = Arc::new(Rank::new(lock));
        let thread = {
            let (rank, guarded) = (Arc::clone(&rank), Arc::clone(&guarded));
            ::loom::thread::spawn(move || WRITE(&rank, &guarded))
        };
        READ(&rank, &guarded);
        assert_eq!(thread.join().expect("it writes"), 1);
        // SAFETY: no thread is left.
        guarded.with(|value| assert_eq!(unsafe { *value }, 1));
    });
}
