//! Channels of messages of varying length, in one process.

use mpisync::{ChannelError, CreateError, Equivalence, RemoteChannel};

fn numbers(capacity: usize, longest: usize) -> RemoteChannel<[u32]> {
    RemoteChannel::<[u32]>::local_slices(capacity, longest).expect("memory")
}

#[test]
fn messages_of_all_lengths_come_in_order() {
    let channel = numbers(3, 5);
    assert_eq!(channel.longest(), 5);
    for round in 0..40_u32 {
        let message: Vec<u32> = (0..round % 6).map(|item| round + item).collect();
        channel.put_items(&message).unwrap();
        assert_eq!(channel.take_items(), Some(message), "round {round}");
    }
}

#[test]
fn a_longer_message_leaves_nothing_in_a_shorter_one() {
    let mut channel = numbers(1, 4);
    channel.put_items(&[1, 2, 3, 4]).unwrap();
    let mut message = Vec::new();
    assert!(channel.take_items_into(&mut message));
    channel.put_items(&[5]).unwrap();
    assert_eq!(channel.take_items_with(<[u32]>::to_vec), Some(vec![5]));
    // What `put_with` does not write is what was there.
    channel.put_items_with(3, |items| items[0] = 6).unwrap();
    assert!(channel.take_items_into(&mut message));
    assert_eq!(message, [6, 2, 3]);
}

#[test]
fn a_message_that_is_too_long_is_an_error_and_takes_no_room() {
    let mut channel = numbers(1, 2);
    let error = ChannelError::TooLong {
        length: 3,
        longest: 2,
    };
    assert_eq!(channel.put_items(&[0; 3]), Err(error.clone()));
    assert_eq!(channel.try_put_items(&[0; 3]), Err(error.clone()));
    assert_eq!(channel.put_items_with(3, |_| ()), Err(error.clone()));
    let future = channel.put_items_async(vec![0; 3]);
    let refused = futures::executor::block_on(future).unwrap_err();
    assert_eq!((refused.message, refused.reason), (vec![0; 3], error));
    assert!(channel.is_empty());
    channel.try_put_items(&[1, 2]).unwrap();
    assert_eq!(channel.try_put_items(&[3]), Err(ChannelError::Full));
}

#[test]
fn a_channel_of_empty_messages_is_possible_and_one_beyond_memory_is_not() {
    let channel = numbers(2, 0);
    channel.put_items(&[]).unwrap();
    assert_eq!(
        channel.put_items(&[1]).unwrap_err().to_string(),
        "the message has 1 items, and the channel takes up to 0; put it in pieces, or make the channel for longer messages"
    );
    assert_eq!(channel.take_items(), Some(vec![]));
    for (capacity, longest) in [
        (0, 1),
        (1, usize::MAX),
        (1, usize::MAX / 4),
        (usize::MAX, 1),
    ] {
        let made = RemoteChannel::<[u32]>::local_slices(capacity, longest);
        let error = made.map(|_| ()).unwrap_err();
        assert!(matches!(error, CreateError::Capacity { .. }), "{error}");
    }
}

#[test]
fn items_keep_their_alignment_and_may_have_no_bytes() {
    #[derive(Clone, Copy, PartialEq, Debug, Equivalence)]
    #[repr(C, align(64))]
    struct Line([u8; 64]);
    let mut lines = RemoteChannel::<[Line]>::local_slices(2, 3).unwrap();
    let message = [Line([1; 64]), Line([2; 64])];
    lines.put_items(&message).unwrap();
    let is_aligned = |items: &[Line]| {
        assert_eq!(items, message);
        items.as_ptr().addr().is_multiple_of(64)
    };
    assert_eq!(lines.take_items_with(is_aligned), Some(true));

    let units = RemoteChannel::<[()]>::local_slices(2, 7).unwrap();
    units.put_items(&[(); 7]).unwrap();
    assert_eq!(units.take_items().map(|units| units.len()), Some(7));
    assert!(units.put_items(&[(); 8]).is_err());
}

#[cfg(feature = "futures")]
#[test]
fn ends_iterators_streams_and_futures_are_as_with_values() {
    use futures::{SinkExt, StreamExt};
    let (producer, consumer) = numbers(8, 4).split();
    producer.put_items(&[1]).unwrap();
    futures::executor::block_on(async {
        producer.put_items_async(vec![2, 3]).await.unwrap();
        producer.sink().send(vec![]).await.unwrap();
        assert_eq!(consumer.take_items_async().await, Ok(Some(vec![1])));
        assert_eq!(consumer.stream().next().await, Some(Ok(vec![2, 3])));
    });
    drop(producer);
    let rest: Vec<Vec<u32>> = consumer.into_iter().collect();
    assert_eq!(rest, [vec![]; 1] as [Vec<u32>; 1]);
}

#[test]
fn a_panic_while_a_message_is_filled_puts_none() {
    let mut channel = numbers(2, 4);
    let filled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        channel.put_items_with(2, |_| panic!("no message"))
    }));
    assert!(filled.is_err());
    channel.put_items(&[9]).unwrap();
    assert_eq!(channel.take_items(), Some(vec![9]));
}
