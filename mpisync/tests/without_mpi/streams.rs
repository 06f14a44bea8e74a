//! Channels as streams and sinks.

use futures::executor::block_on;
use futures::stream::{self, FusedStream};
use futures::{Sink, SinkExt, Stream, StreamExt, TryStreamExt, join};
use mpisync::channel::{ChannelSink, ChannelStream};
use mpisync::{ChannelError, Consumer, Producer, RemoteChannel};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

fn ends(capacity: usize) -> (Producer<u64>, Consumer<u64>) {
    let channel = RemoteChannel::local(capacity).expect("memory");
    channel.split()
}

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn next(stream: &mut ChannelStream<'_, u64>) -> Poll<Option<Result<u64, ChannelError>>> {
    Pin::new(stream).poll_next(&mut context())
}

fn ready(sink: &mut ChannelSink<'_, u64>) -> Poll<Result<(), ChannelError>> {
    Pin::new(sink).poll_ready(&mut context())
}

fn flush(sink: &mut ChannelSink<'_, u64>) -> Poll<Result<(), ChannelError>> {
    Pin::new(sink).poll_flush(&mut context())
}

fn close(sink: &mut ChannelSink<'_, u64>) -> Poll<Result<(), ChannelError>> {
    Pin::new(sink).poll_close(&mut context())
}

fn start(sink: &mut ChannelSink<'_, u64>, message: u64) -> Result<(), ChannelError> {
    Pin::new(sink).start_send(message)
}

#[test]
fn all_that_is_sent_is_collected() {
    for capacity in [1, 2, 100] {
        let (producer, consumer) = ends(capacity);
        let sends = async {
            let mut messages = stream::iter((0..1000).map(Ok));
            let sent = producer.sink().send_all(&mut messages).await;
            sent.expect("somebody takes");
            drop(producer);
        };
        let collects = consumer.stream().collect::<Vec<_>>();
        let ((), collected) = block_on(async { join!(sends, collects) });
        assert!(collected.into_iter().eq((0..1000).map(Ok)));
    }
}

#[tokio::test]
async fn a_channel_is_forwarded_into_another() {
    let ((producer, consumer), (next_producer, next_consumer)) = (ends(3), ends(2));
    let puts = async {
        for message in 0..100 {
            producer.sink().send(message).await.expect("somebody takes");
        }
        drop(producer);
    };
    let forwards = async {
        let doubled = consumer.stream().map_ok(|message| 2 * message);
        let forwarded = doubled.forward(next_producer.sink()).await;
        forwarded.expect("somebody takes");
        // Closing the sink has not closed it.
        next_producer.put_async(1000).await.expect("somebody takes");
        drop(next_producer);
    };
    let sums = next_consumer
        .stream()
        .try_fold(0, async |sum, message| Ok(sum + message));
    let ((), (), sum) = join!(puts, forwards, sums);
    assert_eq!(sum, Ok(2 * (0..100).sum::<u64>() + 1000));
}

#[test]
fn a_stream_waits_and_ends_for_good() {
    let (producer, consumer) = ends(1);
    let mut messages = consumer.stream();
    assert!(next(&mut messages).is_pending());
    producer.put(1).expect("room");
    assert_eq!(next(&mut messages), Poll::Ready(Some(Ok(1))));
    assert!(next(&mut messages).is_pending());
    drop(producer);
    assert!(!messages.is_terminated());
    assert_eq!(next(&mut messages), Poll::Ready(None));
    assert!(messages.is_terminated());
    assert_eq!(next(&mut messages), Poll::Ready(None));
}

#[test]
fn a_stream_ends_with_an_error() {
    let (producer, consumer) = ends(1);
    producer.claim(2);
    producer.put(1).expect("room");
    drop(producer);
    let collected: Vec<_> = block_on(consumer.stream().collect());
    let missing = ChannelError::Missing { messages: 1 };
    assert_eq!(collected, [Ok(1), Err(missing)]);
}

#[test]
fn a_stream_that_is_dropped_leaves_what_it_has_not_given() {
    let (producer, consumer) = ends(4);
    producer.put_slice(&[1, 2, 3]).expect("room");
    let first: Vec<_> = block_on(consumer.stream().take(2).collect());
    assert_eq!(first, [Ok(1), Ok(2)]);
    assert_eq!(consumer.try_take(), Ok(Some(3)));
}

#[test]
fn a_sink_is_ready_when_there_is_room() {
    let (producer, consumer) = ends(1);
    let mut sink = producer.sink();
    for message in 0..5 {
        assert_eq!(ready(&mut sink), Poll::Ready(Ok(())));
        assert_eq!(start(&mut sink, message), Ok(()));
        // It is there without a flush.
        assert!(ready(&mut sink).is_pending());
        assert_eq!(flush(&mut sink), Poll::Ready(Ok(())));
        assert_eq!(consumer.try_take(), Ok(Some(message)));
    }
    assert_eq!(close(&mut sink), Poll::Ready(Ok(())));
}

#[test]
fn a_sink_holds_a_message_whose_room_is_gone() {
    type Step = fn(&mut ChannelSink<'_, u64>) -> Poll<Result<(), ChannelError>>;
    let steps: [(Step, bool); 3] = [(ready, true), (flush, false), (close, false)];
    for (step, needs_room) in steps {
        let (producer, consumer) = ends(1);
        let mut sink = producer.sink();
        assert_eq!(ready(&mut sink), Poll::Ready(Ok(())));
        producer.put(1).expect("room");
        assert_eq!(start(&mut sink, 2), Ok(()));
        assert!(step(&mut sink).is_pending());
        assert_eq!(consumer.try_take(), Ok(Some(1)));
        assert_eq!(flush(&mut sink), Poll::Ready(Ok(())));
        assert_eq!(step(&mut sink).is_pending(), needs_room);
        assert_eq!(consumer.try_take(), Ok(Some(2)));
        assert_eq!(step(&mut sink), Poll::Ready(Ok(())));
        assert_eq!(consumer.try_take(), Err(ChannelError::Empty));
    }
}

#[test]
fn sinks_that_take_room_from_each_other_lose_nothing() {
    const MESSAGES: u64 = 300;
    let (producer, consumer) = ends(2);
    let sends = async |first: u64| {
        let mut sink = producer.sink();
        for message in first..first + MESSAGES {
            sink.feed(message).await.expect("somebody takes");
        }
        sink.close().await.expect("somebody takes");
    };
    let takes = async {
        let mut taken = Vec::new();
        for _ in 0..3 * MESSAGES {
            taken.push(consumer.take_async().await.expect("open").expect("more"));
        }
        taken
    };
    let sends = async { join!(sends(0), sends(1000), sends(2000)) };
    let (_, mut taken) = block_on(async { join!(sends, takes) });
    // In the order of each of them.
    taken.sort_by_key(|message| message / 1000);
    let sent = [0, 1000, 2000].map(|first| first..first + MESSAGES);
    assert!(taken.into_iter().eq(sent.into_iter().flatten()));
}

#[test]
fn a_sink_says_that_nobody_takes() {
    let (producer, consumer) = ends(1);
    let (mut waits, mut holds) = (producer.sink(), producer.sink());
    assert_eq!(ready(&mut holds), Poll::Ready(Ok(())));
    producer.put(1).expect("room");
    assert_eq!(start(&mut holds, 2), Ok(()));
    assert!(ready(&mut waits).is_pending());
    drop(consumer);
    let closed = Err(ChannelError::Closed);
    assert_eq!(ready(&mut waits), Poll::Ready(closed.clone()));
    assert_eq!(start(&mut waits, 3), closed);
    // What it holds is never flushed.
    for _ in 0..2 {
        assert_eq!(flush(&mut holds), Poll::Ready(closed.clone()));
        assert_eq!(close(&mut holds), Poll::Ready(closed.clone()));
    }
}

#[test]
#[should_panic(expected = "`start_send` comes after a `poll_ready`")]
fn a_sink_that_holds_a_message_takes_no_other() {
    let (producer, _consumer) = ends(1);
    producer.put(1).expect("room");
    let mut sink = producer.sink();
    start(&mut sink, 2).expect("it is held");
    let _ = start(&mut sink, 3);
}

#[test]
fn streams_and_sinks_may_move() {
    fn is_unpin<T: Unpin>() {}
    is_unpin::<ChannelStream<'_, u64>>();
    is_unpin::<ChannelSink<'_, u64>>();
}
