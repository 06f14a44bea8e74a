//! What can be said of counters without MPI: one process, all of the interface.

use mpisync::sync::{CounterError, Integer};
use mpisync::{Counter, CreateError};
use std::panic::catch_unwind;

#[test]
fn it_counts_alone() {
    let counter = Counter::<u64>::local();
    assert_eq!((counter.rank(), counter.size(), counter.root()), (0, 1, 0));
    assert_eq!([counter.next(), counter.next(), counter.next()], [0, 1, 2]);
    assert_eq!((counter.get(), counter.add(7), counter.get()), (3, 3, 10));
    assert_eq!(counter.try_add(1), Ok(10));
    counter.close().expect("nobody to wait for");
}

#[test]
fn it_counts_down_to_the_end() {
    let counter = Counter::<i8>::local_from(-126, -1).unwrap();
    assert_eq!(counter.step(), -1);
    assert_eq!((counter.next(), counter.get()), (-126, -127));
    let down: Vec<i8> = counter.up_to(-127).collect();
    assert_eq!(down, []);
    let all: Vec<i8> = (&counter).into_iter().collect();
    assert_eq!(all, [-127, -128]);
    assert!(counter.try_next().is_err());
}

#[test]
fn numbers_come_in_blocks() {
    let counter = Counter::<u16>::local_from(5, 10).unwrap();
    assert_eq!(counter.reserve(3).collect::<Vec<_>>(), [5, 15, 25]);
    assert_eq!(counter.reserve(0).next(), None);
    let up: Vec<u16> = counter.up_to_by(70, 4).collect();
    assert_eq!(up, [35, 45, 55, 65]);
    // Nothing was counted beyond the end. One that asks for blocks of none gets one number at a time.
    assert_eq!(counter.next(), 75);
    let up: Vec<u16> = counter.up_to_by(100, 0).collect();
    assert_eq!(up, [85, 95]);
    let some: Vec<u16> = (&counter).into_iter().take(2).collect();
    assert_eq!(some, [105, 115]);
    assert_eq!(counter.up_to_by(0, u64::MAX).next(), None);
    assert_eq!(
        counter.up_to_by(150, u64::MAX).collect::<Vec<_>>(),
        [125, 135, 145]
    );
}

/// What many ranks do at the end: they ask again and again.
#[test]
fn an_end_stays_an_end() {
    let counter = Counter::<u8>::local();
    let mut all = Vec::new();
    for _ in 0..600 {
        all.extend(counter.up_to_by(250, 7));
    }
    assert!(all.into_iter().eq(0..250));
    assert_eq!(counter.next(), 250);
}

fn used_up<T: Integer>(counter: &Counter<T>) {
    for _ in 0..300 {
        let error = counter.try_next().expect_err("there is none left");
        assert!(matches!(error, CounterError::UsedUp { .. }), "{error}");
        assert!(counter.try_reserve(1).is_err() && counter.try_reserve(u64::MAX).is_err());
        assert_eq!(counter.into_iter().count(), 0);
    }
}

#[test]
fn it_does_not_go_round() {
    let counter = Counter::<u8>::local();
    let all: Vec<u8> = (&counter).into_iter().collect();
    assert!(all.into_iter().eq(0..=255));
    used_up(&counter);
    let panics = || {
        Counter::<u8>::local_from(255, 1).unwrap().reserve(2);
    };
    let panic = catch_unwind(panics).expect_err("one is left");
    let words = panic.downcast_ref::<String>().expect("a message");
    assert!(
        words.contains("the end of `u8`: from 255 in steps of 1"),
        "{words}"
    );
    let counter = Counter::<i64>::local_from(i64::MAX, 1).unwrap();
    assert_eq!(counter.next(), i64::MAX);
    used_up(&counter);
    let counter = Counter::<u64>::local_from(5, u64::MAX).unwrap();
    assert_eq!(counter.next(), 5);
    used_up(&counter);
    let counter = Counter::<i64>::local_from(0, i64::MIN).unwrap();
    assert_eq!(counter.next(), 0);
    used_up(&counter);
}

#[test]
fn it_counts_by_something() {
    let error = Counter::<u8>::local_from(1, 0).unwrap_err();
    assert!(matches!(error, CreateError::ZeroStep), "{error:?}");
    assert!(error.to_string().contains("steps of 0"), "{error}");
}

#[test]
fn it_says_where_it_is() {
    let counter = Counter::<u8>::local_from(250, 3).unwrap();
    counter.next();
    let shown = format!("{counter:?}");
    assert!(
        shown.contains("value: Some(253)") && shown.contains("step: 3"),
        "{shown}"
    );
}
