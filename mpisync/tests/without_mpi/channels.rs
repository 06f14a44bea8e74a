//! Channels of one process: what is an error at once, where a call would wait for its own rank.

use mpisync::channel::{BulkError, PutError};
use mpisync::{ChannelError, Consumer, Producer, RemoteChannel};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn full(capacity: usize) -> RemoteChannel<u64> {
    let channel = RemoteChannel::local(capacity).expect("memory");
    for message in 0..capacity as u64 {
        channel.try_put(message).expect("room");
    }
    channel
}

fn ends(capacity: usize) -> (Producer<u64>, Consumer<u64>) {
    RemoteChannel::local(capacity).expect("memory").split()
}

/// The words of the panic in `call`.
fn panic_of<R>(call: impl FnOnce() -> R) -> String {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(_) => panic!("it does not panic"),
        Err(panic) => *panic.downcast::<String>().expect("a formatted message"),
    }
}

#[test]
fn a_slot_has_a_value_before_it_is_filled() {
    let (mut producer, mut consumer) = ends(2);
    assert_eq!(producer.put_with(|slot| *slot), Ok(0));
    assert_eq!(consumer.take(), Some(0));
    for message in 1..=2 {
        producer.put(message).expect("room");
        assert_eq!(consumer.take_with(|message| *message), Some(message));
    }
    // What is not written is an older message, the last one of this slot.
    assert_eq!(producer.put_with(|slot| *slot), Ok(1));
    assert_eq!(consumer.take(), Some(1));
}

#[test]
fn put_waits_for_nobody_where_this_rank_alone_takes() {
    for capacity in [1, 2, 7] {
        let mut channel = full(capacity);
        let refused = channel.put(7);
        let (message, reason) = (7, ChannelError::OnlyConsumer);
        assert_eq!(refused, Err(PutError { message, reason }));
        let words = refused.expect_err("it is full").to_string();
        assert!(words.contains("only this rank still takes"), "{words}");
        let refused = channel.put_timeout(8, Duration::MAX);
        assert_eq!(refused.map_err(|error| error.message), Err(8));
        let refused = channel.put_with(|slot| *slot = 9);
        assert_eq!(refused, Err(ChannelError::OnlyConsumer));
        for message in 0..capacity as u64 {
            assert_eq!(
                channel.take(),
                Some(message),
                "nothing was put, nothing is lost"
            );
        }
        channel.put(10).expect("room");
        assert_eq!(channel.take(), Some(10));
    }
}

#[test]
fn many_are_put_until_this_rank_would_wait_for_itself() {
    let channel = RemoteChannel::local(3).expect("memory");
    let (put, reason) = (3, ChannelError::OnlyConsumer);
    let refused = channel.put_slice(&[0, 1, 2, 3, 4]);
    assert_eq!(refused, Err(BulkError { put, reason }));
    assert_eq!(channel.iter().take(3).collect::<Vec<_>>(), [0, 1, 2]);
    let refused = channel.put_all(5..100);
    assert_eq!(refused.map_err(|error| error.put), Err(3));
    assert_eq!(channel.iter().collect::<Vec<_>>(), [5, 6, 7]);
}

#[test]
fn a_limit_is_waited_for_all_the_same() {
    let waited = Duration::from_millis(5);
    let refused = full(1).put_timeout(1, waited).expect_err("it is full");
    assert_eq!(
        refused.reason,
        ChannelError::Timeout {
            waited,
            report: Default::default()
        }
    );
    let refused = full(1).try_put(1).expect_err("it is full");
    assert_eq!(refused.reason, ChannelError::Full);
}

/// Another future of this rank may make room.
#[test]
fn a_future_waits_for_room_that_this_rank_makes() {
    let channel = full(1);
    let mut put = pin!(channel.put_async(1));
    let mut context = Context::from_waker(Waker::noop());
    assert!(put.as_mut().poll(&mut context).is_pending());
    std::thread::sleep(Duration::from_millis(5));
    assert!(put.as_mut().poll(&mut context).is_pending());
    assert_eq!(channel.take(), Some(0));
    assert_eq!(put.as_mut().poll(&mut context), Poll::Ready(Ok(())));
    assert_eq!(channel.take(), Some(1));
}

#[test]
fn take_waits_for_nobody_where_this_rank_alone_puts() {
    let mut channel = RemoteChannel::<u64>::local(1).expect("memory");
    assert_eq!(channel.take(), None);
    assert_eq!(channel.take_with(|message| *message), None);
    assert_eq!(channel.take_many(&mut Vec::new(), 5), 0);
    assert!(!channel.take_into(&mut 0));
    assert_eq!(channel.iter().count(), 0);
    // It may still put.
    channel.put(1).expect("room");
    assert_eq!(channel.take(), Some(1));
    channel.claim(2);
    let missing = ChannelError::Missing { messages: 1 };
    assert_eq!(channel.take_timeout(Duration::MAX), Err(missing));
}

#[test]
fn no_end_is_used_inside_put_with() {
    let (mut producer, mut consumer) = ends(4);
    producer.put(1).expect("room");
    let put = producer.put_with(|slot| {
        *slot = 2;
        assert_eq!(consumer.try_take(), Err(ChannelError::Nested));
        let limit = Duration::from_secs(1);
        assert_eq!(consumer.take_timeout(limit), Err(ChannelError::Nested));
        for words in [
            panic_of(|| consumer.take()),
            panic_of(|| consumer.iter().next()),
            panic_of(|| consumer.take_many(&mut Vec::new(), 1)),
            panic_of(|| consumer.take_into(&mut 0)),
            panic_of(|| consumer.take_with(|_| ())),
        ] {
            assert!(
                words.contains("inside `put_with` or `take_with`"),
                "{words}"
            );
        }
        let mut take = pin!(consumer.take_async());
        let polled = take.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(Err(ChannelError::Nested)));
    });
    assert_eq!(put, Ok(()));
    assert_eq!(consumer.take(), Some(1));
    assert_eq!(consumer.take(), Some(2));
}

#[test]
fn no_end_is_used_inside_take_with() {
    let (mut producer, mut consumer) = ends(4);
    producer.put(1).expect("room");
    let took = consumer.take_with(|message| {
        let refused = producer.put(2).expect_err("nested");
        assert_eq!((refused.message, refused.reason), (2, ChannelError::Nested));
        assert_eq!(producer.try_put(2).map_err(|error| error.message), Err(2));
        assert_eq!(producer.put_with(|_| ()), Err(ChannelError::Nested));
        assert_eq!(producer.put_slice(&[3]).map_err(|error| error.put), Err(0));
        let mut put = pin!(producer.put_async(4));
        let polled = put.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(error)) if error.message == 4));
        // These wait for nothing.
        producer.claim(1);
        format!("{message} {producer:?}")
    });
    assert!(took.expect("a message").starts_with('1'));
    assert_eq!(consumer.take(), None, "nothing was put");
    producer.put(5).expect("room");
    assert_eq!(consumer.take(), Some(5));
}

#[test]
fn an_end_may_be_dropped_inside_the_other() {
    let (mut producer, consumer) = ends(1);
    assert_eq!(producer.put_with(|_| drop(consumer)), Ok(()));
    let refused = producer.put(1).expect_err("nobody takes");
    assert_eq!(refused.reason, ChannelError::Closed);
    let (mut producer, mut consumer) = ends(1);
    producer.put_with(|slot| *slot = 1).expect("room");
    assert_eq!(consumer.take_with(|_| drop(producer)), Some(()));
    assert_eq!(consumer.take(), None);
}

#[test]
fn after_a_panic_inside_the_channel_is_as_before() {
    let (mut producer, mut consumer) = ends(1);
    panic_of(|| producer.put_with(|_| -> () { panic_any("on purpose".to_owned()) }));
    // The slot of the message that there is not, is passed over.
    assert_eq!(consumer.try_take(), Err(ChannelError::Empty));
    producer.put(1).expect("room");
    panic_of(|| consumer.take_with(|_| -> () { panic_any("on purpose".to_owned()) }));
    producer.put(2).expect("room");
    assert_eq!(consumer.take(), Some(2));
}

/// What has no bytes is counted.
#[test]
fn messages_without_bytes_are_messages() {
    let mut channel = RemoteChannel::<()>::local(3).expect("memory");
    channel.put_slice(&[(); 2]).expect("room");
    channel.put_with(|slot| *slot = ()).expect("room");
    assert!(channel.is_full());
    assert_eq!(channel.take(), Some(()));
    assert_eq!(channel.take_with(|message| *message), Some(()));
    assert!(channel.take_into(&mut ()));
    assert_eq!(channel.put_all([(); 5]).map_err(|error| error.put), Err(3));
    assert_eq!(channel.take_many(&mut Vec::new(), 7), 3);
    let empty = RemoteChannel::<[u64; 0]>::local(1).expect("memory");
    empty.put([]).expect("room");
    assert_eq!(empty.take(), Some([]));
}
