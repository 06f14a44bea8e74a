//! Channels: messages of one type, from any rank to any rank.
//!
//! # How it works
//! On one node, the messages lie in slots of memory that the ranks share. Each slot has a stamp
//! that says for which lap around the slots it is free or full: who puts reserves the slot at the
//! tail, fills it and stamps it, and who takes does the same at the head. No rank waits for another
//! one to answer, and a rank that computes holds nobody up. A rank that waits spins for a
//! microsecond or two, then lets MPI make progress and gives its core away, then sleeps, as with a
//! lock.
//!
//! # Order
//! All messages have one order, that of the slots. What one rank puts is taken in the order in
//! which it was put, and a rank that takes sees messages in the order of the slots.
//!
//! # Over several nodes
//! Where ranks of the communicator run on different nodes, the messages are with the node of the
//! root, and every node has two small queues in shared memory: its ranks put into one and take from
//! the other, and wait for the network only where these are full or empty. The lowest rank of each
//! node carries messages in between, in its progress thread, many at a time. All calls mean the
//! same; what differs follows from the distance:
//!
//! - The capacity holds exactly, for room is granted by the coordinator before a message is put. A node whose ranks go on putting is
//!   granted more at a time, and what it does not use is called back where others need it.
//! - Messages are sent to nodes whose ranks wait for them, one for each. While the ranks of one node alone take, it gets up to
//!   512 messages (or 1 MiB) ahead; they are called back when another node's rank waits, so that none is kept from it, and the
//!   order holds. Two nodes that both take do so at a round trip a message.
//! - When `put` returns, the message is on its way: a rank of another node that is told of it by other means may find it a
//!   moment later, and `take` waits for it. The same is true of room that a rank of another node has made, of ends that are
//!   closed, and of the end of a stream: where ranks go on after one, let all that take meet before. When
//!   [`claim`](RemoteChannel::claim) returns, the coordinator knows.
//! - `try_put` and `try_take` ask the coordinator where they find nothing, as [`len`](RemoteChannel::len) does, and wait for its
//!   answer; futures never do.
//! - A message that arrives for a rank which has just given up waiting (after a timeout) goes to the next that takes, on
//!   another node maybe, where later ones may have come before it. So does one that waits for a future which is not polled
//!   for a quarter of a second.
//! - The lowest rank of each node has to live: if it dies, the others of the node get [`ChannelError::Lost`], and those of other
//!   nodes wait for it. MPI has to be initialized for several threads, as [`initialize`](crate::initialize) does.
//!
//! # The end of a stream
//! [`take`](RemoteChannel::take) returns `None` once no message can come any more. There are three
//! ways to get there:
//!
//! - The ranks that put drop their [`Producer`]s (or the channel).
//! - They say in advance how many messages they will put, with [`claim`](RemoteChannel::claim).
//! - All ranks that still have a producer wait in `take` themselves. So tasks that make further tasks end by themselves:
//!
//! ```
//! use mpisync::RemoteChannel;
//!
//! let tasks = RemoteChannel::<u64>::local(100)?;
//! tasks.put(3).expect("room");
//! let mut done = 0;
//! while let Some(task) = tasks.take() {
//!     for smaller in 0..task {
//!         tasks.put(smaller).expect("room");
//!     }
//!     done += 1;
//! }
//! assert_eq!(done, 8);
//! # Ok::<(), mpisync::CreateError>(())
//! ```
//!
//! The other way round, putting fails with [`ChannelError::Closed`] once no rank is left that could
//! take.
//!
//! # Futures
//! [`put_async`](RemoteChannel::put_async) and [`take_async`](RemoteChannel::take_async) are
//! futures, so that a rank can wait for several channels, or for a channel and a timer. They work
//! under any executor that runs them on the thread of the channel, and need no runtime. With the
//! feature `futures` its ends are also a stream and a sink.
//!
//! ```
//! use mpisync::RemoteChannel;
//!
//! let (questions, answers) = (RemoteChannel::<u64>::local(1)?, RemoteChannel::<u64>::local(1)?);
//! let ask = async {
//!     questions.put_async(6).await?;
//!     answers.take_async().await
//! };
//! let answer = async {
//!     let question = questions.take_async().await?.expect("a question");
//!     answers.put_async(question * 7).await?;
//!     Ok::<_, mpisync::ChannelError>(())
//! };
//! let (answer, _) = futures::executor::block_on(async { futures::join!(ask, answer) });
//! assert_eq!(answer, Ok(Some(42)));
//! # Ok::<(), mpisync::CreateError>(())
//! ```
//!
//! Whether there is a message is seen when a future is polled, and no other process can have that
//! done. So a future that waits is polled again and again for some microseconds, and after sleeps
//! of up to a millisecond then, of which a thread wakes it that all channels of the process share.
//! A blocking `put` or `take` finds out sooner, and costs less.
//!
//! A rank with a future that takes does not count as one that waits in `take`, for its other tasks
//! may put. So it has its stream end by dropping its producer, or with claims.
//!
//! # Where one rank puts and takes
//! `put` on a full channel waits for another rank to take. A rank that does both uses
//! [`try_put`](RemoteChannel::try_put), and takes a message where there is no room. Where no other
//! rank is left that takes, `put` on a full channel is [`ChannelError::OnlyConsumer`]. Ranks that
//! all do both and all use `put` may wait for each other.
//!
//! While a rank is inside [`put_with`](RemoteChannel::put_with) or
//! [`take_with`](RemoteChannel::take_with), all its other calls that put into the channel or take
//! from it are [`ChannelError::Nested`]. Most do not even compile.
//!
//! A rank that fails and does not drop its ends leaves the others waiting until it ends MPI, or
//! dies. Give them by value to the function that may fail, such as a `#[mpisync::collective]` one:
//! then they are dropped with it.
//!
//! # When a rank dies
//! Its ends are closed. A message that it was putting at that moment is not put, and one that it
//! was taking is lost with it; all others stay. This is noticed by the ranks that wait, within some
//! milliseconds; over several nodes, within a quarter of a second.
//!
//! # Sources
//! The slots with stamps: Dmitry Vyukov, "Bounded MPMC queue", 1024cores.net, 2010; with laps for
//! any capacity as in crossbeam's `ArrayQueue`.

mod attempts;
#[cfg(feature = "mpi")]
mod builder;
mod ends;
mod error;
mod future;
mod halves;
mod iter;
#[cfg(feature = "mpi")]
mod open;
pub(crate) mod remote;
pub(crate) mod ring;
#[cfg(feature = "futures")]
mod stream;
mod timer;

#[cfg(feature = "mpi")]
pub use crate::channel::builder::ChannelBuilder;
use crate::channel::ends::Ends;
pub use crate::channel::error::{BulkError, ChannelError, PutError};
pub use crate::channel::future::{PutFuture, TakeFuture};
pub use crate::channel::halves::{Consumer, Producer};
pub use crate::channel::iter::{IntoIter, Iter};
use crate::channel::ring::memory::{Layout, Slots};
#[cfg(feature = "futures")]
pub use crate::channel::stream::{ChannelSink, ChannelStream};
use crate::error::CreateError;
use crate::plain::Plain;
use crate::shm::domain::Domain;
use crate::shm::mapping::{ALIGN, Mapping};
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// A queue of messages of one type that all ranks of a communicator share, with room for a fixed
/// number of them.
///
/// Any rank puts and any rank takes. A message is plain data, see [`Plain`]. It stays on the thread
/// that made it, as controllers do; [`split`](Self::split) makes two ends of it, so that a rank
/// which only takes need not keep the stream open. Dropping it is local.
///
/// ```
/// use mpisync::RemoteChannel;
///
/// let channel = RemoteChannel::<f64>::local(16)?;
/// let (producer, consumer) = channel.split();
/// for value in [1.0, 2.0, 3.0] {
///     producer.put(value)?;
/// }
/// drop(producer);
/// assert_eq!(consumer.iter().sum::<f64>(), 6.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// See the [module](crate::channel) for the order of messages, the end of a stream, and what
/// happens when ranks die.
pub struct RemoteChannel<T: Plain> {
    producer: Producer<T>,
    consumer: Consumer<T>,
}

impl<T: Plain> RemoteChannel<T> {
    const ASSERT_ALIGNED: () = assert!(
        align_of::<T>() <= ALIGN,
        "a channel has messages with an alignment of at most 128 bytes: give the type a smaller `repr(align)`"
    );

    /// A channel of this process alone, with room for `capacity` messages. Needs no MPI, neither to
    /// run nor (without the feature `mpi`) to build.
    ///
    /// # Errors
    /// [`CreateError::Capacity`], [`CreateError::Memory`].
    pub fn local(capacity: usize) -> Result<Self, CreateError> {
        // In all functions that begin to make one: the compiler's note names the line that calls them.
        let () = Self::ASSERT_ALIGNED;
        let domain = Domain::local(0);
        let bytes = size_of::<T>();
        let layout = Layout::of::<T>(capacity, domain.segment().shape().seats)
            .ok_or(CreateError::Capacity { capacity, bytes })?;
        let memory = Mapping::try_private(layout.length()).ok_or_else(|| CreateError::Memory {
            rank: 0,
            source: io::Error::from(io::ErrorKind::OutOfMemory).into(),
        })?;
        let slots = Slots::new(domain, layout, memory);
        Ok(Self::on(Ends::local(slots, 0, "local".to_owned())))
    }

    fn on(ends: Ends<T>) -> Self {
        let ends = Rc::new(ends);
        #[cfg(feature = "mpi")]
        if ends.needs_mpi {
            open::close_at_end(&ends);
        }
        RemoteChannel {
            producer: Producer {
                ends: Rc::clone(&ends),
            },
            consumer: Consumer { ends },
        }
    }

    /// This rank's number in the communicator.
    pub fn rank(&self) -> i32 {
        self.producer.ends.rank()
    }

    /// How many ranks the communicator has.
    pub fn size(&self) -> i32 {
        self.producer.ends.size()
    }

    /// The rank on whose node the messages lie.
    pub fn root(&self) -> i32 {
        self.producer.ends.root
    }

    /// The name it was given; of use in messages only.
    pub fn name(&self) -> &str {
        &self.producer.ends.name
    }

    /// For how many messages there is room.
    pub fn capacity(&self) -> usize {
        self.producer.ends.capacity()
    }

    /// How many messages are in the channel, including those that are just being put; a moment ago.
    /// Not collective.
    pub fn len(&self) -> usize {
        self.producer.ends.len()
    }

    /// Whether there were none, a moment ago.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there was no room for another one, a moment ago.
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// The two ends by themselves. Not collective: each rank keeps the end that it uses and drops
    /// the other one, or the whole channel.
    pub fn split(self) -> (Producer<T>, Consumer<T>) {
        (self.producer, self.consumer)
    }

    /// Promises that `messages` more messages will be put, by this rank or another. Not collective.
    ///
    /// Once as many messages were taken as all ranks have promised, `take` returns `None` without
    /// waiting for producers to close. Promise before the ranks that take begin (with a barrier in
    /// between), or one of them may find the promises of the others kept and end.
    pub fn claim(&self, messages: u64) {
        self.producer.claim(messages);
    }

    /// Puts a message; waits while the channel is full. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Closed`], [`ChannelError::OnlyConsumer`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`], with the message.
    #[inline]
    pub fn put(&self, message: T) -> Result<(), PutError<T>> {
        self.producer.put(message)
    }

    /// Puts a message if there is room; does not wait. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Full`], [`ChannelError::Closed`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`], with the message.
    #[inline]
    pub fn try_put(&self, message: T) -> Result<(), PutError<T>> {
        self.producer.try_put(message)
    }

    /// Puts a message; waits for `limit` at most while the channel is full. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Timeout`], [`ChannelError::Closed`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`], with the message. With
    /// [`Duration::MAX`] also [`ChannelError::OnlyConsumer`].
    pub fn put_timeout(&self, message: T, limit: Duration) -> Result<(), PutError<T>> {
        self.producer.put_timeout(message, limit)
    }

    /// Puts a message that `fill` writes where the others will read it, without a copy; waits while
    /// the channel is full. Not collective.
    ///
    /// The slot has the bytes of an older message, or zeros, and what `fill` does not write stays
    /// as it is. Ranks that take wait for `fill`, so have everything at hand. If it panics there is
    /// no message.
    ///
    /// `fill` cannot use the channel, for a call inside it could wait for the message that is not
    /// there yet: that does not compile, and through the other end of a channel that is
    /// [split](Self::split) it is [`ChannelError::Nested`].
    ///
    /// ```
    /// let mut channel = mpisync::RemoteChannel::<[u8; 1 << 20]>::local(2)?;
    /// channel.put_with(|slot| slot.fill(7))?;
    /// let sum = channel.take_with(|message| message.iter().map(|&byte| u64::from(byte)).sum::<u64>());
    /// assert_eq!(sum, Some(7 << 20));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ChannelError::Closed`], [`ChannelError::OnlyConsumer`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`].
    pub fn put_with<R>(&mut self, fill: impl FnOnce(&mut T) -> R) -> Result<R, ChannelError> {
        self.producer.put_with(fill)
    }

    /// Puts all messages of a slice, as many at a time as there is room for, and waits while there
    /// is none. Not collective. Messages of other ranks may come in between.
    ///
    /// # Errors
    /// Those of [`put`](Self::put), with how many were put before.
    pub fn put_slice(&self, messages: &[T]) -> Result<(), BulkError> {
        self.producer.put_slice(messages)
    }

    /// Puts all messages of an iterator, some KiB at a time, and waits while there is no room. Not
    /// collective. Messages of other ranks may come in between.
    ///
    /// # Errors
    /// Those of [`put`](Self::put), with how many were put before.
    pub fn put_all(&self, messages: impl IntoIterator<Item = T>) -> Result<(), BulkError> {
        self.producer.put_all(messages)
    }

    /// Takes the next message; waits while there is none. `None` at the
    /// [end](crate::channel#the-end-of-a-stream) of the stream. Not collective.
    ///
    /// # Panics
    /// Where [`take_timeout`](Self::take_timeout) would return another error than a timeout.
    #[inline]
    #[track_caller]
    pub fn take(&self) -> Option<T> {
        self.consumer.take()
    }

    /// Takes the next message if there is one; does not wait. `None` at the end of the stream. Not
    /// collective.
    ///
    /// # Errors
    /// [`ChannelError::Empty`], [`ChannelError::Missing`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`].
    #[inline]
    pub fn try_take(&self) -> Result<Option<T>, ChannelError> {
        self.consumer.try_take()
    }

    /// Takes the next message; waits for `limit` at most while there is none. `None` at the end of
    /// the stream. Not collective. Pass [`Duration::MAX`] to wait indefinitely and still get
    /// failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`ChannelError::Timeout`], [`ChannelError::Missing`], [`ChannelError::Nested`],
    /// [`ChannelError::Lost`], [`ChannelError::Finalized`].
    pub fn take_timeout(&self, limit: Duration) -> Result<Option<T>, ChannelError> {
        self.consumer.take_timeout(limit)
    }

    /// Takes the next message and lets `read` look at it where it lies, without a copy; waits while
    /// there is none. `None` at the end of the stream. Not collective.
    ///
    /// The message keeps its slot until `read` returns. `read` cannot use the channel, for a call
    /// inside it could wait for that slot: that does not compile, and through the other end of a
    /// channel that is [split](Self::split) it is [`ChannelError::Nested`].
    ///
    /// # Panics
    /// As [`take`](Self::take). If `read` panics, the message is taken all the same.
    #[track_caller]
    pub fn take_with<R>(&mut self, read: impl FnOnce(&T) -> R) -> Option<R> {
        self.consumer.take_with(read)
    }

    /// Takes the next message and copies it to `message`, which is left as it is at the end of the
    /// stream; waits while there is none. Whether there was one. Not collective. For large
    /// messages, which [`take`](Self::take) would put on the stack.
    ///
    /// # Panics
    /// As [`take`](Self::take).
    #[track_caller]
    pub fn take_into(&self, message: &mut T) -> bool {
        self.consumer.take_into(message)
    }

    /// Takes up to `most` messages and adds them to `messages`; waits while there is none. How many
    /// there were; 0 at the end of the stream. Not collective.
    ///
    /// # Panics
    /// As [`take`](Self::take).
    #[track_caller]
    pub fn take_many(&self, messages: &mut Vec<T>, most: usize) -> usize {
        self.consumer.take_many(messages, most)
    }

    /// Puts a message; a future that waits while the channel is full. Not collective.
    ///
    /// The message is put in the poll that is ready and not before, so nothing happens if the
    /// future is dropped earlier. Futures do not queue up: where several wait, whichever is polled
    /// first puts.
    ///
    /// It waits also where this rank alone takes from the channel, for another future of the rank
    /// may do so: it is pending until one does.
    ///
    /// ```
    /// use mpisync::{ChannelError, RemoteChannel};
    ///
    /// let (producer, consumer) = RemoteChannel::<f64>::local(1)?.split();
    /// let put = async {
    ///     producer.put_async(1.5).await?;
    ///     drop(consumer);
    ///     producer.put_async(2.5).await
    /// };
    /// let error = futures::executor::block_on(put).expect_err("nobody takes");
    /// assert_eq!((error.message, error.reason), (2.5, ChannelError::Closed));
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    ///
    /// # Errors
    /// [`ChannelError::Closed`], [`ChannelError::Nested`], [`ChannelError::Lost`],
    /// [`ChannelError::Finalized`], with the message.
    ///
    /// # Panics
    /// If the future is polled after it was ready.
    pub fn put_async(&self, message: T) -> PutFuture<'_, T> {
        self.producer.put_async(message)
    }

    /// Takes the next message; a future that waits while there is none. `Ok(None)` at the end of
    /// the stream. Not collective.
    ///
    /// A message is taken in the poll that is ready and not before, so none is lost if the future
    /// is dropped earlier, as by `select!` or a timeout. Meanwhile this rank does not count as one
    /// that waits: the stream ends when the producers are dropped, that of this rank at any rate,
    /// or the [claims](Self::claim) are kept.
    ///
    /// ```
    /// let (producer, consumer) = mpisync::RemoteChannel::<f64>::local(16)?.split();
    /// producer.put(1.5)?;
    /// drop(producer);
    /// futures::executor::block_on(async {
    ///     assert_eq!(consumer.take_async().await, Ok(Some(1.5)));
    ///     assert_eq!(consumer.take_async().await, Ok(None));
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`ChannelError::Missing`], [`ChannelError::Nested`], [`ChannelError::Lost`],
    /// [`ChannelError::Finalized`].
    ///
    /// # Panics
    /// If the future is polled after it was ready.
    pub fn take_async(&self) -> TakeFuture<'_, T> {
        self.consumer.take_async()
    }

    /// Takes messages until the end of the stream, as the stream of an executor. Each item is a
    /// [`take_async`](Self::take_async), and after an error there is none.
    ///
    /// ```
    /// use futures::TryStreamExt;
    ///
    /// let (producer, consumer) = mpisync::RemoteChannel::<u64>::local(16)?.split();
    /// producer.put_slice(&[1, 2, 3])?;
    /// drop(producer);
    /// let messages: Vec<u64> = futures::executor::block_on(consumer.stream().try_collect())?;
    /// assert_eq!(messages, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "futures")]
    pub fn stream(&self) -> ChannelStream<'_, T> {
        self.consumer.stream()
    }

    /// Puts messages, as the sink of an executor.
    ///
    /// It is ready when there is room, and a message is put as soon as the sink has it. Only if
    /// another rank or task puts in between does the sink hold the message, one at most, and puts
    /// it when it is polled next, to become ready, to flush or to close. So flush before you drop
    /// it, as `send` does and `feed` does not. Closing it flushes it and nothing else; the stream
    /// ends when the producers are dropped.
    ///
    /// ```
    /// use futures::{SinkExt, StreamExt, stream};
    ///
    /// let (producer, consumer) = mpisync::RemoteChannel::<u64>::local(16)?.split();
    /// let mut messages = stream::iter(1..=3).map(Ok);
    /// futures::executor::block_on(producer.sink().send_all(&mut messages))?;
    /// drop(producer);
    /// assert_eq!(consumer.iter().sum::<u64>(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "futures")]
    pub fn sink(&self) -> ChannelSink<'_, T> {
        self.producer.sink()
    }

    /// Takes messages until the end of the stream. Each `next` is a [`take`](Self::take).
    pub fn iter(&self) -> Iter<'_, T> {
        self.consumer.iter()
    }
}

impl<T: Plain> fmt::Debug for RemoteChannel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.producer.ends.show("RemoteChannel", f)
    }
}
