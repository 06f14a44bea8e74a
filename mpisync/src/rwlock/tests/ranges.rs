//! Ranges of ranks that die, in memory on the heap.

use crate::rwlock::layout::{GateKind, Turn};
use crate::rwlock::node::NodeLock;
use crate::rwlock::range::table::Next;
use crate::rwlock::tests::heap::HeapMemory;
use crate::rwlock::tests::locks;
use crate::shm::wait::{Deadline, Stop};
use std::time::Duration;

type Lock = NodeLock<HeapMemory>;

fn three() -> [Lock; 3] {
    let locks = locks(3, GateKind::Local).try_into();
    locks.unwrap_or_else(|_| unreachable!("three locks"))
}

/// Takes a range that nothing stands against, and opens a group for it.
fn open(lock: &Lock, range: std::ops::Range<u64>) {
    lock.join_range(range);
    assert_eq!(lock.advance_range(), Next::Opens);
    assert!(lock.try_write());
    lock.open_ranges();
    assert_eq!(lock.advance_range(), Next::Holds);
}

/// Of a wait that ends before.
fn late() -> Deadline<'static> {
    Deadline::after(Duration::from_secs(60))
}

fn soon() -> Deadline<'static> {
    Deadline::after(Duration::from_millis(20))
}

#[test]
fn a_death_poisons_the_lock_once_the_others_have_left() {
    let [one, dies, mut other] = three();
    open(&one, 0..2);
    dies.join_range(2..4);
    assert_eq!(dies.advance_range(), Next::Holds);
    other.memory.dead = Some(1);
    assert_eq!(other.inspect_owner(), Ok(()), "the first still writes");
    other.join_range(0..1);
    assert_eq!(other.await_range(late()), Ok(Next::Broken(1)));
    other.leave_range();
    one.leave_range();
    for _ in 0..2 {
        assert_eq!(other.read(late), Err(Stop::Died(1)));
        assert_eq!(other.write(late), Err(Stop::Died(1)));
    }
    assert_eq!(other.take_over(late()), Ok(Some(Turn::RANGES)));
    assert_eq!(other.take_over(late()), Ok(None));
    assert!(!one.try_read());
    other.unlock_write();
    assert!(one.try_read());
    one.unlock_read();
    open(&other, 0..9);
    other.leave_range();
    assert!(one.try_write());
}

#[test]
fn a_rank_that_dies_while_it_waits_keeps_nobody() {
    let [one, dies, mut other] = three();
    open(&one, 0..2);
    dies.join_range(1..3);
    assert_eq!(dies.advance_range(), Next::Waits);
    one.leave_range();
    assert!(!other.try_read(), "the group has a member that waits");
    other.memory.dead = Some(1);
    assert_eq!(other.read(late), Ok(()));
    other.unlock_read();
    // One that dies before it has opened the group.
    dies.join_range(0..1);
    assert_eq!(dies.advance_range(), Next::Opens);
    other.join_range(0..1);
    assert_eq!(other.await_range(late()), Ok(Next::Opens));
}

#[test]
fn a_group_ends_if_its_last_member_is_late() {
    let [one, two, other] = three();
    open(&one, 0..2);
    two.join_range(1..3);
    assert_eq!(two.await_range(soon()), Err(Stop::Timeout));
    two.leave_range();
    one.leave_range();
    assert!(other.try_write());
    other.unlock_write();
}
