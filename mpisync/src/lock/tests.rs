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

/// Real threads; few rounds under Miri and the like.
#[cfg(not(loom))]
mod threads {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;
    use std::time::Duration;

    const ROUNDS: u32 = if cfg!(miri) { 20 } else { 20_000 };

    /// What the lock guards: two numbers that are equal whenever nobody writes.
    #[derive(Default)]
    struct Guarded {
        first: AtomicU32,
        second: AtomicU32,
        writers: AtomicU32,
    }

    impl Guarded {
        fn look(&self) {
            let first = self.first.load(Ordering::Relaxed);
            assert_eq!(
                first,
                self.second.load(Ordering::Relaxed),
                "a reader beside a writer"
            );
            assert_eq!(self.writers.load(Ordering::Relaxed), 0);
        }

        fn change(&self) {
            assert_eq!(
                self.writers.fetch_add(1, Ordering::Relaxed),
                0,
                "two writers"
            );
            let next = self.first.load(Ordering::Relaxed) + 1;
            self.first.store(next, Ordering::Relaxed);
            self.second.store(next, Ordering::Relaxed);
            self.writers.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn mixed_operations_keep_readers_and_writers_apart() {
        let guarded = Guarded::default();
        let written: u32 = thread::scope(|scope| {
            let guarded = &guarded;
            let work = |lock: NodeLock<HeapMemory>| {
                move || {
                    let mut written = 0;
                    let soon = || Deadline::after(Duration::from_micros(30));
                    for round in 0..ROUNDS {
                        let (entered, writing) = match round % 7 {
                            0 => (lock.write(|| Deadline::Never).is_ok(), true),
                            1 => (lock.try_write(), true),
                            2 => (lock.write(soon).is_ok(), true),
                            3 => (lock.try_read(), false),
                            4 => (lock.read(soon).is_ok(), false),
                            _ => (lock.read(|| Deadline::Never).is_ok(), false),
                        };
                        match (entered, writing) {
                            (true, true) => {
                                guarded.change();
                                written += 1;
                                if round % 2 == 0 {
                                    lock.downgrade();
                                    guarded.look();
                                    lock.unlock_read();
                                } else {
                                    lock.unlock_write();
                                }
                            }
                            (true, false) => {
                                guarded.look();
                                lock.unlock_read();
                            }
                            _ => {}
                        }
                    }
                    written
                }
            };
            let threads: Vec<_> = locks(3)
                .into_iter()
                .map(|lock| scope.spawn(work(lock)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("no thread fails"))
                .sum()
        });
        assert_eq!(guarded.first.load(Ordering::Relaxed), written);
    }

    #[test]
    fn a_waiting_writer_stops_new_readers_and_is_shown() {
        let [reader, writer, late]: [_; 3] = locks(3)
            .try_into()
            .unwrap_or_else(|_| unreachable!("three locks"));
        assert!(reader.try_read());
        thread::scope(|scope| {
            scope.spawn(move || {
                writer.write(|| Deadline::Never).expect("the reader leaves");
                writer.unlock_write();
            });
            while late.try_read() {
                late.unlock_read();
                thread::yield_now();
            }
            let holders = late.holders();
            assert_eq!(holders.writer, Some(1));
            assert_eq!(holders.readers, [0]);
            reader.unlock_read();
        });
        assert!(late.try_write());
    }

    #[test]
    fn a_timeout_leaves_the_lock_as_it_was() {
        let [one, two]: [_; 2] = locks(2)
            .try_into()
            .unwrap_or_else(|_| unreachable!("two locks"));
        let soon = || Deadline::after(Duration::from_millis(3));
        assert!(one.try_write());
        assert!(two.read(soon).is_err());
        assert!(two.write(soon).is_err());
        one.unlock_write();
        assert!(two.try_read());
        assert!(one.write(soon).is_err(), "a reader is there");
        assert!(one.try_read(), "and the gate is open again");
        one.unlock_read();
        two.unlock_read();
        assert!(two.try_write());
        two.unlock_write();
    }
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
