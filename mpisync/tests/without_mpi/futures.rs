//! The futures of channels under executors, on one thread.

use crate::polling::poll_once;
use futures::executor::block_on;
use futures::future::{join_all, poll_fn};
use futures::{join, poll};
use mpisync::channel::{PutError, PutFuture, TakeFuture};
use mpisync::{ChannelError, Consumer, Plain, Producer, RemoteChannel};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::task::LocalSet;

fn ends<T: Plain>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    let channel = RemoteChannel::local(capacity).expect("memory");
    channel.split()
}

async fn put_all(producer: &Producer<u64>, count: u64) {
    for message in 0..count {
        producer.put_async(message).await.expect("somebody takes");
    }
}

async fn take_all(consumer: &Consumer<u64>, count: u64) {
    for expected in 0..count {
        assert_eq!(consumer.take_async().await, Ok(Some(expected)));
    }
}

/// Polls a future once, for nobody.
#[test]
fn who_puts_and_who_takes_meet() {
    for capacity in [1, 2, 7] {
        let (producer, consumer) = ends(capacity);
        block_on(async { join!(put_all(&producer, 1000), take_all(&consumer, 1000)) });
        assert_eq!(consumer.try_take(), Err(ChannelError::Empty));
    }
}

#[tokio::test]
async fn who_puts_and_who_takes_meet_in_tasks() {
    for capacity in [1, 2, 7] {
        let (producer, consumer) = ends(capacity);
        let tasks = LocalSet::new();
        tasks.spawn_local(async move { put_all(&producer, 1000).await });
        tasks.spawn_local(async move {
            take_all(&consumer, 1000).await;
            assert_eq!(consumer.take_async().await, Ok(None));
        });
        tasks.await;
    }
}

#[test]
fn a_put_waits_for_room() {
    let (producer, consumer) = ends(1);
    producer.put(1).expect("room");
    let mut put = producer.put_async(2);
    for _ in 0..3 {
        assert!(poll_once(&mut put).is_pending());
    }
    assert_eq!(consumer.try_take(), Ok(Some(1)));
    assert_eq!(consumer.try_take(), Err(ChannelError::Empty));
    assert_eq!(poll_once(&mut put), Poll::Ready(Ok(())));
    assert_eq!(consumer.try_take(), Ok(Some(2)));
}

#[test]
fn a_take_waits_for_a_message() {
    let (producer, consumer) = ends(1);
    let mut take = consumer.take_async();
    for _ in 0..3 {
        assert!(poll_once(&mut take).is_pending());
    }
    producer.put(1).expect("room");
    assert_eq!(poll_once(&mut take), Poll::Ready(Ok(Some(1))));
}

#[test]
fn what_is_dropped_while_it_waits_does_nothing() {
    let (producer, consumer) = ends(1);
    drop(producer.put_async(1));
    let mut take = consumer.take_async();
    assert!(poll_once(&mut take).is_pending());
    producer.put(2).expect("room");
    drop(take);
    let mut put = producer.put_async(3);
    assert!(poll_once(&mut put).is_pending());
    assert_eq!(consumer.try_take(), Ok(Some(2)));
    drop(put);
    assert_eq!(consumer.try_take(), Err(ChannelError::Empty));
}

/// A task that waits is woken though nothing else happens on its thread.
#[tokio::test]
async fn a_task_that_naps_is_woken() {
    let (producer, consumer) = ends(1);
    let tasks = LocalSet::new();
    let took = tasks.spawn_local(async move {
        let mut sum = 0;
        while let Some(message) = consumer.take_async().await.expect("an end") {
            sum += message;
        }
        sum
    });
    tasks.spawn_local(async move {
        for message in 1..=5 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            producer.put_async(message).await.expect("somebody takes");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    });
    tasks.await;
    assert_eq!(took.await.expect("no panic"), 15);
}

/// Ready after the given number of polls.
async fn after(polls: u32) {
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_where_select_gives_up() {
    const MESSAGES: u64 = 5000;
    for capacity in [1, 3] {
        let (producer, consumer) = ends(capacity);
        let given_up = Cell::new(0);
        let puts = async {
            let mut message = 0;
            while message < MESSAGES {
                tokio::select! {
                    put = producer.put_async(message) => {
                        put.expect("somebody takes");
                        message += 1;
                    }
                    () = after((message % 3) as u32) => {
                        given_up.set(given_up.get() + 1);
                        tokio::task::yield_now().await;
                    }
                }
            }
        };
        let takes = async {
            let mut expected = 0;
            while expected < MESSAGES {
                tokio::select! {
                    taken = consumer.take_async() => {
                        assert_eq!(taken, Ok(Some(expected)));
                        expected += 1;
                    }
                    () = after((expected % 4) as u32) => {
                        given_up.set(given_up.get() + 1);
                        tokio::task::yield_now().await;
                    }
                }
            }
        };
        join!(puts, takes);
        assert_eq!(consumer.try_take(), Err(ChannelError::Empty));
        assert!(given_up.get() > MESSAGES / 2, "{} times", given_up.get());
    }
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_where_the_time_is_up() {
    const MESSAGES: u64 = 100;
    let limit = Duration::from_millis(1);
    let (producer, consumer) = ends(1);
    let given_up = Cell::new(0);
    let tasks = LocalSet::new();
    let puts = async {
        let mut message = 0;
        while message < MESSAGES {
            if message % 3 == 0 {
                tokio::time::sleep(2 * limit).await;
            }
            match tokio::time::timeout(limit, producer.put_async(message)).await {
                Ok(put) => {
                    put.expect("somebody takes");
                    message += 1;
                }
                Err(_) => given_up.set(given_up.get() + 1),
            }
        }
    };
    let takes = async {
        let mut expected = 0;
        while expected < MESSAGES {
            if expected % 5 == 0 {
                tokio::time::sleep(3 * limit).await;
            }
            match tokio::time::timeout(limit, consumer.take_async()).await {
                Ok(taken) => {
                    assert_eq!(taken, Ok(Some(expected)));
                    expected += 1;
                }
                Err(_) => given_up.set(given_up.get() + 1),
            }
        }
    };
    tasks.run_until(async { join!(puts, takes) }).await;
    assert_eq!(consumer.try_take(), Err(ChannelError::Empty));
    assert!(given_up.get() > 0, "it was never late");
}

#[tokio::test]
async fn a_rank_waits_for_several_channels() {
    let (numbers, signs) = (ends::<u64>(4), ends::<i8>(4));
    let (numbers, takes_numbers) = numbers;
    let (signs, takes_signs) = signs;
    numbers.put(7).expect("room");
    let mut seen = Vec::new();
    for round in 0..6 {
        tokio::select! {
            number = takes_numbers.take_async() => {
                seen.push(number.expect("open").expect("a number") as i64);
                signs.put(-1).expect("room");
            }
            sign = takes_signs.take_async() => {
                seen.push(sign.expect("open").expect("a sign").into());
                numbers.put(round).expect("room");
            }
        }
    }
    assert_eq!(seen, [7, -1, 1, -1, 3, -1]);
}

#[test]
fn many_wait_at_once() {
    const MANY: u64 = 1000;
    let (producer, consumer) = ends(3);
    let takes = join_all((0..MANY).map(|_| consumer.take_async()));
    let puts = async {
        // Until all of them nap.
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(5) {
            after(1).await;
        }
        join_all((0..MANY).map(|message| producer.put_async(message))).await
    };
    let (taken, put) = block_on(async { join!(takes, puts) });
    assert!(put.iter().all(Result::is_ok));
    let mut taken: Vec<u64> = taken
        .into_iter()
        .map(|message| message.expect("open").expect("a message"))
        .collect();
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..MANY));
}

#[test]
fn who_waits_for_long_is_polled_seldom() {
    let (_producer, consumer) = ends::<u64>(1);
    let polls = Cell::new(0);
    let late = Cell::new(0);
    let start = Instant::now();
    let mut take = consumer.take_async();
    block_on(poll_fn(|context| {
        polls.set(polls.get() + 1);
        if start.elapsed() > Duration::from_millis(5) {
            late.set(late.get() + 1);
        }
        assert!(Pin::new(&mut take).poll(context).is_pending());
        // It is woken again and again, however long that takes where the machine is busy.
        match start.elapsed() < Duration::from_millis(50) || polls.get() < 3 {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }));
    assert!(polls.get() < 1000, "{} polls", polls.get());
    let waited = start.elapsed().as_millis();
    assert!(late.get() <= waited, "{} polls in {waited} ms", late.get());
}

#[test]
fn a_stream_ends_when_the_producer_is_dropped() {
    let (producer, consumer) = ends(2);
    producer.put(1).expect("room");
    let puts = async {
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(3) {
            after(1).await;
        }
        producer.put_async(2).await.expect("somebody takes");
        drop(producer);
    };
    let takes = async {
        assert_eq!(consumer.take_async().await, Ok(Some(1)));
        assert_eq!(consumer.take_async().await, Ok(Some(2)));
        assert_eq!(consumer.take_async().await, Ok(None));
        assert_eq!(consumer.take_async().await, Ok(None));
    };
    block_on(async { join!(puts, takes) });
}

#[test]
fn a_stream_ends_when_claims_are_kept_or_cannot_be() {
    let (producer, consumer) = ends(2);
    producer.claim(1);
    let mut take = consumer.take_async();
    assert!(poll_once(&mut take).is_pending());
    producer.put(5).expect("room");
    assert_eq!(poll_once(&mut take), Poll::Ready(Ok(Some(5))));
    assert_eq!(block_on(consumer.take_async()), Ok(None));
    producer.claim(2);
    let mut take = consumer.take_async();
    assert!(poll_once(&mut take).is_pending());
    drop(producer);
    let missing = ChannelError::Missing { messages: 2 };
    assert_eq!(poll_once(&mut take), Poll::Ready(Err(missing)));
}

/// The other tasks of the rank may still put.
#[test]
fn a_take_that_waits_is_no_end() {
    let channel = RemoteChannel::<u64>::local(1).expect("memory");
    let mut take = channel.take_async();
    assert!(poll_once(&mut take).is_pending());
    assert_eq!(channel.try_take(), Err(ChannelError::Empty));
    assert!(poll_once(&mut take).is_pending());
}

#[test]
fn nobody_is_left_who_takes() {
    let (producer, consumer) = ends(1);
    producer.put(1).expect("room");
    let mut put = pin!(producer.put_async(2));
    let closed = |message| {
        Err(PutError {
            message,
            reason: ChannelError::Closed,
        })
    };
    block_on(async {
        assert!(poll!(put.as_mut()).is_pending());
        drop(consumer);
        assert_eq!(put.await, closed(2));
        assert_eq!(producer.put_async(3).await, closed(3));
    });
}

#[test]
fn long_messages_arrive_whole() {
    let (producer, consumer) = ends::<[u64; 4096]>(1);
    block_on(async {
        let puts = async {
            for number in 0..20 {
                let put = producer.put_async([number; 4096]).await;
                put.expect("somebody takes");
            }
        };
        let takes = async {
            for number in 0..20 {
                assert_eq!(consumer.take_async().await, Ok(Some([number; 4096])));
            }
        };
        join!(puts, takes)
    });
}

fn panic_of<R>(act: impl FnOnce() -> R) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act)).err().expect("a panic");
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref().cloned())
        .unwrap_or_default()
}

#[test]
fn a_future_that_was_ready_is_not_polled() {
    let (producer, consumer) = ends(1);
    let (mut put, mut take) = (producer.put_async(1), consumer.take_async());
    assert_eq!(poll_once(&mut put), Poll::Ready(Ok(())));
    assert_eq!(poll_once(&mut take), Poll::Ready(Ok(Some(1))));
    let told = panic_of(|| poll_once(&mut put));
    assert!(told.contains("`PutFuture` is not polled after"), "{told}");
    let told = panic_of(|| poll_once(&mut take));
    assert!(told.contains("`TakeFuture` is not polled after"), "{told}");
    assert_eq!(consumer.try_take(), Err(ChannelError::Empty));
    drop(take);
    drop(consumer);
    let mut put = producer.put_async(2);
    assert!(matches!(poll_once(&mut put), Poll::Ready(Err(_))));
    assert!(panic_of(|| poll_once(&mut put)).contains("`PutFuture`"));
}

#[test]
fn a_future_shows_its_channel() {
    let (producer, consumer) = ends::<u64>(3);
    let shown = format!("{:?} {:?}", producer.put_async(1), consumer.take_async());
    assert!(
        shown.contains("PutFuture") && shown.contains("TakeFuture"),
        "{shown}"
    );
    assert!(shown.contains("local"), "{shown}");
}

/// Does not compile if the type is `Send`: then there are two ways to read the underscore.
macro_rules! assert_not_send {
    ($type:ty) => {{
        trait Ambiguous<A> {
            fn check() {}
        }
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + Send> Ambiguous<u8> for T {}
        <$type as Ambiguous<_>>::check();
    }};
}

#[test]
fn futures_stay_on_their_thread_and_may_move_there() {
    fn is_unpin<T: Unpin>() {}
    is_unpin::<PutFuture<'_, u64>>();
    is_unpin::<TakeFuture<'_, u64>>();
    assert_not_send!(PutFuture<'static, u64>);
    assert_not_send!(TakeFuture<'static, u64>);
}

#[tokio::test]
async fn tasks_share_a_channel() {
    const TASKS: u64 = 50;
    let channel = Rc::new(RemoteChannel::<u64>::local(2).expect("memory"));
    let tasks = LocalSet::new();
    let sum = Rc::new(Cell::new(0));
    for task in 0..TASKS {
        let (puts, takes, sum) = (Rc::clone(&channel), Rc::clone(&channel), Rc::clone(&sum));
        tasks.spawn_local(async move {
            for count in 0..20 {
                let message = task * 20 + count;
                puts.put_async(message).await.expect("somebody takes");
            }
        });
        tasks.spawn_local(async move {
            for _ in 0..20 {
                let message = takes.take_async().await.expect("open");
                sum.set(sum.get() + message.expect("a message"));
            }
        });
    }
    tasks.await;
    assert_eq!(sum.get(), (0..TASKS * 20).sum());
    assert!(channel.is_empty());
}
