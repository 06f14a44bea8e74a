//! The node's lock under real threads, and under the model checker with `--cfg loom`.

use super::node::NodeLock;
use crate::memory::heap::HeapMemory;
use crate::wait::Deadline;

fn locks(ranks: usize) -> Vec<NodeLock<HeapMemory>> {
    let memories = HeapMemory::new(ranks);
    memories
        .into_iter()
        .map(|memory| NodeLock { memory })
        .collect()
}

/// Every interleaving of a few ranks, as far as two preemptions reach (`LOOM_MAX_PREEMPTIONS` sets another bound). The value that the lock guards is a cell
/// that loom watches: a read beside a write, or a missing acquire or release between them, fails the model.
#[cfg(loom)]
mod loom {
    use super::*;
    use ::loom::cell::UnsafeCell;
    use ::loom::sync::Arc;

    type Guarded = UnsafeCell<u32>;

    fn read(lock: &NodeLock<HeapMemory>, guarded: &Guarded, deadline: Deadline) -> bool {
        if lock.read(|| deadline).is_err() {
            return false;
        }
        // SAFETY: the read lock is held; loom reports a write at the same time.
        guarded.with(|value| unsafe { *value });
        lock.unlock_read();
        true
    }

    fn write(lock: &NodeLock<HeapMemory>, guarded: &Guarded, deadline: Deadline) -> bool {
        if lock.write(|| deadline).is_err() {
            return false;
        }
        // SAFETY: the write lock is held; loom reports any other access at the same time.
        guarded.with_mut(|value| unsafe { *value += 1 });
        lock.unlock_write();
        true
    }

    type Act = fn(&NodeLock<HeapMemory>, &Guarded) -> u32;

    /// Runs one act a rank at the same time; afterwards the guarded value is the sum of what the acts returned, and
    /// the lock can be had for writing and reading.
    fn explore(acts: &'static [Act]) {
        let mut model = ::loom::model::Builder::new();
        model.preemption_bound = model.preemption_bound.or(Some(2));
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

    const READ: Act = |lock, guarded| {
        assert!(read(lock, guarded, Deadline::Never));
        0
    };
    const WRITE: Act = |lock, guarded| {
        assert!(write(lock, guarded, Deadline::Never));
        1
    };
    const IMPATIENT_READ: Act = |lock, guarded| {
        read(lock, guarded, Deadline::Soon);
        0
    };
    const IMPATIENT_WRITE: Act = |lock, guarded| write(lock, guarded, Deadline::Soon) as u32;
    const TRY_BOTH: Act = |lock, guarded| {
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
    const DOWNGRADE: Act = |lock, guarded| {
        lock.write(|| Deadline::Never).expect("waits for ever");
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

    #[test]
    fn two_readers_one_writer() {
        explore(&[READ, READ, WRITE]);
    }

    #[test]
    fn one_reader_two_writers() {
        explore(&[READ, WRITE, WRITE]);
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
        explore(&[IMPATIENT_READ, IMPATIENT_WRITE, WRITE]);
    }

    #[test]
    fn impatient_writers() {
        explore(&[IMPATIENT_WRITE, IMPATIENT_WRITE, READ]);
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
}
