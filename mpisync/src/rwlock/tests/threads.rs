//! Real threads; few rounds under Miri and the like.

use crate::rwlock::layout::GateKind;
use crate::rwlock::memory::Memory;
use crate::rwlock::node::NodeLock;
use crate::rwlock::tests::heap::HeapMemory;
use crate::rwlock::tests::locks;
use crate::shm::line::Line;
use crate::shm::membarrier::{Reach, can_run_heavy_fence};
use crate::shm::wait::Deadline;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

const ROUNDS: u32 = 20_000;

/// What the lock guards: two numbers that are equal whenever nobody writes.
#[derive(Default)]
struct Guarded {
    first: AtomicU32,
    second: AtomicU32,
    writers: AtomicU32,
}

impl Guarded {
    fn look(&self) {
        assert!(!self.is_torn(), "a reader beside a writer");
    }

    /// Whether a writer is there.
    fn is_torn(&self) -> bool {
        let first = self.first.load(Ordering::Relaxed);
        first != self.second.load(Ordering::Relaxed) || self.writers.load(Ordering::Relaxed) != 0
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
    mixed_operations(locks(3, GateKind::Local));
}

#[test]
fn mixed_operations_where_readers_go_biased() {
    if let Some(locks) = may_be_biased(locks(3, GateKind::Local)) {
        mixed_operations(locks);
    }
}

fn mixed_operations(locks: Vec<NodeLock<HeapMemory>>) {
    let guarded = Guarded::default();
    let written: u32 = thread::scope(|scope| {
        let guarded = &guarded;
        let work = |lock: NodeLock<HeapMemory>| {
            move || {
                let mut written = 0;
                let soon = || Deadline::after(Duration::from_micros(30));
                for round in 0..ROUNDS {
                    let (entered, writing) = match round % 7 {
                        0 => (lock.write(|| Deadline::NEVER).is_ok(), true),
                        1 => (lock.try_write(), true),
                        2 => (lock.write(soon).is_ok(), true),
                        3 => (lock.try_read(), false),
                        4 => (lock.read(soon).is_ok(), false),
                        _ => (lock.read(|| Deadline::NEVER).is_ok(), false),
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
        let threads: Vec<_> = locks
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

/// The same locks, with readers who do without a barrier after a few reads; none where the kernel
/// has no heavy fence.
fn may_be_biased(mut locks: Vec<NodeLock<HeapMemory>>) -> Option<Vec<NodeLock<HeapMemory>>> {
    if !can_run_heavy_fence(Reach::Process) {
        return None;
    }
    for lock in &mut locks {
        lock.memory.biased = true;
    }
    Some(locks)
}

/// A reader that hardly ever meets a writer, and so comes in without a barrier, beside a writer
/// that comes now and then. Before it reads, the reader stores to lines that the writer looks at
/// all the time: these stores take long, the one to its slot comes behind them, and the reader is
/// inside before that one can be seen.
fn readers_beside(gate: GateKind, write: impl Fn(&NodeLock<HeapMemory>, u32, &dyn Fn()) + Sync) {
    let Some(locks) = may_be_biased(locks(2, gate)) else {
        return;
    };
    let [reader, writer]: [_; 2] = locks
        .try_into()
        .unwrap_or_else(|_| unreachable!("two locks"));
    let guarded = Guarded::default();
    let done = AtomicBool::new(false);
    let busy_lines: [_; 48] = std::array::from_fn(|_| Line(AtomicU32::new(0)));
    let mut biased_gates = 0;
    let mut torn = 0;
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let reader = reader;
            let mut torn = 0;
            while !done.load(Ordering::Relaxed) {
                for line in &busy_lines {
                    line.0.store(1, Ordering::Relaxed);
                }
                reader.read(|| Deadline::NEVER).expect("waits for ever");
                torn += (0..20).filter(|_| guarded.is_torn()).count();
                reader.unlock_read();
            }
            torn
        });
        for round in 0..ROUNDS {
            let gate = writer.memory.gate();
            let is_biased = || gate.is_biased(gate.word.load(Ordering::Relaxed));
            let look_around = || {
                for line in &busy_lines {
                    black_box(line.0.load(Ordering::Relaxed));
                }
            };
            // The reader may not have a core just now.
            for _ in 0..1000 {
                look_around();
                if is_biased() {
                    break;
                }
            }
            (0..round % 20).for_each(|_| look_around());
            biased_gates += u32::from(is_biased());
            write(&writer, round, &|| guarded.change());
        }
        done.store(true, Ordering::Relaxed);
        torn = reading.join().expect("it counts what it finds");
    });
    assert_eq!(torn, 0, "a reader beside a writer");
    assert_eq!(guarded.first.load(Ordering::Relaxed), ROUNDS);
    assert!(
        biased_gates > 0,
        "the readers had their barrier all the time"
    );
}

#[test]
fn a_writer_finds_readers_that_came_in_without_a_barrier() {
    readers_beside(GateKind::Local, |writer, round, change| {
        if round % 2 == 0 || !writer.try_write() {
            writer.write(|| Deadline::NEVER).expect("waits for ever");
        }
        change();
        writer.unlock_write();
    });
}

#[test]
fn who_closes_a_gate_finds_readers_that_came_in_without_a_barrier() {
    readers_beside(GateKind::Global, |server, round, change| {
        let closed = server.close_gate(round).expect("nobody else opens");
        while !server.readers_have_left(closed) {
            thread::yield_now();
        }
        change();
        server.open_gate(round + 1);
    });
}

#[test]
fn a_waiting_writer_stops_new_readers_and_is_shown() {
    let [reader, writer, late]: [_; 3] = locks(3, GateKind::Local)
        .try_into()
        .unwrap_or_else(|_| unreachable!("three locks"));
    assert!(reader.try_read());
    thread::scope(|scope| {
        scope.spawn(move || {
            writer.write(|| Deadline::NEVER).expect("the reader leaves");
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
    let [one, two]: [_; 2] = locks(2, GateKind::Local)
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
