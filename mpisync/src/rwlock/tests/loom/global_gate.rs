//! The gate under the model checker: one thread closes and opens it for writers elsewhere, as a
//! node's server does.

use crate::rwlock::layout::{GateKind, IDLE, READING};
use crate::rwlock::memory::Memory;
use crate::rwlock::node::{Closed, NodeLock};
use crate::rwlock::tests::heap::HeapMemory;
use crate::rwlock::tests::locks;
use crate::rwlock::tests::loom::bias::biased_locks;
use crate::shm::atomic::Ordering;
use crate::shm::wait::{Deadline, Stop, wait};
use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

type Guarded = UnsafeCell<u32>;
type Act = fn(&NodeLock<HeapMemory>, &Guarded);

fn read(lock: &NodeLock<HeapMemory>, guarded: &Guarded) {
    lock.read(|| Deadline::NEVER).expect("the gate opens");
    // SAFETY: the read lock is held; loom reports a write at the same time.
    guarded.with(|value| unsafe { *value });
    lock.unlock_read();
}

fn write_behind(lock: &NodeLock<HeapMemory>, guarded: &Guarded, closed: Closed) {
    let have_left = || lock.readers_have_left(closed).then_some(());
    let nothing = || Ok::<_, Stop>(());
    wait(
        &lock.memory,
        lock.left(),
        Deadline::NEVER,
        have_left,
        nothing,
    )
    .expect("waits for ever");
    // SAFETY: no reader is inside; loom reports one that is.
    guarded.with_mut(|value| unsafe { *value += 1 });
}

/// [`explore_with`] where readers have a barrier, and where they have none.
fn explore(preemptions: usize, readers: &'static [Act], server: Act) {
    explore_with(locks, preemptions, readers, server);
    explore_with(biased_locks, preemptions, readers, server);
}

/// Runs `readers` beside `server`, which has a rank of its own.
fn explore_with(
    locks: fn(usize, GateKind) -> Vec<NodeLock<HeapMemory>>,
    preemptions: usize,
    readers: &'static [Act],
    server: Act,
) {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(preemptions));
    model.check(move || {
        let guarded = Arc::new(Guarded::new(0));
        let mut locks = locks(readers.len() + 1, GateKind::Global);
        let last = locks.pop().expect("at least one rank");
        let threads: Vec<_> = locks
            .into_iter()
            .zip(readers)
            .map(|(lock, reader)| {
                let guarded = Arc::clone(&guarded);
                ::loom::thread::spawn(move || reader(&lock, &guarded))
            })
            .collect();
        server(&last, &guarded);
        for thread in threads {
            thread.join().expect("no rank fails");
        }
        assert!(last.try_read(), "the gate is open");
        last.unlock_read();
    });
}

#[test]
fn readers_beside_one_closing() {
    explore(1, &[read, read], |lock, guarded| {
        let closed = lock.close_gate(0).expect("it was never opened");
        write_behind(lock, guarded, closed);
        assert!(lock.open_gate(1));
    });
}

#[test]
fn a_reader_beside_two_closings() {
    explore(
        2,
        &[|lock, guarded| {
            read(lock, guarded);
            read(lock, guarded);
        }],
        |lock, guarded| {
            for openings in 0..2 {
                let closed = lock.close_gate(openings).expect("nobody else opens");
                write_behind(lock, guarded, closed);
                assert!(lock.open_gate(openings + 1));
            }
        },
    );
}

/// Who waited for an opening of which nothing but the next closing is heard gets in, and is waited
/// for.
#[test]
fn an_opening_that_is_left_out_lets_in() {
    static LET_IN: AtomicBool = AtomicBool::new(false);
    explore(2, &[read], |lock, guarded| {
        lock.close_gate(0).expect("it was never opened");
        let slot = lock.memory.rank_words(0).slot.load(Ordering::Relaxed);
        let closed = lock.close_gate(1).expect("nobody else opens");
        let waited = slot != IDLE && slot != READING;
        write_behind(lock, guarded, closed);
        let slot_then = lock.memory.rank_words(0).slot.load(Ordering::Relaxed);
        assert!(!waited || slot_then != slot, "the reader was passed over");
        if waited {
            LET_IN.store(true, Ordering::Relaxed);
        }
        assert!(lock.open_gate(2));
    });
    assert!(LET_IN.load(Ordering::Relaxed), "no reader waited");
}

/// Word that comes late or twice.
#[test]
fn a_gate_does_not_go_back() {
    explore(
        2,
        &[read, |lock, _| {
            lock.open_gate(1);
        }],
        |lock, guarded| {
            lock.close_gate(0);
            let closed = lock.close_gate(1).expect("nobody opens further");
            assert_eq!(lock.close_gate(1), Some(closed));
            assert_eq!(lock.close_gate(0), None, "it was opened since");
            assert!(!lock.open_gate(0) && !lock.open_gate(1), "and closed since");
            write_behind(lock, guarded, closed);
            assert!(lock.open_gate(2));
        },
    );
}

/// A reader that gives up leaves nothing that the server would wait for.
#[test]
fn an_impatient_reader() {
    const IMPATIENT: Act = |lock, guarded| {
        if lock.read(|| Deadline::after(Duration::ZERO)).is_ok() {
            // SAFETY: the read lock is held; loom reports a write at the same time.
            guarded.with(|value| unsafe { *value });
            lock.unlock_read();
        }
    };
    explore(2, &[IMPATIENT], |lock, guarded| {
        lock.close_gate(0).expect("it was never opened");
        let closed = lock.close_gate(1).expect("nobody else opens");
        write_behind(lock, guarded, closed);
        assert!(lock.open_gate(2));
    });
}

/// Two threads are told to close the gate: neither goes on before the readers' barrier is run.
#[test]
fn two_closings_at_once() {
    const CLOSE_TOO: Act = |lock, _| {
        lock.close_gate(0);
    };
    explore_with(biased_locks, 2, &[read, CLOSE_TOO], |lock, guarded| {
        let closed = lock.close_gate(0).expect("nobody else opens");
        write_behind(lock, guarded, closed);
        assert!(lock.open_gate(1));
    });
}
