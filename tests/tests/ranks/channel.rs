//! Channels between real ranks: no message is lost or duplicated, messages are in order, and each
//! stream ends.

use std::any::type_name;
use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use mpi::collective::SystemOperation;
use mpi::topology::Color;
use mpi::traits::*;
use mpisync::{ChannelError, Consumer, CreateError, Plain, Producer, RemoteChannel};
use mpisync_tests::job::Job;
use mpisync_tests::panics::expect_panic;
use mpisync_tests::rng::Rng;

use crate::common::still_works;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    streams = |job| {
        for capacity in [1, 2, 7, 64, 1000] {
            streams(job, capacity, Bulk::One);
        }
    },
    streams_in_bulk = |job| {
        for capacity in [1, 7, 256] {
            streams(job, capacity, Bulk::Many);
        }
    },
    tasks_that_make_tasks,
    backpressure,
    claims,
    claims_together,
    broken_claims,
    any_host,
    consumer_leaves_early,
    no_consumer_is_left,
    sizes,
    timeouts,
    many_channels,
    sub_communicators,
    beside_a_controller,
    isend_while_taking,
    random_ends,
    futures,
    impossible_arguments,
    arguments_differ,
    objects_differ,
    layouts_differ,
    only_consumer,
);

/// The message of most cases: its producer, its number, and a value computed from both.
#[derive(Clone, Copy, Debug, PartialEq, mpisync::Equivalence)]
struct Numbered {
    producer: u32,
    number: u32,
    check: u64,
}

impl Numbered {
    fn new(producer: i32, number: u32) -> Self {
        let producer = producer as u32;
        let check = u64::from(producer).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(number);
        Numbered {
            producer,
            number,
            check,
        }
    }
}

/// The messages that this rank has taken, by producer.
struct Taken {
    last: Vec<Option<u32>>,
    count: u64,
    sum: u64,
}

impl Taken {
    fn new(job: &Job) -> Self {
        Taken {
            last: vec![None; job.size as usize],
            count: 0,
            sum: 0,
        }
    }

    fn add(&mut self, message: Numbered) {
        let right = Numbered::new(message.producer as i32, message.number);
        assert_eq!(message, right, "a message is as it was put");
        let last = &mut self.last[message.producer as usize];
        assert!(*last < Some(message.number), "each producer's in order");
        *last = Some(message.number);
        self.count += 1;
        self.sum = self.sum.wrapping_add(message.check);
    }

    /// [`Self::add`] for messages that may arrive out of order: over nodes, if a rank stops waiting
    /// for one.
    fn count_only(&mut self, message: Numbered) {
        self.last[message.producer as usize] = None;
        self.add(message);
    }

    /// Checks on all ranks that the messages taken are those put.
    fn check(&self, job: &Job, put: impl Iterator<Item = Numbered>) {
        let (mut count, mut sum) = (0_u64, 0_u64);
        for message in put {
            count += 1;
            sum = sum.wrapping_add(message.check);
        }
        let difference = [self.count.wrapping_sub(count), self.sum.wrapping_sub(sum)];
        let mut all = [1_u64; 2];
        job.world
            .all_reduce_into(&difference, &mut all, SystemOperation::sum());
        assert_eq!(all, [0, 0], "more or less was taken than put");
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Bulk {
    One,
    Many,
}

fn numbered(rank: i32, count: u32) -> impl Iterator<Item = Numbered> {
    (0..count).map(move |number| Numbered::new(rank, number))
}

fn channel<T: Plain>(job: &Job, capacity: usize) -> RemoteChannel<T> {
    RemoteChannel::new(&job.world, capacity).unwrap()
}

/// Even ranks put, odd ranks take; a single rank does both in turn.
fn streams(job: &Job, capacity: usize, bulk: Bulk) {
    let messages: u32 = if capacity < 7 { 500 } else { 3_000 };
    let channel = channel::<Numbered>(job, capacity);
    assert_eq!(channel.capacity(), capacity);
    let mut taken = Taken::new(job);
    if job.size == 1 {
        for message in numbered(0, messages) {
            channel.put(message).unwrap();
            taken.add(channel.take().unwrap());
        }
        return taken.check(job, numbered(0, messages));
    }
    let (producer, consumer) = channel.split();
    if job.rank % 2 == 0 {
        drop(consumer);
        let all: Vec<_> = numbered(job.rank, messages).collect();
        match bulk {
            Bulk::One => all
                .iter()
                .for_each(|message| producer.put(*message).unwrap()),
            Bulk::Many => {
                let (slice, rest) = all.split_at(all.len() / 2);
                producer.put_slice(slice).unwrap();
                producer.put_all(rest.iter().copied()).unwrap();
            }
        }
        drop(producer);
        taken.check(job, all.into_iter());
    } else {
        drop(producer);
        match bulk {
            Bulk::One => consumer.iter().for_each(|message| taken.add(message)),
            Bulk::Many => {
                let mut some = Vec::new();
                while consumer.take_many(&mut some, 100) > 0 {
                    some.drain(..).for_each(|message| taken.add(message));
                }
            }
        }
        assert_eq!(consumer.take(), None);
        assert_eq!(consumer.try_take(), Ok(None));
        taken.check(job, numbered(0, 0));
    }
}

/// Ranks take tasks and put further tasks; the stream ends when all of them wait.
fn tasks_that_make_tasks(job: &Job) {
    let channel = channel::<u32>(job, 10_000);
    for round in 0..20 {
        if job.rank == round % job.size {
            channel.put(12).unwrap();
        }
        // From here on there are tasks.
        job.world.barrier();
        let mut done = 0_u64;
        for task in &channel {
            for smaller in 0..task {
                channel.put(smaller).unwrap();
            }
            done += 1;
        }
        let mut all = 0;
        job.world
            .all_reduce_into(&done, &mut all, SystemOperation::sum());
        assert_eq!(all, 1 << 12, "in round {round}");
    }
}

fn backpressure(job: &Job) {
    for capacity in [1, 3] {
        let channel = channel::<u64>(job, capacity);
        if job.rank == 0 {
            for number in 0..capacity {
                assert!(!channel.is_full());
                channel.try_put(number as u64).unwrap();
            }
            assert!(channel.is_full());
            assert_eq!(channel.len(), capacity);
            let refused = channel.try_put(7).unwrap_err();
            assert_eq!((refused.message, refused.reason), (7, ChannelError::Full));
            let waited = Duration::from_millis(5);
            let refused = channel.put_timeout(8, waited).unwrap_err();
            assert_eq!(
                refused.reason,
                ChannelError::Timeout {
                    waited,
                    report: Default::default()
                }
            );
        }
        job.world.barrier();
        let last = job.size - 1;
        if job.rank == last && job.size > 1 {
            std::thread::sleep(Duration::from_millis(20));
            job.scratch.word(capacity).store(1, SeqCst);
            assert_eq!(channel.take(), Some(0));
        }
        if job.rank == 0 && job.size > 1 {
            channel.put(9).unwrap();
            let made_room = job.scratch.word(capacity).load(SeqCst);
            assert_eq!(made_room, 1, "not before there was room");
            assert!(channel.is_full());
        }
        job.world.barrier();
    }
}

/// Each rank claims and puts messages, and all take until the claims are fulfilled; no rank closes
/// its end.
fn claims(job: &Job) {
    let channel = channel::<Numbered>(job, 5);
    for round in 1..4 {
        let mine = (job.rank as u32 + round) * 3;
        channel.claim(mine.into());
        job.world.barrier();
        let mut taken = Taken::new(job);
        let mut left = numbered(job.rank, mine).peekable();
        while let Some(message) = left.peek() {
            if channel.try_put(*message).is_ok() {
                left.next();
            } else if let Ok(Some(message)) = channel.try_take() {
                taken.add(message);
            }
        }
        channel.iter().for_each(|message| taken.add(message));
        taken.check(job, numbered(job.rank, mine));
        job.world.barrier();
    }
}

/// All ranks promise the same messages, rank 0 puts them, and the others take them.
fn claims_together(job: &Job) {
    const ALL: u64 = 100;
    let channel = channel::<u64>(job, 5);
    channel.claim_together(ALL);
    let mut taken: u64 = 0;
    if job.rank == 0 && job.size > 1 {
        (1..=ALL).for_each(|number| channel.put(number).unwrap());
    } else if job.size == 1 {
        for number in 1..=ALL {
            channel.put(number).unwrap();
            taken += channel.take().unwrap();
        }
        assert_eq!(channel.take(), None);
    } else {
        while let Some(number) = channel.take() {
            taken += number;
        }
    }
    let mut all: u64 = 0;
    job.world
        .all_reduce_into(&taken, &mut all, SystemOperation::sum());
    assert_eq!(all, ALL * (ALL + 1) / 2);
}

fn broken_claims(job: &Job) {
    let channel = channel::<u8>(job, 5);
    if job.rank == 0 {
        channel.claim(3);
        channel.put(1).unwrap();
    }
    job.world.barrier();
    let (producer, consumer) = channel.split();
    drop(producer);
    job.world.barrier();
    if job.rank == job.size - 1 {
        assert_eq!(consumer.take(), Some(1));
        let missing = ChannelError::Missing { messages: 2 };
        // In this order: the closed ends of ranks of other nodes may become known later.
        assert_eq!(consumer.take_timeout(Duration::MAX), Err(missing.clone()));
        assert_eq!(consumer.try_take(), Err(missing));
        let words = expect_panic(|| consumer.take());
        assert!(
            words.contains("2 claimed messages were never put"),
            "{words}"
        );
    }
    job.world.barrier();
}

/// The root puts and takes like any other rank.
fn any_host(job: &Job) {
    for host in 0..job.size {
        let builder = RemoteChannel::<i32>::builder(&job.world, 4);
        let channel = builder.root(host).name("any").build().unwrap();
        assert_eq!((channel.root(), channel.name()), (host, "any"));
        assert_eq!((channel.rank(), channel.size()), (job.rank, job.size));
        let neighbour = (host + 1) % job.size;
        if job.rank == host {
            channel.put(host).unwrap();
        }
        job.world.barrier();
        if job.rank == neighbour {
            assert_eq!(channel.take(), Some(host));
            channel.put(-1).unwrap();
        }
        job.world.barrier();
        if job.rank == host {
            assert_eq!(channel.take(), Some(-1));
        }
    }
}

/// Takes a few messages and leaves; the others take the rest.
fn consumer_leaves_early(job: &Job) {
    const MESSAGES: u32 = 2_000;
    if job.size < 2 {
        return;
    }
    let (producer, consumer) = channel::<Numbered>(job, 16).split();
    let mut taken = Taken::new(job);
    if job.rank == 0 {
        drop(consumer);
        for message in numbered(0, MESSAGES) {
            if let Err(error) = producer.put(message) {
                // With two ranks the only one that takes has left.
                assert_eq!(error.reason, ChannelError::Closed);
                assert_eq!(job.size, 2);
                assert!(message.number >= 10);
                return taken.check(job, numbered(0, 10));
            }
        }
        drop(producer);
        let put = if job.size == 2 { 10 } else { MESSAGES };
        return taken.check(job, numbered(0, put));
    }
    drop(producer);
    if job.rank == 1 {
        // Dropped with the iterator.
        consumer
            .into_iter()
            .take(10)
            .for_each(|message| taken.add(message));
    } else {
        consumer.into_iter().for_each(|message| taken.add(message));
    }
    taken.check(job, numbered(0, 0));
}

fn no_consumer_is_left(job: &Job) {
    let (mut producer, consumer) = channel::<u16>(job, job.size as usize).split();
    producer.put(1).ok();
    drop(consumer);
    job.world.barrier();
    let spans_nodes = mpisync::sync(&job.world).unwrap().nodes() > 1;
    loop {
        match producer.try_put(2).map_err(|error| error.reason) {
            Err(ChannelError::Closed) => break,
            // Until the departures of ranks of other nodes are known, too.
            other => assert!(spans_nodes, "{other:?}"),
        }
    }
    assert_eq!(producer.put(2).unwrap_err().reason, ChannelError::Closed);
    assert_eq!(producer.put_slice(&[3, 4]).unwrap_err().put, 0);
    let refused = producer.put_with(|slot| *slot = 5);
    assert_eq!(refused, Err(ChannelError::Closed));
    job.world.barrier();
}

fn sizes(job: &Job) {
    of_size::<1>(job);
    of_size::<7>(job);
    of_size::<56>(job);
    of_size::<57>(job);
    of_size::<4096>(job);
    of_size::<100_003>(job);
    of_size::<{ 1 << 20 }>(job);
}

fn of_size<const BYTES: usize>(job: &Job) {
    let fill = |number: usize, bytes: &mut [u8]| {
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = (index + number) as u8;
        }
    };
    let (mut producer, mut consumer) = channel::<[u8; BYTES]>(job, 3).split();
    let last = job.size - 1;
    let mut expected = vec![0; BYTES];
    let put = |producer: &mut Producer<[u8; BYTES]>, number: usize| {
        producer.put_with(|slot| fill(number, slot)).unwrap();
    };
    let mut take = |consumer: &mut Consumer<[u8; BYTES]>, number: usize| {
        fill(number, &mut expected);
        let right = consumer.take_with(|message| message[..] == expected[..]);
        assert_eq!(right, Some(true), "{BYTES} bytes");
    };
    for number in 0..10 {
        if job.rank == 0 {
            put(&mut producer, number);
        }
        if job.rank == last {
            take(&mut consumer, number);
        }
    }
}

fn timeouts(job: &Job) {
    let channel = channel::<u64>(job, 2);
    let waited = Duration::from_millis(10);
    let start = Instant::now();
    let taken = channel.take_timeout(waited);
    assert_eq!(
        taken,
        Err(ChannelError::Timeout {
            waited,
            report: Default::default()
        })
    );
    assert!(start.elapsed() >= waited);
    assert_eq!(channel.try_take(), Err(ChannelError::Empty));
    job.world.barrier();
    if job.rank == 0 {
        channel.put(4).unwrap();
    }
    job.world.barrier();
    if job.rank == job.size - 1 {
        assert_eq!(channel.take_timeout(Duration::from_secs(20)), Ok(Some(4)));
    }
    job.world.barrier();
}

fn many_channels(job: &Job) {
    let many = if job.size > 2 { 200 } else { 1_000 };
    let channels: Vec<_> = (0..many).map(|_| channel::<u64>(job, 2)).collect();
    for (number, channel) in channels.iter().enumerate() {
        if number as i32 % job.size == job.rank {
            channel.put(number as u64).unwrap();
        }
    }
    job.world.barrier();
    for (number, channel) in channels.iter().enumerate() {
        if (number as i32 + 1) % job.size == job.rank {
            assert_eq!(channel.take(), Some(number as u64));
        }
    }
    job.world.barrier();
}

fn sub_communicators(job: &Job) {
    let color = Color::with_value(job.rank % 2);
    let half = job.world.split_by_color(color).unwrap();
    let channel = RemoteChannel::<i32>::new(&half, 3).unwrap();
    assert_eq!(channel.size(), half.size());
    channel.claim(1);
    half.barrier();
    channel.put(job.rank).unwrap();
    let from = channel.take().unwrap();
    assert_eq!(from % 2, job.rank % 2);
    half.barrier();
    assert_eq!(channel.take(), None);
    drop(half);
    assert_eq!(channel.try_take(), Ok(None));
}

/// Channels and controllers of one communicator do not interfere.
fn beside_a_controller(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let channel = channel::<u64>(job, 4);
    let other = mpisync::sync(&job.world).unwrap();
    channel.claim(1);
    job.world.barrier();
    {
        let _alone = ctrl.write();
        channel.put(job.rank as u64).unwrap();
    }
    assert!(channel.take().is_some());
    drop(other);
    still_works(&mut ctrl);
    assert_eq!(channel.take(), None);
}

/// A rank that waits for a message lets MPI make progress.
fn isend_while_taking(job: &Job) {
    const LARGE: usize = 4 << 20;
    if job.size < 2 {
        return;
    }
    let (producer, consumer) = channel::<u8>(job, 1).split();
    let large = vec![job.rank as u8; LARGE];
    if job.rank == 0 {
        mpi::request::scope(|scope| {
            let request = job
                .world
                .process_at_rank(1)
                .immediate_send(scope, &large[..]);
            // Arrives after the other rank has received everything.
            assert_eq!(consumer.take(), Some(1));
            request.wait();
        });
    } else if job.rank == 1 {
        let (received, _) = job.world.process_at_rank(0).receive_vec::<u8>();
        assert_eq!(received.len(), LARGE);
        producer.put(1).unwrap();
    }
    job.world.barrier();
}

/// Ranks join and leave at random, and each stream ends.
fn random_ends(job: &Job) {
    for round in 0..50 {
        let (producer, consumer) = channel::<Numbered>(job, 1 + round % 5).split();
        let mut rng = Rng::new(round as u64 * 100 + job.rank as u64);
        // All ranks take, so that all messages are taken.
        let mine = rng.below(40) as u32;
        let mut taken = Taken::new(job);
        let mut left = numbered(job.rank, mine).peekable();
        while let Some(message) = left.peek() {
            match producer.try_put(*message) {
                Ok(()) => {
                    left.next();
                }
                Err(_) => {
                    if let Ok(Some(message)) = consumer.try_take() {
                        taken.add(message);
                    }
                }
            }
        }
        if rng.below(2) == 0 {
            drop(producer);
            consumer.iter().for_each(|message| taken.add(message));
        } else {
            // Waits with its producer open, like all others in the end.
            consumer.iter().for_each(|message| taken.add(message));
            drop(producer);
        }
        taken.check(job, numbered(job.rank, mine));
    }
}

/// Polls until it is ready, or `times` times.
fn poll<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..times {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        std::thread::yield_now();
    }
    None
}

/// Even ranks put and odd ranks take, and most futures are dropped before they are ready.
fn futures(job: &Job) {
    const MESSAGES: u32 = 300;
    if job.size < 2 {
        return;
    }
    let (producer, consumer) = channel::<Numbered>(job, 3).split();
    let mut rng = Rng::new(job.rank as u64);
    let mut taken = Taken::new(job);
    if job.rank % 2 == 0 {
        drop(consumer);
        let mut left = numbered(job.rank, MESSAGES).peekable();
        while let Some(message) = left.peek() {
            let times = 1 + rng.below(2_000) as usize;
            if let Some(put) = poll(producer.put_async(*message), times) {
                put.unwrap();
                left.next();
            }
        }
        drop(producer);
        return taken.check(job, numbered(job.rank, MESSAGES));
    }
    drop(producer);
    loop {
        let times = 1 + rng.below(2_000) as usize;
        match poll(consumer.take_async(), times) {
            Some(Ok(Some(message))) => taken.count_only(message),
            Some(end) => break assert_eq!(end, Ok(None)),
            None => {}
        }
    }
    taken.check(job, numbered(0, 0));
}

fn impossible_arguments(job: &Job) {
    for capacity in [0, usize::MAX, usize::MAX / 64, 1 << 49] {
        let error = RemoteChannel::<u64>::new(&job.world, capacity).unwrap_err();
        let is_right = matches!(error, CreateError::Capacity { bytes: 8, .. });
        assert!(is_right, "{error:?}");
        assert!(error.to_string().contains(&capacity.to_string()), "{error}");
    }
    // A valid size, but there is not enough memory.
    let error = RemoteChannel::<[u8; 1 << 20]>::new(&job.world, 1 << 30).unwrap_err();
    let no_memory = matches!(
        error,
        CreateError::NoRoom { .. } | CreateError::Memory { .. }
    );
    assert!(no_memory, "{error:?}");
    for host in [-1, job.size, i32::MAX] {
        let builder = RemoteChannel::<u64>::builder(&job.world, 1);
        let error = builder.root(host).build().unwrap_err();
        let is_right = matches!(error, CreateError::RankOutOfRange { .. });
        assert!(is_right, "{error:?}");
    }
    let long = "x".repeat(201);
    let error = RemoteChannel::<u64>::builder(&job.world, 1)
        .name(long)
        .build();
    assert!(matches!(error, Err(CreateError::NameTooLong { .. })));
    drop(channel::<u64>(job, 1));
}

/// Checks the error of each rank when only the last rank does something else.
fn assert_last_differs(job: &Job, error: Option<CreateError>, found: &str) {
    if job.size == 1 {
        return assert!(error.is_none(), "{error:?}");
    }
    let error = error.expect("the ranks differ");
    let words = error.to_string();
    assert!(words.contains(found), "{words}");
    if job.rank == job.size - 1 {
        let is_right = matches!(
            error,
            CreateError::ArgumentsDiffer { .. } | CreateError::Diverged { .. }
        );
        assert!(is_right, "{error:?}");
    } else {
        let last = job.size - 1;
        let is_right = matches!(&error, CreateError::OtherRank { rank, .. } if *rank == last);
        assert!(is_right, "{error:?}");
    }
    drop(channel::<u64>(job, 1));
}

fn arguments_differ(job: &Job) {
    let is_last = job.rank == job.size - 1 && job.size > 1;
    let capacity = if is_last { 3 } else { 4 };
    let made = RemoteChannel::<u64>::new(&job.world, capacity);
    assert_last_differs(job, made.err(), "capacity");
    let made = if is_last {
        let builder = RemoteChannel::<i64>::builder(&job.world, 4);
        builder.anywhere().build().err()
    } else {
        let builder = RemoteChannel::<u64>::builder(&job.world, 4);
        builder.anywhere().build().err()
    };
    assert_last_differs(job, made, "type of messages");
    let name = if is_last { "here" } else { "there" };
    let made = RemoteChannel::<u64>::builder(&job.world, 4)
        .name(name)
        .build();
    assert_last_differs(job, made.err(), "name");
    let host = if is_last { 1 } else { 0 };
    let made = RemoteChannel::<u64>::builder(&job.world, 4)
        .root(host)
        .build();
    assert_last_differs(job, made.err(), "root");
}

/// One rank makes a controller while the others make a channel, and the reverse.
fn objects_differ(job: &Job) {
    let is_last = job.rank == job.size - 1 && job.size > 1;
    for channel_on_last in [false, true] {
        let made = if is_last == channel_on_last {
            RemoteChannel::<u64>::new(&job.world, 4).err()
        } else {
            mpisync::sync(&job.world).err()
        };
        assert_last_differs(job, made, "the same objects");
    }
}

/// The last rank's message has another alignment, so that it would read those of others at wrong
/// addresses. The types have the same name, from two blocks of one function.
fn layouts_differ(job: &Job) {
    let is_last = job.rank == job.size - 1 && job.size > 1;
    let (made, name) = if is_last {
        #[derive(Clone, Copy, mpisync::Equivalence)]
        #[repr(align(128))]
        struct Message {
            _bytes: [u8; 128],
        }
        let builder = RemoteChannel::<Message>::builder(&job.world, 4);
        let made = builder.anywhere().build();
        (made.err(), type_name::<Message>())
    } else {
        #[derive(Clone, Copy, mpisync::Equivalence)]
        struct Message {
            _bytes: [u8; 128],
        }
        let builder = RemoteChannel::<Message>::builder(&job.world, 4);
        let made = builder.anywhere().build();
        (made.err(), type_name::<Message>())
    };
    assert!(name.ends_with("layouts_differ::Message"), "{name}");
    assert_last_differs(job, made, "layout of messages");
}

/// The only remaining consumer does not wait for itself when it puts.
fn only_consumer(job: &Job) {
    let (mut producer, consumer) = channel::<u64>(job, 3).split();
    if job.rank != 0 {
        if job.rank == job.size - 1 {
            producer.put(7).unwrap();
        }
        // Rank 0 has waited for some time.
        job.world.barrier();
        std::thread::sleep(Duration::from_millis(5));
        drop((producer, consumer));
        return job.world.barrier();
    }
    job.world.barrier();
    if job.size == 1 {
        producer.put(7).unwrap();
    }
    let refused = producer.put_slice(&[1, 2, 3, 4]).unwrap_err();
    assert_eq!(
        (refused.put, refused.reason),
        (2, ChannelError::OnlyConsumer)
    );
    let refused = producer.put(3).unwrap_err();
    assert_eq!(
        (refused.message, refused.reason),
        (3, ChannelError::OnlyConsumer)
    );
    let refused = producer.put_with(|slot| *slot = 3);
    assert_eq!(refused, Err(ChannelError::OnlyConsumer));
    let mut taken: Vec<u64> = consumer.iter().take(2).collect();
    producer.put(5).unwrap();
    drop(producer);
    taken.extend(consumer.iter());
    // Messages of different nodes arrive in any order.
    let others = taken.iter().position(|&message| message == 7);
    taken.remove(others.expect("that of the last rank"));
    assert_eq!(taken, [1, 2, 5]);
    job.world.barrier();
}
