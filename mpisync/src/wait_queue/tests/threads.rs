//! Real threads; few rounds under Miri and the like.

use crate::shm::wait::{Deadline, Stop};
use crate::wait_queue::layout::{FreePermits, MOST_PERMITS, UNSETTLED};
use crate::wait_queue::memory::WaitMemory;
use crate::wait_queue::poison::TakeOver;
use crate::wait_queue::tests::heap::HeapWaitQueue;
use crate::wait_queue::tests::lists;
use crate::wait_queue::{OnDeath, Standing, WaitQueue};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const ROUNDS: u32 = if cfg!(miri) { 20 } else { 20_000 };

/// All take the one permit, some with a timeout, and are served in the order of their tickets.
#[test]
fn tickets_are_served_in_order() {
    let last = AtomicU64::new(0);
    let (inside, served) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        for list in lists(4, 1) {
            let (last, inside, served) = (&last, &inside, &served);
            scope.spawn(move || {
                let me = list.memory.me();
                for round in 0..ROUNDS {
                    let impatient = (round + me as u32).is_multiple_of(3);
                    let soon = Duration::from_micros(u64::from(round % 40));
                    let deadline = || match impatient {
                        true => Deadline::after(soon),
                        false => Deadline::NEVER,
                    };
                    let Ok(ticket) = list.acquire(1, deadline) else {
                        assert!(impatient);
                        continue;
                    };
                    assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "two inside");
                    if let Some(ticket) = ticket {
                        let before = last.swap(ticket + 1, Ordering::Relaxed);
                        assert!(before <= ticket, "ticket {ticket} after {before}");
                    }
                    served.fetch_add(1, Ordering::Relaxed);
                    inside.fetch_sub(1, Ordering::Relaxed);
                    list.release(me, 1);
                }
            });
        }
    });
    assert!(served.load(Ordering::Relaxed) >= ROUNDS);
}

/// Ranks want one to three of four permits; there are never more out than there are, and all come
/// back.
#[test]
fn permits_are_counted() {
    let out = AtomicU32::new(0);
    let mut all = lists(5, 4);
    let last = all.pop().expect("five");
    thread::scope(|scope| {
        for list in all {
            let out = &out;
            scope.spawn(move || {
                let me = list.memory.me();
                for round in 0..ROUNDS {
                    let count = 1 + (round + me as u32) % 3;
                    let soon = || Deadline::after(Duration::from_micros(20));
                    let got = match round % 4 {
                        0 => list.try_acquire(me, count),
                        1 => list.acquire(count, soon).is_ok(),
                        _ => list.acquire(count, || Deadline::NEVER).is_ok(),
                    };
                    if got {
                        assert!(out.fetch_add(count, Ordering::Relaxed) + count <= 4);
                        out.fetch_sub(count, Ordering::Relaxed);
                        list.release(me, count);
                    }
                }
            });
        }
    });
    let all_back = Standing {
        free: 4,
        ..Standing::default()
    };
    assert_eq!(last.standing(), all_back);
}

/// The first in the line wants more than there is: nobody goes past it.
#[test]
fn nobody_goes_past_the_first() {
    let [first, second, third]: [_; 3] = lists(3, 2).try_into().ok().expect("three");
    assert!(first.try_acquire(0, 1));
    let ticket = second.join(1, 2);
    assert!(!third.try_acquire(2, 1));
    let behind = third.join(2, 1);
    assert!(ticket < behind);
    assert!(!second.is_granted(1) && !third.is_granted(2));
    assert_eq!(first.standing().waiting, [1, 2]);
    first.release(0, 1);
    assert!(second.is_granted(1) && !third.is_granted(2));
    second.take_up(1);
    second.release(1, 2);
    assert!(third.is_granted(2));
    assert!(!third.leave(2, behind), "it has been served");
    assert_eq!(third.take_up(2), behind);
    third.release(2, 1);
    assert!(first.try_acquire(0, 2));
}

/// Who gives up in the middle lets those behind it through.
#[test]
fn giving_up_serves_those_behind() {
    let [first, second, third]: [_; 3] = lists(3, 2).try_into().ok().expect("three");
    assert!(first.try_acquire(0, 1));
    let ticket = second.join(1, 2);
    third.join(2, 1);
    assert!(second.leave(1, ticket));
    assert!(third.is_granted(2));
}

/// Permits count whether they are free or not, until they are kept.
#[test]
fn a_supply_has_a_bound() {
    let lists = lists(1, 3);
    let list = &lists[0];
    assert!(list.try_acquire(0, 2));
    assert!(!list.supply(1, 3));
    list.keep(0, 1);
    assert!(!list.supply(2, 3) && list.supply(1, 3) && !list.supply(1, 3));
    assert!(!list.supply(u32::MAX, MOST_PERMITS) && list.supply(MOST_PERMITS - 3, MOST_PERMITS));
    assert!(!list.supply(1, MOST_PERMITS));
    list.release(0, 1);
    assert_eq!(list.standing().free, MOST_PERMITS);
}

/// Who comes back while others are woken waits for the next time.
#[test]
fn a_wake_up_ends() {
    let over = AtomicBool::new(false);
    let [first, second]: [_; 2] = lists(2, 0).try_into().ok().expect("two");
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut woken = 0;
            while !over.load(Ordering::Relaxed) {
                let ticket = second.join(1, 0);
                let soon = Deadline::after(Duration::from_millis(10));
                woken += u32::from(second.wait_for_grant(ticket, soon).is_ok());
            }
            woken
        });
        let counted: u32 = (0..ROUNDS / 20)
            .map(|_| {
                let woken = first.wake(u32::MAX);
                assert!(woken <= 1, "{woken} of one");
                woken
            })
            .sum();
        over.store(true, Ordering::Relaxed);
        assert_eq!(waiter.join().expect("no rank fails"), counted);
    });
}

#[test]
fn wake_ups_go_in_order() {
    let all = lists(4, 0);
    for slot in [2, 0, 3] {
        all[slot].join(slot, 1);
    }
    assert_eq!(all[1].standing().waiting, [2, 0, 3]);
    assert_eq!(all[1].wake(1), 1);
    assert!(all[1].is_granted(2) && !all[1].is_granted(0));
    assert_eq!(all[1].wake(9), 2);
    assert_eq!(all[1].wake(9), 0);
    assert!(all[1].standing().waiting.is_empty());
}

/// A rank that died is passed over, in the line and with permits; one that died in the middle of a
/// change breaks the list.
#[test]
fn the_dead_are_passed_over() {
    let mut all = lists(3, 2);
    assert!(all[0].try_acquire(0, 2));
    all[0].join(0, 1);
    for list in &mut all {
        list.memory.dead = Some(0);
    }
    let soon = || Deadline::after(Duration::from_secs(10));
    assert_eq!(all[1].acquire(2, soon), Ok(Some(1)));
    all[1].release(1, 2);
    // Granted, and not taken up.
    assert!(all[1].try_acquire(1, 2));
    all[0].memory.slot(0).held.store(0, Ordering::Relaxed);
    all[0].join(0, 2);
    all[1].release(1, 2);
    assert!(all[1].is_granted(0));
    assert_eq!(all[2].acquire(1, soon).map(drop), Ok(()));
    all[2].release(2, 1);

    assert!(all[0].try_acquire(0, 2));
    let held = &all[0].memory.slot(0).held;
    held.store(2 | UNSETTLED, Ordering::Relaxed);
    assert_eq!(all[1].acquire(1, soon), Err(Stop::Died(0)));
    assert_eq!(all[2].acquire(1, soon), Err(Stop::Died(0)));
}

#[test]
fn a_mutex_stays_with_its_dead_holder() {
    let mut all = lists(2, 1);
    for list in &mut all {
        list.memory.dead = Some(0);
        list.on_death = OnDeath::Poison;
    }
    assert!(all[0].try_acquire(0, 1));
    let soon = || Deadline::after(Duration::from_secs(10));
    assert_eq!(all[1].acquire(1, soon), Err(Stop::Died(0)));
}

#[test]
fn a_dead_waiter_takes_no_wake_up() {
    let mut all = lists(3, 0);
    all[0].join(0, 1);
    all[1].join(1, 1);
    all[2].memory.dead = Some(0);
    assert_eq!(all[2].wake(1), 1);
    assert!(all[2].is_granted(1) && !all[2].is_granted(0));
}

/// Of two that take over at the same time, one gets the permit. The queue is usable afterwards, and
/// poisoned again if that one dies.
#[test]
fn a_mutex_is_taken_over_once() {
    for _ in 0..ROUNDS / 20 {
        let mut all = lists(4, 1);
        for list in &mut all {
            list.memory.dead = Some(0);
            list.on_death = OnDeath::Poison;
        }
        assert_eq!(all[1].try_take_over(1, 1), TakeOver::NotPoisoned);
        assert!(all[0].try_acquire(0, 1));
        let [_, one, two, three]: [_; 4] = all.try_into().ok().expect("four");
        let start = Barrier::new(2);
        let start = &start;
        let taken: Vec<TakeOver> = thread::scope(|scope| {
            let take = |slot| {
                let list: &WaitQueue<HeapWaitQueue> = [&one, &two][slot - 1];
                move || {
                    start.wait();
                    list.try_take_over(slot, 1)
                }
            };
            let threads = [1, 2].map(|slot| scope.spawn(take(slot)));
            threads.map(|thread| thread.join().unwrap()).into()
        });
        let taker = if taken[0] == TakeOver::Taken(1) { 1 } else { 2 };
        assert_eq!(taken[taker - 1], TakeOver::Taken(1));
        assert_eq!(taken[2 - taker], TakeOver::NotPoisoned);
        assert_eq!(three.standing().held, [(taker, 1)]);
        assert!(!three.try_acquire(3, 1));
        [&one, &two][taker - 1].release(taker, 1);
        assert!(three.try_acquire(3, 1));
        assert!(three.check().is_ok());
    }
}

/// A rank died in the middle of a change, with whatever it had done of it; others have permits and
/// wait. The waiters get the error, and then the permits are those that the living do not have.
#[test]
fn a_queue_is_rebuilt_after_a_torn_change() {
    let tears: [fn(&WaitQueue<HeapWaitQueue>); 5] = [
        // It has taken permits, and not noted them.
        |dead| assert!(dead.try_acquire(0, 2)),
        // It is counted as a waiter, and its ticket is not visible.
        |dead| {
            let words = dead.memory.words();
            words
                .free_permits
                .fetch_add(FreePermits::ONE_NEWCOMER, Ordering::SeqCst);
        },
        // It waits.
        |dead| {
            dead.join(0, 3);
        },
        // It serves.
        |dead| {
            let free_permits = &dead.memory.words().free_permits;
            let now = FreePermits(free_permits.load(Ordering::SeqCst));
            free_permits.store(now.served().0, Ordering::SeqCst);
        },
        |_| {},
    ];
    for (number, tear) in tears.into_iter().enumerate() {
        for _ in 0..ROUNDS / 2000 {
            let mut all = lists(5, 3);
            for list in &mut all {
                list.memory.dead = Some(0);
            }
            assert!(all[1].try_acquire(1, 1));
            tear(&all[0]);
            let held = &all[0].memory.slot(0).held;
            held.fetch_or(UNSETTLED, Ordering::Relaxed);
            let [_, one, two, three, four]: [_; 5] = all.try_into().ok().expect("five");
            let take = |list: &WaitQueue<HeapWaitQueue>, slot| loop {
                match list.try_take_over(slot, 0) {
                    TakeOver::NotYet => thread::yield_now(),
                    taken => return taken,
                }
            };
            let cleared = thread::scope(|scope| {
                // It gets the error, or comes after the others.
                scope.spawn(
                    || match two.acquire(3, || Deadline::after(Duration::from_secs(10))) {
                        Ok(_) => two.release(2, 3),
                        Err(stop) => assert_eq!(stop, Stop::Died(0)),
                    },
                );
                let takers = [(&three, 3), (&four, 4)];
                let takers = takers.map(|(list, slot)| scope.spawn(move || take(list, slot)));
                thread::sleep(Duration::from_micros(100));
                // A living rank may give its permit back at any time.
                one.release(1, 1);
                takers.map(|taker| taker.join().unwrap())
            });
            assert!(cleared.contains(&TakeOver::Taken(0)), "tear {number}");
            assert_eq!(three.free(), 3, "tear {number}");
            assert_eq!(
                three.standing(),
                Standing {
                    free: 3,
                    ..Standing::default()
                }
            );
            assert!(three.try_acquire(3, 3));
            three.release(3, 3);
        }
    }
}
