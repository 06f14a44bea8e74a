//! Reading without a barrier, under the model checker.

use crate::rwlock::layout::{BIASED, GRANTED, GateKind, Turn};
use crate::rwlock::memory::Memory;
use crate::rwlock::node::NodeLock;
use crate::rwlock::tests::heap::HeapMemory;
use crate::rwlock::tests::locks;
use crate::rwlock::tests::loom::*;
use crate::shm::atomic::Ordering;
use ::loom::sync::Arc;

/// Locks of which the readers do without a barrier.
pub(super) fn biased_locks(ranks: usize, gate: GateKind) -> Vec<NodeLock<HeapMemory>> {
    let mut locks = locks(ranks, gate);
    for lock in &mut locks {
        lock.memory.biased = true;
        // As after many reads.
        lock.memory.gate().word.fetch_or(BIASED, Ordering::Relaxed);
    }
    locks
}

fn biased(ranks: usize) -> Vec<NodeLock<HeapMemory>> {
    biased_locks(ranks, GateKind::Local)
}

#[test]
fn reader_and_writer() {
    explore_with(biased, 2, &[READ, WRITE]);
}

#[test]
fn two_readers_and_a_writer() {
    explore_with(biased, 1, &[READ, READ, WRITE]);
}

#[test]
fn a_reader_and_two_writers() {
    explore_with(biased, 1, &[READ, WRITE, WRITE]);
}

/// The gate is biased, is closed and opened, and may be biased again.
#[test]
fn reader_and_writer_twice() {
    explore_with(
        biased,
        2,
        &[
            |lock, guarded| WRITE(lock, guarded) + WRITE(lock, guarded),
            |lock, guarded| READ(lock, guarded) + READ(lock, guarded),
        ],
    );
}

#[test]
fn timeouts() {
    explore_with(biased, 2, &[IMPATIENT_READ, WRITE]);
    explore_with(biased, 2, &[IMPATIENT_WRITE, READ]);
}

#[test]
fn an_impatient_writer_of_three() {
    explore_with(biased, 1, &[IMPATIENT_WRITE, WRITE, READ]);
}

#[test]
fn tries() {
    explore_with(biased, 2, &[TRY_BOTH, READ]);
    explore_with(biased, 1, &[TRY_BOTH, WRITE, READ]);
}

#[test]
fn from_writing_to_reading_and_back() {
    explore_with(biased, 2, &[DOWNGRADE, READ]);
    explore_with(biased, 2, &[UPGRADE, READ]);
}

/// An urgent writer that is given the turn had no barrier of its own.
#[test]
fn the_turn_is_handed_over() {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(1));
    model.check(|| {
        let guarded = Arc::new(Guarded::new(0));
        let [first, second, third]: [_; 3] = biased(3)
            .try_into()
            .unwrap_or_else(|_| unreachable!("three locks"));
        // With the turn, and without the barrier.
        assert!(first.try_biased_turn());
        let handing_over = ::loom::thread::spawn(move || first.pass_turn_without_opening());
        let reading = {
            let guarded = Arc::clone(&guarded);
            ::loom::thread::spawn(move || READ(&third, &guarded))
        };
        WRITE(&second, &guarded);
        handing_over.join().expect("no rank fails");
        reading.join().expect("no rank fails");
    });
}

/// A rank dies after it has closed the gate and before the barrier is run; the writer that comes
/// next runs it.
#[test]
fn a_rank_that_closed_the_gate_died() {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(1));
    model.check(|| {
        let guarded = Arc::new(Guarded::new(0));
        let [dead, mut second, mut third]: [_; 3] = biased(3)
            .try_into()
            .unwrap_or_else(|_| unreachable!("three locks"));
        second.memory.dead = Some(0);
        third.memory.dead = Some(0);
        let reading = {
            let guarded = Arc::clone(&guarded);
            ::loom::thread::spawn(move || READ(&third, &guarded))
        };
        dead.memory
            .my_words()
            .request
            .store(GRANTED, Ordering::Relaxed);
        assert!(dead.try_biased_turn());
        WRITE(&second, &guarded);
        reading.join().expect("no rank fails");
        let turn = second.turn();
        assert!(turn == Turn::FREE || turn == Turn(BIASED));
    });
}
