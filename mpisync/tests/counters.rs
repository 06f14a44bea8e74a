//! What can be said of counters without MPI: one process, all of the interface.

#![cfg(not(loom))]

use mpisync::Counter;

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
fn it_counts_down_and_around() {
    let counter = Counter::<i8>::local_from(-127, -1);
    assert_eq!(counter.step(), -1);
    assert_eq!(
        [counter.next(), counter.next(), counter.next()],
        [-127, -128, 127]
    );
    let down: Vec<i8> = counter.up_to(122).collect();
    assert_eq!(down, [126, 125, 124, 123]);
}

#[test]
fn numbers_come_in_blocks() {
    let counter = Counter::<u16>::local_from(5, 10);
    assert_eq!(counter.reserve(3).collect::<Vec<_>>(), [5, 15, 25]);
    assert_eq!(counter.reserve(0).next(), None);
    let up: Vec<u16> = counter.up_to_by(70, 4).collect();
    assert_eq!(up, [35, 45, 55, 65]);
    // The block that ended it is gone. One that asks for blocks of none gets one number at a time.
    assert_eq!(counter.next(), 115);
    let up: Vec<u16> = counter.up_to_by(140, 0).collect();
    assert_eq!(up, [125, 135]);
    let some: Vec<u16> = (&counter).into_iter().take(2).collect();
    assert_eq!(some, [155, 165]);
}

#[test]
fn it_says_where_it_is() {
    let counter = Counter::<u8>::local_from(250, 3);
    counter.next();
    let shown = format!("{counter:?}");
    assert!(
        shown.contains("value: Some(253)") && shown.contains("step: 3"),
        "{shown}"
    );
}
