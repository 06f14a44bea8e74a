//! Every interleaving of a few ranks, as far as two preemptions reach, or one where three ranks
//! wait for each other (`LOOM_MAX_PREEMPTIONS=2` explores those further, in some minutes). The
//! value that the lock guards is a cell that loom watches: a read beside a write, or a missing
//! acquire or release between them, fails the model.

mod bias;
mod global_gate;
mod ranges;
mod shared;

use crate::rwlock::layout::{GRANTED, GateKind, IDLE, NOT_REQUESTED, READING, Turn};
use crate::rwlock::memory::Memory;
use crate::rwlock::node::NodeLock;
use crate::rwlock::tests::heap::HeapMemory;
use crate::rwlock::tests::locks;
use crate::shm::atomic::Ordering;
use crate::shm::wait::{Deadline, Stop};
use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub(super) type Guarded = UnsafeCell<u32>;

fn read(lock: &NodeLock<HeapMemory>, guarded: &Guarded, deadline: Deadline<'_>) -> bool {
    if lock.read(|| deadline).is_err() {
        return false;
    }
    // SAFETY: the read lock is held; loom reports a write at the same time.
    guarded.with(|value| unsafe { *value });
    let slot = lock.memory.my_words().slot.load(Ordering::Relaxed);
    assert_eq!(slot, READING, "shown as what it is");
    lock.unlock_read();
    true
}

fn write(lock: &NodeLock<HeapMemory>, guarded: &Guarded, deadline: Deadline<'_>) -> bool {
    if lock.write(|| deadline).is_err() {
        return false;
    }
    // SAFETY: the write lock is held; loom reports any other access at the same time.
    guarded.with_mut(|value| unsafe { *value += 1 });
    lock.unlock_write();
    true
}

pub(super) type Act = fn(&NodeLock<HeapMemory>, &Guarded) -> u32;

/// Runs one act a rank at the same time; afterwards the guarded value is the sum of what the acts
/// returned, and the lock can be had for writing and reading.
fn explore(acts: &'static [Act]) {
    explore_within(2, acts);
}

/// [`explore`] as far as so many preemptions reach.
fn explore_within(preemptions: usize, acts: &'static [Act]) {
    explore_with(|ranks| locks(ranks, GateKind::Local), preemptions, acts);
}

/// [`explore_within`] with locks made by `locks`.
pub(super) fn explore_with(
    locks: fn(usize) -> Vec<NodeLock<HeapMemory>>,
    preemptions: usize,
    acts: &'static [Act],
) {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(preemptions));
    model.check(move || {
        let guarded = Arc::new(Guarded::new(0));
        let mut locks = locks(acts.len());
        let last = locks.pop().expect("at least one rank");
        let threads: Vec<_> = locks
            .into_iter()
            .zip(acts)
            .map(|(lock, act)| {
                let guarded = Arc::clone(&guarded);
                ::loom::thread::spawn(move || act(&lock, &guarded))
            })
            .collect();
        let mut written = acts[acts.len() - 1](&last, &guarded);
        for thread in threads {
            written += thread.join().expect("no rank fails");
        }
        assert!(last.try_read(), "no writer is left behind");
        last.unlock_read();
        assert!(last.try_write(), "no reader is left behind");
        // SAFETY: the write lock is held.
        guarded.with(|value| assert_eq!(unsafe { *value }, written));
        last.unlock_write();
    });
}

pub(super) const READ: Act = |lock, guarded| {
    assert!(read(lock, guarded, Deadline::NEVER));
    0
};
pub(super) const WRITE: Act = |lock, guarded| {
    assert!(write(lock, guarded, Deadline::NEVER));
    1
};
pub(super) const IMPATIENT_READ: Act = |lock, guarded| {
    read(lock, guarded, Deadline::after(Duration::ZERO));
    0
};
pub(super) const IMPATIENT_WRITE: Act =
    |lock, guarded| write(lock, guarded, Deadline::after(Duration::ZERO)) as u32;
pub(super) const TRY_BOTH: Act = |lock, guarded| {
    if lock.try_read() {
        // SAFETY: the read lock is held; loom reports a write at the same time.
        guarded.with(|value| unsafe { *value });
        lock.unlock_read();
    }
    if !lock.try_write() {
        return 0;
    }
    // SAFETY: the write lock is held; loom reports any other access at the same time.
    guarded.with_mut(|value| unsafe { *value += 1 });
    lock.unlock_write();
    1
};
/// Writes, goes on as a reader, and must not find another writer's mark in between.
pub(super) const DOWNGRADE: Act = |lock, guarded| {
    lock.write(|| Deadline::NEVER).expect("waits for ever");
    // SAFETY: the write lock is held; loom reports any other access at the same time.
    let written = guarded.with_mut(|value| unsafe {
        *value += 1;
        *value
    });
    lock.downgrade();
    // SAFETY: the read lock is held; loom reports a write at the same time.
    guarded.with(|value| assert_eq!(unsafe { *value }, written));
    lock.unlock_read();
    1
};

/// Waits as a future that writes, which is dropped after two polls.
pub(super) const CANCELLED_WRITE: Act = |lock, guarded| {
    let mut stage = None;
    for _ in 0..2 {
        stage = lock.poll_write(stage, false).expect("no rank dies");
        if stage.is_none() {
            // SAFETY: the write lock is held; loom reports any other access at the same time.
            guarded.with_mut(|value| unsafe { *value += 1 });
            lock.unlock_write();
            return 1;
        }
    }
    stage
        .into_iter()
        .for_each(|stage| lock.withdraw_write(stage));
    0
};
/// Waits as a future that reads, which is dropped after two polls.
pub(super) const CANCELLED_READ: Act = |lock, guarded| {
    let mut waiting = None;
    for _ in 0..2 {
        if lock.poll_read(&mut waiting) {
            // SAFETY: the read lock is held; loom reports a write at the same time.
            guarded.with(|value| unsafe { *value });
            lock.unlock_read();
            return 0;
        }
    }
    lock.withdraw_read(&mut waiting);
    0
};

pub(super) const UPGRADE: Act = |lock, guarded| {
    lock.read(|| Deadline::NEVER).expect("waits for ever");
    lock.write(|| Deadline::NEVER).expect("waits for ever");
    // SAFETY: the write lock is held; loom reports any other access at the same time.
    guarded.with_mut(|value| unsafe { *value += 1 });
    lock.downgrade();
    lock.unlock_read();
    1
};

#[test]
fn two_readers_one_writer() {
    explore_within(1, &[READ, READ, WRITE]);
}

#[test]
fn one_reader_two_writers() {
    explore_within(1, &[READ, WRITE, WRITE]);
}

#[test]
fn reader_and_writer_twice() {
    const TWICE: Act = |lock, guarded| WRITE(lock, guarded) + WRITE(lock, guarded);
    explore(&[TWICE, |lock, guarded| {
        READ(lock, guarded) + READ(lock, guarded)
    }]);
}

#[test]
fn timeouts() {
    explore(&[IMPATIENT_READ, WRITE]);
    explore(&[IMPATIENT_WRITE, WRITE]);
    explore(&[IMPATIENT_WRITE, READ]);
}

#[test]
fn an_impatient_reader_and_an_impatient_writer() {
    explore_within(1, &[IMPATIENT_READ, IMPATIENT_WRITE, WRITE]);
}

#[test]
fn impatient_writers() {
    explore_within(1, &[IMPATIENT_WRITE, IMPATIENT_WRITE, READ]);
}

/// The lock is granted to a future while that is dropped.
#[test]
fn dropped_futures() {
    explore(&[CANCELLED_READ, WRITE]);
    explore(&[CANCELLED_WRITE, WRITE]);
    explore(&[CANCELLED_WRITE, READ]);
}

#[test]
fn dropped_futures_of_both_kinds() {
    explore_within(1, &[CANCELLED_READ, CANCELLED_WRITE, WRITE]);
}

#[test]
fn tries() {
    explore(&[TRY_BOTH, WRITE, READ]);
}

#[test]
fn downgrade_keeps_writers_out() {
    explore(&[DOWNGRADE, WRITE]);
    explore(&[DOWNGRADE, IMPATIENT_WRITE, READ]);
}

/// A writer that is seen to be urgent before the turn is let go gets it next.
#[test]
fn an_urgent_writer_is_next() {
    static SEEN: AtomicBool = AtomicBool::new(false);
    const TWICE_IF_URGENT: Act = |lock, guarded| {
        lock.write(|| Deadline::NEVER).expect("waits for ever");
        // SAFETY: the write lock is held.
        let mine = guarded.with_mut(|value| unsafe {
            *value += 1;
            *value
        });
        let turn = Turn(
            lock.memory
                .words()
                .gate_words
                .0
                .turn
                .load(Ordering::Relaxed),
        );
        lock.unlock_write();
        if turn.waiters() == 0 || !turn.is_urgent() {
            return 1;
        }
        SEEN.store(true, Ordering::Relaxed);
        lock.write(|| Deadline::NEVER).expect("waits for ever");
        // SAFETY: the write lock is held.
        guarded.with_mut(|value| unsafe {
            assert_eq!(*value, mine + 1, "the urgent writer was passed over");
            *value += 1;
        });
        lock.unlock_write();
        2
    };
    explore(&[WRITE, TWICE_IF_URGENT]);
    assert!(SEEN.load(Ordering::Relaxed), "no writer became urgent");
}

/// A reader that is seen to wait when nobody else wants to write is in and out before the next
/// writer.
#[test]
fn a_waiting_reader_is_next() {
    static SEEN: AtomicBool = AtomicBool::new(false);
    const TWICE_IF_AWAITED: Act = |lock, guarded| {
        let slot = || lock.memory.rank_words(0).slot.load(Ordering::Relaxed);
        lock.write(|| Deadline::NEVER).expect("waits for ever");
        let before = slot();
        lock.unlock_write();
        if before == IDLE || before == READING {
            return 0;
        }
        SEEN.store(true, Ordering::Relaxed);
        lock.write(|| Deadline::NEVER).expect("waits for ever");
        assert_ne!(slot(), before, "the reader was passed over");
        // SAFETY: the write lock is held.
        guarded.with_mut(|value| unsafe { *value += 1 });
        lock.unlock_write();
        1
    };
    explore(&[READ, TWICE_IF_AWAITED]);
    assert!(SEEN.load(Ordering::Relaxed), "no reader waited");
}

/// No more than `RUN` writers follow each other without an opening.
#[test]
fn a_run_of_writers_ends() {
    const TWICE_EACH: Act = |lock, guarded| {
        for _ in 0..2 {
            lock.write(|| Deadline::NEVER).expect("waits for ever");
            let openings = lock
                .memory
                .words()
                .gate_words
                .0
                .openings
                .load(Ordering::Relaxed);
            // SAFETY: the write lock is held.
            guarded.with_mut(|value| unsafe { *value += 1 });
            // SAFETY: the write lock is held.
            guarded.with(|value| assert!(unsafe { *value } <= 2 * (openings + 1)));
            lock.unlock_write();
        }
        2
    };
    explore(&[TWICE_EACH, TWICE_EACH]);
}

/// A writer gives up while the turn is let go, taken by another writer and let go again.
#[test]
fn withdrawal_beside_two_writers() {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(2));
    model.check(|| {
        let [first, second, last]: [_; 3] = locks(3, GateKind::Local)
            .try_into()
            .unwrap_or_else(|_| unreachable!("three locks"));
        assert!(first.try_write());
        let threads = [
            ::loom::thread::spawn(move || first.unlock_write()),
            ::loom::thread::spawn(move || {
                second.write(|| Deadline::NEVER).expect("waits for ever");
                second.unlock_write();
            }),
        ];
        if last.write(|| Deadline::after(Duration::ZERO)).is_ok() {
            last.unlock_write();
        }
        for thread in threads {
            thread.join().expect("no rank fails");
        }
        assert!(last.try_write(), "no writer is left behind");
        last.unlock_write();
    });
}

/// Two writers find at the same time that the holder has died before it entered.
#[test]
fn a_writer_that_died_before_it_entered_is_passed_over() {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(2));
    model.check(|| {
        let [dead, mut second, mut third]: [_; 3] = locks(3, GateKind::Local)
            .try_into()
            .unwrap_or_else(|_| unreachable!("three locks"));
        assert!(dead.try_write());
        dead.memory
            .my_words()
            .request
            .store(GRANTED, Ordering::Relaxed);
        second.memory.dead = Some(0);
        third.memory.dead = Some(0);
        let write = |lock: NodeLock<HeapMemory>| {
            lock.write(|| Deadline::NEVER).expect("nobody has written");
            lock.unlock_write();
        };
        let thread = ::loom::thread::spawn(move || write(second));
        write(third);
        thread.join().expect("no rank fails");
    });
}

/// A rank grants a waiting writer's wish and dies before it hands the turn over.
#[test]
fn a_turn_that_was_granted_and_not_handed_over_is_reported() {
    static GRANTED_FIRST: AtomicBool = AtomicBool::new(false);
    static WITHDRAWN_FIRST: AtomicBool = AtomicBool::new(false);
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(2));
    model.check(|| {
        let [dead, mut second]: [_; 2] = locks(2, GateKind::Local)
            .try_into()
            .unwrap_or_else(|_| unreachable!("two locks"));
        assert!(dead.try_write());
        second.memory.dead = Some(0);
        let thread = ::loom::thread::spawn(move || {
            let granted = dead.choose_successor() == Some(1);
            let seen = if granted {
                &GRANTED_FIRST
            } else {
                &WITHDRAWN_FIRST
            };
            seen.store(true, Ordering::Relaxed);
        });
        let entered = second.write(|| Deadline::NEVER);
        assert_eq!(entered, Err(Stop::Died(0)));
        assert_eq!(second.waiting_writers(), 0);
        let request = second.memory.my_words().request.load(Ordering::Relaxed);
        thread.join().expect("no rank fails");
        assert_eq!(request, NOT_REQUESTED);
    });
    assert!(GRANTED_FIRST.load(Ordering::Relaxed));
    assert!(WITHDRAWN_FIRST.load(Ordering::Relaxed));
}

/// A reader that writes in between does not wait for itself.
#[test]
fn upgrade() {
    explore(&[UPGRADE, READ]);
}

/// Enters in place of the rank that died as a writer, or after the rank that did.
const TAKE_OVER: Act = |lock, guarded| {
    let write = || {
        // SAFETY: the write lock is held; loom reports any other access at the same time.
        guarded.with_mut(|value| unsafe { *value += 1 });
        lock.unlock_write();
    };
    match lock.take_over(Deadline::NEVER).expect("readers leave") {
        Some(dead) => assert_eq!(dead, 0),
        None => return 0,
    }
    write();
    1
};

/// Two ranks find the holder dead, and take over at the same time: one of them does, once. A third
/// one waits or gets the error, depending on when it comes.
fn take_over_beside(third: fn(&NodeLock<HeapMemory>, &Guarded) -> u32) {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(2));
    model.check(move || {
        let guarded = Arc::new(Guarded::new(0));
        let [dead, mut one, mut two, mut last]: [_; 4] = locks(4, GateKind::Local)
            .try_into()
            .unwrap_or_else(|_| unreachable!("four locks"));
        assert!(dead.try_write());
        for lock in [&mut one, &mut two, &mut last] {
            lock.memory.dead = Some(0);
        }
        let threads = [(one, TAKE_OVER), (two, TAKE_OVER)].map(|(lock, act)| {
            let guarded = Arc::clone(&guarded);
            ::loom::thread::spawn(move || act(&lock, &guarded))
        });
        let mut written = third(&last, &guarded);
        let mut taken = 0;
        for thread in threads {
            taken += thread.join().expect("no rank fails");
        }
        assert_eq!(taken, 1, "one rank takes over");
        written += taken;
        assert!(last.try_read(), "no writer is left behind");
        last.unlock_read();
        assert!(last.try_write(), "no reader is left behind");
        // SAFETY: the write lock is held.
        guarded.with(|value| assert_eq!(unsafe { *value }, written));
        last.unlock_write();
    });
}

#[test]
fn one_of_two_takes_over_from_a_dead_writer() {
    take_over_beside(|_, _| 0);
}

#[test]
fn a_writer_comes_while_two_take_over() {
    take_over_beside(|lock, guarded| write(lock, guarded, Deadline::NEVER) as u32);
}

#[test]
fn a_reader_comes_while_two_take_over() {
    take_over_beside(|lock, guarded| {
        read(lock, guarded, Deadline::NEVER);
        0
    });
}

/// A writer lets readers in and dies before it wakes them. They enter, and the rank that takes over
/// waits for them, or the lock stays poisoned.
#[test]
fn who_takes_over_waits_for_readers() {
    static STILL_POISONED: AtomicBool = AtomicBool::new(false);
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(2));
    model.check(|| {
        let guarded = Arc::new(Guarded::new(0));
        let [dead, reader, mut one]: [_; 3] = locks(3, GateKind::Local)
            .try_into()
            .unwrap_or_else(|_| unreachable!("three locks"));
        assert!(dead.try_write());
        one.memory.dead = Some(0);
        let thread = {
            let guarded = Arc::clone(&guarded);
            ::loom::thread::spawn(move || read(&reader, &guarded, Deadline::NEVER))
        };
        dead.open();
        let soon = Deadline::after(Duration::ZERO);
        match one.take_over(soon) {
            Ok(taken_from) => assert_eq!(taken_from, Some(0)),
            Err(_) => {
                STILL_POISONED.store(true, Ordering::Relaxed);
                assert_eq!(one.take_over(Deadline::NEVER), Ok(Some(0)));
            }
        }
        // SAFETY: the write lock is held; loom reports a read at the same time.
        guarded.with_mut(|value| unsafe { *value += 1 });
        one.unlock_write();
        assert!(thread.join().expect("no rank fails"), "the reader enters");
    });
    assert!(
        STILL_POISONED.load(Ordering::Relaxed),
        "no reader was let in"
    );
}

/// A rank grants a waiting writer's wish and dies before it hands the turn over; another one takes
/// over and releases the turn while that writer withdraws.
#[test]
fn a_turn_that_was_granted_and_taken_over_is_not_awaited_for_ever() {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(2));
    model.check(|| {
        let guarded = Arc::new(Guarded::new(0));
        let [dead, mut second, mut one]: [_; 3] = locks(3, GateKind::Local)
            .try_into()
            .unwrap_or_else(|_| unreachable!("three locks"));
        assert!(dead.try_write());
        second.memory.dead = Some(0);
        one.memory.dead = Some(0);
        let thread = {
            let guarded = Arc::clone(&guarded);
            ::loom::thread::spawn(move || write(&second, &guarded, Deadline::NEVER) as u32)
        };
        dead.choose_successor();
        let mut written = TAKE_OVER(&one, &guarded);
        assert_eq!(written, 1, "one rank takes over");
        written += thread.join().expect("no rank fails");
        assert!(one.try_read(), "no writer is left behind");
        one.unlock_read();
        assert!(one.try_write(), "no reader is left behind");
        // SAFETY: the write lock is held.
        guarded.with(|value| assert_eq!(unsafe { *value }, written));
        one.unlock_write();
    });
}
