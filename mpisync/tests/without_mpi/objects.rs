//! What can be said of the smaller shared things without MPI: one process, all of the interface.

use mpisync::sync::{BarrierError, OnceError, SemaphoreError, Wake};
use mpisync::{
    Barrier, Condvar, CreateError, Equivalence, LockError, Mutex, OnceShared, Plain, Semaphore,
    Turn, WaitReport,
};
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(3);

fn panic_of(body: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(body)).expect_err("it panics");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .expect("with a message")
}

#[derive(Clone, Copy, PartialEq, Debug, Equivalence)]
struct Header {
    id: u32,
    parts: [u16; 2],
}

#[test]
fn a_mutex_keeps_a_value_of_any_plain_type() {
    fn keeps<T: Plain + PartialEq + std::fmt::Debug>(first: T, second: T) {
        let mut mutex = Mutex::local_with(first);
        assert_eq!(*mutex.lock(), first);
        *mutex.lock() = second;
        let guard = mutex.lock();
        assert_eq!((*guard, guard.ticket()), (second, None));
    }
    keeps(0u8, 255);
    keeps(-1.5f64, f64::MIN);
    keeps([7i16; 3], [1, 2, 3]);
    keeps([0u8; 4096], [9; 4096]);
    let header = |id| Header { id, parts: [1, 2] };
    keeps(header(1), header(u32::MAX));
}

#[test]
fn a_mutex_is_free_again() {
    let mut mutex = Mutex::local();
    assert_eq!((mutex.rank(), mutex.size(), mutex.root()), (0, 1, 0));
    drop(mutex.lock());
    drop(mutex.try_lock().expect("it is free"));
    drop(mutex.lock_timeout(Duration::ZERO).expect("it is free"));
    let words = panic_of(|| {
        let _guard = mutex.lock();
        panic!("inside");
    });
    assert_eq!(words, "inside");
    let mut guard = mutex.lock();
    drop(guard.reborrow());
    drop(guard);
    let shown = format!("{mutex:?}");
    assert!(
        shown.contains("free: 1") && shown.contains("held: []"),
        "{shown}"
    );
    mutex.close().expect("nobody to wait for");
}

/// A guard that is leaked keeps the lock until the mutex is borrowed mutably again.
#[test]
fn a_leaked_guard_lets_the_mutex_go() {
    let mut mutex = Mutex::local_with(0u64);
    let leak = |mutex: &mut Mutex<u64>| {
        let mut guard = mutex.lock();
        *guard += 1;
        std::mem::forget(guard);
    };
    leak(&mut mutex);
    assert!(format!("{mutex:?}").contains("held: [(0, 1)]"));
    leak(&mut mutex);
    assert_eq!(mutex.try_lock().map(|value| *value), Some(2));
    leak(&mut mutex);
    let value = mutex.lock_timeout(Duration::ZERO).map(|value| *value);
    assert_eq!(value, Ok(3));
    leak(&mut mutex);
    mutex.close().expect("nobody to wait for");
}

#[test]
fn a_leaked_turn_passes_on() {
    let mut turn = Turn::local();
    for round in 0..4 {
        std::mem::forget(turn.take());
        let words = format!("{turn:?}");
        assert!(words.contains(&format!("round: {}", 3 * round)), "{words}");
        std::mem::forget(turn.try_take());
        std::mem::forget(turn.take_timeout(Duration::ZERO));
    }
    turn.close().expect("nobody to wait for");
}

#[test]
fn permits_come_and_go() {
    let semaphore = Semaphore::local(3).unwrap();
    assert_eq!(semaphore.bound(), Some(3));
    let two = semaphore.acquire_many(2);
    assert_eq!(two.count(), 2);
    assert!(semaphore.try_acquire_many(2).is_none());
    let one = semaphore.acquire_timeout(SOON).expect("one is left");
    let error = semaphore.acquire_many_timeout(4, SOON).expect_err("never");
    assert_eq!(error, SemaphoreError::TooMany { asked: 4, most: 3 });
    assert!(semaphore.try_acquire_many(4).is_none());
    let words = panic_of(|| drop(semaphore.acquire_many(4)));
    assert!(words.contains("4 permits were asked for"), "{words}");
    drop((two, one));
    assert_eq!(semaphore.available(), 3);
    let all = semaphore.acquire_many(3);
    assert_eq!((all.count(), semaphore.available()), (3, 0));
    assert_eq!(
        semaphore.acquire_many(0).count(),
        0,
        "nobody waits for none"
    );
    assert_eq!(
        semaphore.try_acquire_many(0).map(|none| none.count()),
        Some(0)
    );
}

/// It would wait for itself.
#[test]
fn what_only_this_rank_could_release_is_refused() {
    let semaphore = Semaphore::local(3).unwrap();
    let two = semaphore.acquire_many(2);
    let here = |asked, held| {
        Some(SemaphoreError::HeldHere {
            asked,
            held,
            most: 3,
        })
    };
    let refused = |count, limit| semaphore.acquire_many_timeout(count, limit).err();
    assert_eq!(refused(2, Duration::MAX), here(2, 2));
    assert_eq!(refused(2, SOON), here(2, 2));
    let one = semaphore.acquire();
    assert_eq!(refused(1, SOON), here(1, 3));
    let words = panic_of(|| drop(semaphore.acquire()));
    assert!(words.contains("this rank holds 3 of the 3"), "{words}");
    drop(two);
    assert_eq!(refused(2, Duration::MAX), None);
    one.forget();
    // What it has forgotten another rank could release, if there were one.
    let alone = |asked, free| Some(SemaphoreError::Alone { asked, free });
    assert_eq!(refused(3, Duration::MAX), alone(3, 2));
    let timeout = LockError::Timeout {
        waited: SOON,
        report: WaitReport::default(),
    };
    assert_eq!(refused(3, SOON), Some(SemaphoreError::Lock(timeout)));
    let signal = Semaphore::local_unbounded(0).unwrap();
    let words = panic_of(|| drop(signal.acquire()));
    assert!(words.contains("no other rank"), "{words}");
    // Leaked permits are held as long as the semaphore lives.
    std::mem::forget(semaphore.acquire_many(2));
    assert_eq!(refused(2, Duration::MAX), here(2, 2));
    semaphore.close().expect("nobody to wait for");
}

#[test]
fn a_bound_holds() {
    let semaphore = Semaphore::local(2).unwrap();
    let beyond = |released| Err(SemaphoreError::BeyondBound { released, most: 2 });
    assert_eq!(semaphore.release(1), beyond(1));
    semaphore.acquire().forget();
    assert_eq!(semaphore.release(2), beyond(2));
    let held = semaphore.acquire();
    assert_eq!(semaphore.release(1), Ok(()));
    assert_eq!(semaphore.release(1), beyond(1), "the other one is held");
    drop(held);
    drop(semaphore.acquire_many(2));

    let signal = Semaphore::local_unbounded(0).unwrap();
    assert_eq!(signal.bound(), None);
    assert!(signal.try_acquire().is_none());
    let most = Semaphore::MAX_PERMITS;
    assert_eq!(signal.release(most), Ok(()));
    let held = signal.acquire();
    let beyond = SemaphoreError::BeyondBound { released: 1, most };
    assert_eq!(signal.release(1), Err(beyond), "what is held counts");
    drop(held);
    signal.acquire_many(most).forget();
    assert!(signal.try_acquire().is_none());
    assert_eq!(signal.release(1), Ok(()));
}

/// As one on a communicator.
#[test]
fn a_semaphore_refuses_invalid_permits() {
    let most = Semaphore::MAX_PERMITS;
    for (outcome, asked, least) in [
        (Semaphore::local(0), 0, 1),
        (Semaphore::local(most + 1), most + 1, 1),
        (Semaphore::local(u32::MAX), u32::MAX, 1),
        (Semaphore::local_unbounded(u32::MAX), u32::MAX, 0),
    ] {
        match outcome.unwrap_err() {
            CreateError::Permits {
                permits,
                least: at_least,
                most: at_most,
            } => assert_eq!((permits, at_least, at_most), (asked, least, most)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(Semaphore::local(most).unwrap().available(), most);
}

#[test]
fn no_permits_are_acquired_and_released_without_error() {
    for semaphore in [Semaphore::local(1), Semaphore::local_unbounded(0)] {
        let semaphore = semaphore.unwrap();
        let free = semaphore.available();
        assert_eq!(semaphore.acquire_many(0).count(), 0);
        assert_eq!(semaphore.release(0), Ok(()));
        let _all = semaphore.acquire_many(free);
        assert_eq!(
            semaphore.try_acquire_many(0).map(|none| none.count()),
            Some(0)
        );
        assert_eq!(semaphore.release(0), Ok(()));
    }
}

#[test]
fn guards_tell_the_rank_and_show_the_value() {
    let mut mutex = Mutex::local_with(5_u8);
    let mut guard = mutex.lock();
    assert_eq!((guard.rank(), guard.to_string()), (0, "5".to_owned()));
    let inner = guard.reborrow();
    assert_eq!((inner.rank(), format!("{inner:3}")), (0, "  5".to_owned()));
    assert_eq!(Semaphore::local(1).unwrap().acquire().rank(), 0);
    assert_eq!(Turn::local().take().rank(), 0);
}

#[test]
fn a_condition_without_others_times_out() {
    let mut mutex = Mutex::local_with(1u8);
    let condition = Condvar::local();
    assert_eq!((condition.notify_one(), condition.notify_all()), (0, 0));
    let start = Instant::now();
    let (mut guard, wake) = condition
        .wait_timeout(mutex.lock(), SOON)
        .expect("it is alone");
    assert_eq!((*guard, wake), (1, Wake::TimedOut));
    assert!(start.elapsed() >= SOON);
    guard = condition.wait_while(guard, |value| *value != 1);
    let mut looks = 0;
    let (guard, wake) = condition
        .wait_timeout_while(guard, SOON, |value| {
            looks += 1;
            *value == 1
        })
        .expect("it is alone");
    assert_eq!((*guard, wake), (1, Wake::TimedOut));
    assert!(looks >= 2);
    drop(guard);
    assert!(mutex.try_lock().is_some());
}

/// It would never be woken.
#[test]
fn a_condition_without_others_refuses_to_wait_forever() {
    let mut mutex = Mutex::local_with(1u8);
    let condition = Condvar::local();
    let words = panic_of(|| drop(condition.wait(mutex.lock())));
    assert!(words.contains("no other rank can end this wait"), "{words}");
    let words = panic_of(|| drop(condition.wait_while(mutex.lock(), |value| *value == 1)));
    assert!(words.contains("no other rank can end this wait"), "{words}");
    let error = condition.wait_timeout(mutex.lock(), Duration::MAX).err();
    assert_eq!(error, Some(LockError::Alone));
    let error = condition.wait_timeout_while(mutex.lock(), Duration::MAX, |_| true);
    assert_eq!(error.err(), Some(LockError::Alone));
    assert!(mutex.try_lock().is_some(), "the mutex is free");
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Settings {
    name: String,
    values: Vec<f64>,
}

#[test]
fn a_value_is_computed_once() {
    let once = OnceShared::<Settings>::local();
    assert_eq!(once.get(), None);
    let settings = Settings {
        name: "a".to_owned(),
        values: vec![0.5; 1000],
    };
    let failed = once.get_or_try_init(|| Err(OnceError::Encode("on purpose".to_owned())));
    assert_eq!(failed, Err(OnceError::Encode("on purpose".to_owned())));
    let words = panic_of(|| {
        once.get_or_init(|| panic!("on purpose"));
    });
    assert_eq!(words, "on purpose");
    let words = panic_of(|| {
        once.get_or_init(|| {
            once.get_or_init(|| unreachable!("not inside of itself"))
                .clone()
        });
    });
    assert!(words.contains("asked for by that itself"), "{words}");
    let large = Settings {
        values: vec![0.5; 10_000],
        ..settings.clone()
    };
    let error = once.get_or_try_init(|| Ok::<_, OnceError>(large));
    let (bytes, capacity) = (80_004, 64 << 10);
    assert_eq!(error, Err(OnceError::TooLarge { bytes, capacity }));
    assert_eq!(*once.get_or_init(|| settings.clone()), settings);
    assert_eq!(once.get_or_init(|| unreachable!("it is there")), &settings);
    assert_eq!(once.get(), Some(&settings));
    once.close().expect("nobody to wait for");
}

#[test]
fn a_turn_comes_round() {
    let mut turn = Turn::local();
    for _ in 0..3 {
        assert_eq!(turn.each(|rank| rank), 0);
        drop(turn.take());
        drop(turn.try_take().expect("nobody else has it"));
        drop(
            turn.take_timeout(Duration::ZERO)
                .expect("nobody else has it"),
        );
    }
    panic_of(|| turn.each(|_| panic!("on purpose")));
    drop(turn.take());
    turn.close().expect("nobody to wait for");
}

#[test]
fn a_barrier_of_one_holds_nobody() {
    let barrier = Barrier::local();
    for _ in 0..3 {
        barrier.wait();
        assert!(barrier.try_wait());
        barrier.wait_timeout(Duration::ZERO).expect("all have come");
    }
    let error = BarrierError::Missing {
        waited: SOON,
        missing: vec![1],
        silent: vec![2, 3],
        report: WaitReport::default(),
    };
    let text = "within 3ms the ranks [1] have not come, and nothing was heard of [2, 3]";
    assert_eq!(error.to_string(), text);
    barrier.close().expect("nobody to wait for");
}
