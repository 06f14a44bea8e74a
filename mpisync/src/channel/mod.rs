//! Channels: messages of one type, from any rank to any rank.
//!
//! # How it works
//! On one node, the messages are in slots of shared memory. Each slot has a stamp that says for
//! which lap around the slots it is free or full: a rank that puts reserves the slot at the tail,
//! fills it and stamps it; a rank that takes does the same at the head. No rank waits for the
//! answer of another one, so a rank that computes delays nobody. A rank that waits spins for a
//! microsecond or two, then lets MPI make progress and yields its core, then sleeps, as with a
//! lock.
//!
//! # Order
//! All messages have one order, that of the slots. The messages of one rank are in the order in
//! which it put them, and each rank takes messages in the order of the slots.
//!
//! # Across nodes
//! If the communicator spans nodes, the root's node has the messages, and its server is the
//! channel's coordinator. Each node has two small queues in shared memory: its ranks put into one
//! and take from the other, and wait for the network only if these are full or empty. The lowest
//! rank of each node carries messages between the nodes in its progress thread, many at a time. All
//! calls mean the same, with these differences:
//!
//! - The capacity holds exactly, because the coordinator grants room before a message is put. A
//!   node that keeps putting gets larger grants; unused room is recalled when another node needs
//!   it.
//! - The coordinator sends messages to nodes whose ranks wait, one for each rank. While the ranks
//!   of only one node take, that node gets up to 512 messages (or 1 MiB) ahead. These are recalled
//!   when a rank of another node waits, so no rank starves, and the order holds. If two nodes take,
//!   each message costs a round trip.
//! - `put` returns when the message is on its way. A rank of another node that learns of it by
//!   other means may find it a moment later; `take` waits for it. The same holds for room that a
//!   rank of another node makes, for closed ends, and for the end of a stream: to use the channel
//!   again after an end, first synchronize all ranks that take. When
//!   [`claim`](RemoteChannel::claim) returns, the coordinator knows the promise.
//! - `try_put` and `try_take` ask the coordinator if they find nothing, as
//!   [`len`](RemoteChannel::len) does, and wait for its answer. Futures never wait for an answer.
//! - A message that arrives for a rank whose call has just timed out goes to the next rank that
//!   takes, perhaps on another node where later messages have arrived before it. A message that
//!   arrives for a future is kept for at least 3 ms and at most a quarter of a second; if the future
//!   has not been polled by then, the message may go to another rank, too.
//! - If the lowest rank of a node dies, or a node does not answer, calls that would wait return
//!   [`ChannelError::Lost`] on all ranks. MPI must be initialized for several threads, as
//!   [`initialize`](crate::initialize) does.
//!
//! # The end of a stream
//! [`take`](RemoteChannel::take) returns `None` once no message can come any more. A stream ends in
//! one of three ways:
//!
//! - All ranks that put drop their [`Producer`]s (or the channel).
//! - All messages promised with [`claim`](RemoteChannel::claim) were taken.
//! - All ranks that still have a producer wait in `take`. So a stream of tasks that make further
//!   tasks ends by itself:
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
//! Conversely, putting fails with [`ChannelError::Closed`] once no rank is left that could take.
//!
//! # Futures
//! [`put_async`](RemoteChannel::put_async) and [`take_async`](RemoteChannel::take_async) return
//! futures, so a rank can wait for several channels, or for a channel and a timer. They work under
//! any executor that polls them on the channel's thread, and need no runtime. With the feature
//! `futures` a channel is also a stream and a sink.
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
//! A future checks for a message only when it is polled, and no other process can wake its task. So
//! a waiting future is polled repeatedly for some microseconds, and then after sleeps of up to a
//! millisecond, which a timer thread of the process ends. A blocking `put` or `take` reacts sooner
//! and costs less.
//!
//! A rank with a future that takes does not count as one that waits in `take`, because its other
//! tasks may put. Its stream ends when it drops its producer, or with claims.
//!
//! # Where one rank puts and takes
//! `put` on a full channel waits for another rank to take. A rank that does both uses
//! [`try_put`](RemoteChannel::try_put), and takes a message if there is no room. If no other rank
//! is left that takes, `put` on a full channel returns [`ChannelError::OnlyConsumer`]. If all ranks
//! both put and take, and all use `put`, they may wait for each other.
//!
//! While a rank is inside [`put_with`](RemoteChannel::put_with) or
//! [`take_with`](RemoteChannel::take_with), its other calls that put or take return
//! [`ChannelError::Nested`]. Most such calls are compile errors.
//!
//! If a rank fails and keeps its ends, the other ranks wait until it finalizes MPI or dies. Pass
//! the ends by value to the function that may fail, such as a `#[mpisync::collective]` one: then
//! they are dropped with it.
//!
//! # Threads
//! [`shared`](RemoteChannel::shared) lets the threads of a rank put and take, at either end or at both. Those
//! that put take turns, and so do those that take. As long as threads share an end, a rank in `take` may put
//! at any time by another thread, so it does not count as one that waits in `take`: its stream ends when all
//! producers are dropped, including that of this rank, or with claims. Nor does `put` fail because only this
//! rank takes.
//!
//! # When a rank dies
//! Its ends are closed. A message that it was putting is not put, and a message that it was taking
//! is lost; all others stay. Waiting ranks detect the death within some milliseconds, across nodes
//! within a quarter of a second.
//!
//! # Sources
//! Slots with stamps: Dmitry Vyukov, "Bounded MPMC queue", 1024cores.net, 2010. Laps for any
//! capacity: crossbeam's `ArrayQueue`.

#[cfg(feature = "mpi")]
mod builder;
mod ends;
mod error;
#[cfg(feature = "mpi")]
mod finalize;
mod future;
mod iter;
mod message;
mod put;
pub(crate) mod remote;
pub(crate) mod ring;
mod shared;
mod slices;
#[cfg(feature = "futures")]
mod stream;
mod take;
mod threads;

#[cfg(feature = "mpi")]
pub use crate::channel::builder::ChannelBuilder;
pub use crate::channel::ends::{Both, CanPut, CanTake, Ends, PutOnly, TakeOnly};
pub use crate::channel::error::{BulkError, ChannelError, PutError};
pub use crate::channel::future::{PutFuture, TakeFuture};
pub use crate::channel::iter::{IntoIter, Iter};
pub use crate::channel::message::Message;
use crate::channel::ring::memory::{Layout, MessageLayout, Slots};
use crate::channel::shared::Shared;
#[cfg(feature = "futures")]
pub use crate::channel::stream::{ChannelSink, ChannelStream};
pub use crate::channel::threads::SharedChannel;
use crate::error::CreateError;
use crate::plain::Plain;
use crate::shm::domain::Domain;
use crate::shm::mapping::{ALIGN, Mapping};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::rc::Rc;

/// A queue of messages of one type, with a fixed capacity, that all ranks of a communicator share.
///
/// Any rank puts and any rank takes. A message is plain data, see [`Plain`], or a slice of it, whose
/// length [varies](#messages-of-varying-length). Like a controller, a channel stays on the thread that
/// made it; [`shared`](Self::shared) lets the threads of a rank put and take. [`split`](Self::split)
/// makes a [`Producer`] and a [`Consumer`] of it, so that a rank that only takes does not keep the
/// stream open. Dropping a channel is local.
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
/// See the [module](crate::channel) for the order of messages, the end of a stream, and the death
/// of ranks.
pub struct RemoteChannel<T: Message + ?Sized, E: Ends = Both> {
    shared: Rc<Shared<T>>,
    /// Whether two other handles have its ends.
    is_split: bool,
    ends: PhantomData<E>,
}

/// The end of a [`RemoteChannel`] that puts. The stream ends when all ranks have dropped theirs.
pub type Producer<T> = RemoteChannel<T, PutOnly>;

/// The end of a [`RemoteChannel`] that takes. Putting fails when all ranks have dropped theirs.
pub type Consumer<T> = RemoteChannel<T, TakeOnly>;

impl<T: Plain> RemoteChannel<T> {
    const ASSERT_ALIGNED: () = assert!(
        align_of::<T>() <= ALIGN,
        "a channel has messages with an alignment of at most 128 bytes: give the type a smaller `repr(align)`"
    );

    /// Makes a channel for this process alone, with room for `capacity` messages. Needs no MPI,
    /// neither to run nor (without the feature `mpi`) to build.
    ///
    /// # Errors
    /// [`CreateError::Capacity`], [`CreateError::Memory`].
    pub fn local(capacity: usize) -> Result<Self, CreateError> {
        // In all functions that begin to make a channel: the compiler's note names the line that
        // calls them.
        let () = Self::ASSERT_ALIGNED;
        Self::local_with(Some(MessageLayout::of::<T>()), capacity)
    }
}

/// # The ends
impl<T: Message + ?Sized> RemoteChannel<T> {
    /// [`local`](RemoteChannel::local) for messages of this layout; None if they are too long.
    fn local_with(message: Option<MessageLayout>, capacity: usize) -> Result<Self, CreateError> {
        let domain = Domain::local(0);
        let members = domain.segment().shape().members;
        let layout = message
            .and_then(|message| Layout::of(message, capacity, members))
            .ok_or(CreateError::Capacity {
                object: "channel",
                capacity,
                bytes: message.map_or(usize::MAX, MessageLayout::bytes),
            })?;
        let memory = Mapping::try_private(layout.length()).ok_or_else(|| CreateError::Memory {
            rank: 0,
            error: io::Error::from(io::ErrorKind::OutOfMemory).into(),
        })?;
        let slots = Slots::new(domain, layout, memory);
        let shared = Shared::local(slots, 0, "local".to_owned());
        Ok(Self::of(&Rc::new(shared)))
    }

    /// Splits the channel into its two ends. Not collective: each rank keeps the end that it uses,
    /// and drops the other end or the whole channel.
    pub fn split(mut self) -> (Producer<T>, Consumer<T>) {
        self.is_split = true;
        (
            RemoteChannel::of(&self.shared),
            RemoteChannel::of(&self.shared),
        )
    }
}

/// # The channel's state
impl<T: Message + ?Sized, E: Ends> RemoteChannel<T, E> {
    fn of(shared: &Rc<Shared<T>>) -> Self {
        RemoteChannel {
            shared: Rc::clone(shared),
            is_split: false,
            ends: PhantomData,
        }
    }

    /// The number of messages in the channel, including those that are being put. May be out of
    /// date when the call returns. Not collective. Waits for the coordinator's answer if the
    /// channel spans nodes.
    pub fn len(&self) -> usize {
        let takes = &self.shared.takes;
        let len = if self.shared.has_ended() {
            // No other node answers.
            takes.known_len()
        } else {
            takes.len()
        };
        len as usize
    }

    /// Whether the channel is empty. May be out of date, like [`len`](Self::len), and may wait like
    /// it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the channel is full. May be out of date, like [`len`](Self::len), and may wait like
    /// it.
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// The number of messages that fit into the channel.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.shared.rank()
    }

    /// The number of ranks of the communicator.
    #[inline]
    pub fn size(&self) -> i32 {
        self.shared.takes.memory.domain().topology().size() as i32
    }

    /// The rank whose node has the messages.
    #[inline]
    pub fn root(&self) -> i32 {
        self.shared.root
    }

    /// The name of the channel, for error messages.
    #[inline]
    pub fn name(&self) -> &str {
        &self.shared.name
    }
}

impl<T: Message + ?Sized, E: Ends> Drop for RemoteChannel<T, E> {
    fn drop(&mut self) {
        if self.is_split {
            return;
        }
        if E::PUTS {
            self.shared.takes.close_producer();
        }
        if E::TAKES {
            self.shared.takes.close_consumer();
        }
    }
}

impl<T: Message + ?Sized, E: Ends> fmt::Debug for RemoteChannel<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(E::NAME, f)
    }
}
