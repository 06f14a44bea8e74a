//! Real threads; few rounds under Miri and the like.

use super::locks;
use crate::lock::node::NodeLock;
use crate::memory::heap::HeapMemory;
use crate::memory::words::lock::DoorKind;
use crate::wait::Deadline;
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
        let threads: Vec<_> = locks(3, DoorKind::Turn)
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
    let [reader, writer, late]: [_; 3] = locks(3, DoorKind::Turn)
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
    let [one, two]: [_; 2] = locks(2, DoorKind::Turn)
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
