//! Every interleaving of a few ranks, as far as two preemptions reach, or one where three ranks
//! wait for each other. What a mutex guards is a cell that loom watches: two ranks inside, or a
//! missing acquire or release between them, fails the model, and so does a wake-up that is
//! forgotten.

use crate::shm::atomic::{Mutex, locked};
use crate::shm::wait::{Deadline, Stop};
use crate::wait_queue::WaitQueue;
use crate::wait_queue::layout::UNSETTLED;
use crate::wait_queue::memory::WaitMemory;
use crate::wait_queue::poison::TakeOver;
use crate::wait_queue::tests::heap::HeapWaitQueue;
use crate::wait_queue::tests::lists;
use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::thread;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

type List = WaitQueue<HeapWaitQueue>;

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut model = ::loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(preemptions));
    model.check(body);
}

type MakesDeadline = fn() -> Deadline<'static>;

/// A deadline that ends the wait at once.
fn soon() -> Deadline<'static> {
    Deadline::after(Duration::ZERO)
}

/// A deadline that never comes.
fn never() -> Deadline<'static> {
    Deadline::NEVER
}

/// Takes the mutex and adds one to what it guards; whether it got it.
fn add(list: &List, guarded: &UnsafeCell<u32>, deadline: MakesDeadline) -> bool {
    if list.acquire(1, deadline).is_err() {
        return false;
    }
    // SAFETY: the mutex is held; loom reports another access at the same time.
    guarded.with_mut(|value| unsafe { *value += 1 });
    list.release(list.memory.me(), 1);
    true
}

/// Runs one rank for each deadline; afterwards the sum is right, the mutex can be had, and nobody
/// waits.
fn mutex<const RANKS: usize>(preemptions: usize, deadlines: [MakesDeadline; RANKS]) {
    model(preemptions, move || {
        let guarded = Arc::new(UnsafeCell::new(0));
        let mut lists = lists(RANKS, 1);
        let last = lists.pop().expect("at least one rank");
        let threads: Vec<_> = (lists.into_iter().zip(deadlines))
            .map(|(list, deadline)| {
                let guarded = Arc::clone(&guarded);
                thread::spawn(move || add(&list, &guarded, deadline))
            })
            .collect();
        let mut added = u32::from(add(&last, &guarded, deadlines[RANKS - 1]));
        for thread in threads {
            added += u32::from(thread.join().expect("no rank fails"));
        }
        assert!(
            last.try_acquire(last.memory.me(), 1),
            "nobody is left behind"
        );
        // SAFETY: the mutex is held.
        guarded.with(|value| assert_eq!(unsafe { *value }, added));
        assert!(last.standing().waiting.is_empty());
    });
}

#[test]
fn mutex_of_two() {
    mutex(3, [never, never]);
}

#[test]
fn mutex_of_three() {
    mutex(2, [never, never, never]);
}

#[test]
fn mutex_with_timeout() {
    mutex(3, [soon, never]);
    mutex(3, [soon, soon]);
    mutex(2, [soon, never, never]);
}

/// Who is seen to wait has the mutex before who asks later.
#[test]
fn the_mutex_goes_to_who_waits() {
    static SEEN: AtomicBool = AtomicBool::new(false);
    model(2, || {
        let [first, second]: [List; 2] = lists(2, 1).try_into().ok().expect("two");
        let order = Arc::new(UnsafeCell::new(Vec::new()));
        assert!(first.try_acquire(0, 1));
        let other = thread::spawn({
            let order = Arc::clone(&order);
            move || {
                second
                    .acquire(1, || Deadline::NEVER)
                    .expect("it waits for ever");
                // SAFETY: the mutex is held.
                order.with_mut(|order| unsafe { (*order).push(1) });
                second.release(1, 1);
            }
        });
        let waits = first.standing().waiting == [1];
        first.release(0, 1);
        first
            .acquire(1, || Deadline::NEVER)
            .expect("it waits for ever");
        // SAFETY: the mutex is held.
        order.with_mut(|order| unsafe { (*order).push(0) });
        first.release(0, 1);
        other.join().expect("no rank fails");
        if waits {
            SEEN.store(true, Ordering::Relaxed);
            // SAFETY: nobody else is left.
            order.with(|order| assert_eq!(unsafe { &*order }, &[1, 0], "it was passed over"));
        }
    });
    assert!(SEEN.load(Ordering::Relaxed), "no rank waited");
}

/// Of those who wait, the one with the smaller ticket is first, also where one between them gives
/// up.
#[test]
fn tickets_are_served_in_order() {
    model(2, || {
        let mut lists = lists(3, 1);
        let last = lists.pop().expect("three");
        let order = Arc::new(UnsafeCell::new(Vec::new()));
        let threads: Vec<_> = lists
            .into_iter()
            .map(|list| {
                let order = Arc::clone(&order);
                thread::spawn(move || {
                    let deadline = [never, soon][list.memory.me()];
                    if let Ok(ticket) = list.acquire(1, deadline) {
                        // SAFETY: the mutex is held.
                        order.with_mut(|order| unsafe { (*order).extend(ticket) });
                        list.release(list.memory.me(), 1);
                    }
                })
            })
            .collect();
        let ticket = last
            .acquire(1, || Deadline::NEVER)
            .expect("it waits for ever");
        // SAFETY: the mutex is held.
        order.with_mut(|order| unsafe { (*order).extend(ticket) });
        last.release(2, 1);
        for thread in threads {
            thread.join().expect("no rank fails");
        }
        // SAFETY: nobody else is left.
        order.with(|order| assert!(unsafe { (*order).is_sorted() }, "out of order"));
    });
}

/// Two permits for three ranks, of which one wants both.
#[test]
fn semaphore() {
    const WANTED: [u32; 3] = [1, 2, 1];
    model(1, || {
        let inside = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let mut lists = lists(3, 2);
        let last = lists.pop().expect("three");
        let work = |list: &List, inside: &std::sync::atomic::AtomicU32| {
            let (me, count) = (list.memory.me(), WANTED[list.memory.me()]);
            list.acquire(count, || Deadline::NEVER)
                .expect("it waits for ever");
            let before = inside.fetch_add(count, Ordering::Relaxed);
            assert!(before + count <= 2, "more than there are");
            inside.fetch_sub(count, Ordering::Relaxed);
            list.release(me, count);
        };
        let threads: Vec<_> = lists
            .into_iter()
            .map(|list| {
                let inside = Arc::clone(&inside);
                thread::spawn(move || work(&list, &inside))
            })
            .collect();
        work(&last, &inside);
        for thread in threads {
            thread.join().expect("no rank fails");
        }
        assert!(last.try_acquire(2, 2), "all permits are back");
    });
}

/// Two permits come back at once, and of the two ranks that want them one comes while the other is
/// served.
#[test]
fn permits_for_two_at_once() {
    model(3, || {
        let [first, second, third]: [List; 3] = lists(3, 2).try_into().ok().expect("three");
        assert!(first.try_acquire(0, 2));
        let work = |list: List| {
            list.acquire(1, || Deadline::NEVER)
                .expect("it waits for ever");
        };
        let threads = [
            thread::spawn(move || work(second)),
            thread::spawn(move || work(third)),
        ];
        first.release(0, 2);
        for thread in threads {
            thread.join().expect("no rank fails");
        }
        assert_eq!(first.standing().held, [(1, 1), (2, 1)]);
    });
}

/// Who wants more than there is gives up, and those behind it go on.
#[test]
fn semaphore_with_timeout() {
    model(2, || {
        let [first, second]: [List; 2] = lists(2, 1).try_into().ok().expect("two");
        let other = thread::spawn(move || {
            let outcome = second.acquire(2, || Deadline::after(Duration::ZERO));
            assert_eq!(outcome, Err(Stop::Timeout));
        });
        first
            .acquire(1, || Deadline::NEVER)
            .expect("it waits for ever");
        other.join().expect("no rank fails");
        first.release(0, 1);
        assert_eq!(first.standing().free, 1);
    });
}

/// Permits that come from nowhere.
#[test]
fn semaphore_as_signal() {
    model(3, || {
        let [first, second]: [List; 2] = lists(2, 0).try_into().ok().expect("two");
        let other = thread::spawn(move || second.acquire(2, || Deadline::NEVER));
        assert!(first.supply(1, 2) && first.supply(1, 2));
        other
            .join()
            .expect("no rank fails")
            .expect("it waits for ever");
        assert_eq!(first.standing().free, 0);
    });
}

/// A future that waits is dropped while it is granted what it wants: it is passed on.
#[test]
fn a_grant_that_is_not_wanted_goes_on() {
    model(2, || {
        let [first, second, third]: [List; 3] = lists(3, 1).try_into().ok().expect("three");
        assert!(first.try_acquire(0, 1));
        let dropped = thread::spawn(move || {
            let ticket = second.join(1, 1);
            let has_come = second.poll_grant(ticket, false).expect("no rank dies");
            if has_come || second.withdraw(ticket) {
                second.release(1, 1);
            }
        });
        let waits = thread::spawn(move || {
            third
                .acquire(1, || Deadline::NEVER)
                .expect("it waits for ever");
            third.release(2, 1);
        });
        first.release(0, 1);
        dropped.join().expect("no rank fails");
        waits.join().expect("no rank fails");
        assert_eq!(first.standing().free, 1);
        assert!(first.standing().held.is_empty() && first.standing().waiting.is_empty());
    });
}

/// A condition: one rank waits for a flag under the mutex, the other sets it and wakes. Neither is
/// a wake-up lost nor does the one who gives up take one with it unnoticed.
fn condition(deadline: MakesDeadline) {
    model(2, move || {
        let [mutex_0, mutex_1]: [List; 2] = lists(2, 1).try_into().ok().expect("two");
        let [line_0, line_1]: [List; 2] = lists(2, 0).try_into().ok().expect("two");
        let flag = Arc::new(UnsafeCell::new(false));
        let waiter = thread::spawn({
            let flag = Arc::clone(&flag);
            move || {
                mutex_1
                    .acquire(1, || Deadline::NEVER)
                    .expect("it waits for ever");
                let mut woken = 0;
                // SAFETY: the mutex is held.
                while woken == 0 && !flag.with(|flag| unsafe { *flag }) {
                    let ticket = line_1.join(1, 1);
                    mutex_1.release(1, 1);
                    let outcome = line_1.wait_for_grant(ticket, deadline());
                    mutex_1
                        .acquire(1, || Deadline::NEVER)
                        .expect("it waits for ever");
                    if outcome.is_err() {
                        break;
                    }
                    line_1.memory.slot(1).held.store(0, Ordering::Relaxed);
                    // SAFETY: the mutex is held.
                    assert!(flag.with(|flag| unsafe { *flag }), "woken for nothing");
                    woken = 1;
                }
                mutex_1.release(1, 1);
                woken
            }
        });
        mutex_0
            .acquire(1, || Deadline::NEVER)
            .expect("it waits for ever");
        // SAFETY: the mutex is held.
        flag.with_mut(|flag| unsafe { *flag = true });
        let told = line_0.wake(1);
        mutex_0.release(0, 1);
        assert_eq!(waiter.join().expect("no rank fails"), told);
        assert_eq!(line_0.wake(1), 0);
    });
}

#[test]
fn condition_wakes() {
    condition(never);
}

#[test]
fn condition_with_timeout() {
    condition(soon);
}

/// A rank died with the permit; those who wait inherit it.
#[test]
fn permits_of_the_dead_go_on() {
    model(2, || {
        let [dead, mut second, mut third]: [List; 3] = lists(3, 1).try_into().ok().expect("three");
        assert!(dead.try_acquire(0, 1));
        second.memory.dead = Some(0);
        third.memory.dead = Some(0);
        let work = |list: List| {
            list.acquire(1, || Deadline::NEVER)
                .expect("it is inherited");
            list.release(list.memory.me(), 1);
        };
        let other = thread::spawn(move || work(second));
        work(third);
        other.join().expect("no rank fails");
    });
}

/// A rank died in the middle of a change. One rank rebuilds the queue while another one asks for the
/// permit.
#[test]
fn a_torn_queue_is_rebuilt() {
    model(2, || {
        let [dead, mut second, mut third]: [List; 3] = lists(3, 1).try_into().ok().expect("three");
        assert!(dead.try_acquire(0, 1));
        let held = &dead.memory.slot(0).held;
        held.store(UNSETTLED | 1, Ordering::Relaxed);
        second.memory.dead = Some(0);
        third.memory.dead = Some(0);
        let other = thread::spawn(move || match second.acquire(1, || Deadline::NEVER) {
            Ok(_) => second.release(1, 1),
            Err(stop) => assert_eq!(stop, Stop::Died(0)),
        });
        while third.try_take_over(2, 0) == TakeOver::NotYet {
            thread::yield_now();
        }
        other.join().expect("no rank fails");
        assert!(third.try_acquire(2, 1), "the permit is there, once");
        assert_eq!(third.free(), 0);
    });
}

/// One thread of a rank waits while another one gives the permit back, beside a rank with one thread.
fn threads_of_a_rank(deadline: MakesDeadline) {
    model(2, move || {
        let guarded = Arc::new(UnsafeCell::new(0));
        let [first, second]: [List; 2] = lists(2, 1).try_into().ok().expect("two");
        let rank = Arc::new((first, Mutex::new(())));
        assert!(rank.0.try_acquire(0, 1));
        let other_thread = thread::spawn({
            let (rank, guarded) = (Arc::clone(&rank), Arc::clone(&guarded));
            move || {
                let (list, alone) = &*rank;
                if list.acquire_as_thread(1, deadline(), alone).is_err() {
                    return 0;
                }
                // SAFETY: the permit is held; loom reports another access at the same time.
                guarded.with_mut(|value| unsafe { *value += 1 });
                let _alone = locked(alone);
                list.release(0, 1);
                1
            }
        });
        let other_rank = thread::spawn({
            let guarded = Arc::clone(&guarded);
            move || add(&second, &guarded, never)
        });
        let (list, alone) = &*rank;
        // SAFETY: the permit is held.
        guarded.with_mut(|value| unsafe { *value += 1 });
        {
            let _alone = locked(alone);
            list.release(0, 1);
        }
        let added = other_thread.join().expect("no thread fails");
        assert!(other_rank.join().expect("no rank fails"));
        assert!(list.try_acquire(0, 1), "nobody is left behind");
        // SAFETY: the permit is held.
        guarded.with(|value| assert_eq!(unsafe { *value }, 2 + added));
        assert_eq!(list.held(0), 1);
    });
}

#[test]
fn a_thread_waits_beside_one_that_releases() {
    threads_of_a_rank(never);
}

#[test]
fn a_thread_gives_up_beside_one_that_releases() {
    threads_of_a_rank(soon);
}
