//! One object of each kind in a struct of the program, used together.

use std::time::Duration;

use mpisync::sync::{SemaphoreError, Wake};
use mpisync::{Barrier, Condvar, Counter, Latch, Mutex, OnceShared, Semaphore, Turn};

struct Shared {
    header: Mutex<[u64; 2]>,
    changed: Condvar,
    slots: Semaphore,
    next: Counter<u32>,
    token: OnceShared<String>,
    turn: Turn,
    barrier: Barrier,
    loaded: Latch,
}

fn main() {
    let mut shared = Shared {
        header: Mutex::local_with([0; 2]),
        changed: Condvar::local(),
        slots: Semaphore::local(2).unwrap(),
        next: Counter::local(),
        token: OnceShared::local(),
        turn: Turn::local(),
        barrier: Barrier::local(),
        loaded: Latch::local(1),
    };
    // Fields are borrowed separately.
    let mut header = shared.header.lock();
    let permit = shared.slots.acquire();
    header[0] += u64::from(shared.next.next()) + 5;
    assert_eq!(shared.changed.notify_all(), 0);
    let (header, wake) = shared.changed.wait_timeout(header, Duration::ZERO).unwrap();
    assert_eq!((header[0], wake), (5, Wake::TimedOut));
    let second = shared.slots.acquire_timeout(Duration::ZERO).unwrap();
    let third = shared.slots.acquire_timeout(Duration::ZERO).unwrap_err();
    // This rank has all permits, so no other rank could release one.
    let (asked, held, most) = (1, 2, 2);
    assert_eq!(third, SemaphoreError::HeldHere { asked, held, most });
    drop((permit, second));
    let length = shared
        .turn
        .each(|rank| shared.token.get_or_init(|| format!("rank {rank}")).len());
    assert_eq!(length, 6);
    shared.barrier.wait();
    shared.loaded.count_down(1).unwrap();
    shared.loaded.wait();
}
