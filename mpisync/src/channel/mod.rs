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

#[cfg(feature = "mpi")]
mod builder;
mod ends;
mod error;
#[cfg(feature = "mpi")]
mod finalize;
mod future;
mod iter;
mod put;
pub(crate) mod remote;
pub(crate) mod ring;
mod shared;
#[cfg(feature = "futures")]
mod stream;
mod take;

#[cfg(feature = "mpi")]
pub use crate::channel::builder::ChannelBuilder;
pub use crate::channel::ends::{Both, CanPut, CanTake, Ends, PutOnly, TakeOnly};
pub use crate::channel::error::{BulkError, ChannelError, PutError};
pub use crate::channel::future::{PutFuture, TakeFuture};
pub use crate::channel::iter::{IntoIter, Iter};
use crate::channel::ring::memory::{Layout, Slots};
use crate::channel::shared::Shared;
#[cfg(feature = "futures")]
pub use crate::channel::stream::{ChannelSink, ChannelStream};
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
/// Any rank puts and any rank takes. A message is plain data, see [`Plain`]. Like a controller, a
/// channel stays on the thread that made it. [`split`](Self::split) makes a [`Producer`] and a
/// [`Consumer`] of it, so that a rank that only takes does not keep the stream open. Dropping a
/// channel is local.
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
/// See the [module](crate::channel) for the order of messages, the end of a stream, and the death of
/// ranks.
pub struct RemoteChannel<T: Plain, E: Ends = Both> {
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
        // In all functions that begin to make a channel: the compiler's note names the line that calls them.
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
impl<T: Plain, E: Ends> RemoteChannel<T, E> {
    fn of(shared: &Rc<Shared<T>>) -> Self {
        RemoteChannel {
            shared: Rc::clone(shared),
            is_split: false,
            ends: PhantomData,
        }
    }

    /// The number of messages in the channel, including those that are being put. Not collective;
    /// may be outdated when it returns.
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

    /// Whether the channel is empty; may be outdated, as [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the channel is full; may be outdated, as [`len`](Self::len).
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// The number of messages that fit into the channel.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// This rank's number in the communicator.
    pub fn rank(&self) -> i32 {
        self.shared.rank()
    }

    /// The number of ranks of the communicator.
    pub fn size(&self) -> i32 {
        self.shared.takes.memory.domain().topology().size() as i32
    }

    /// The rank whose node has the messages.
    pub fn root(&self) -> i32 {
        self.shared.root
    }

    /// The name of the channel, for error messages.
    pub fn name(&self) -> &str {
        &self.shared.name
    }
}

impl<T: Plain, E: Ends> Drop for RemoteChannel<T, E> {
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

impl<T: Plain, E: Ends> fmt::Debug for RemoteChannel<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.fmt(E::NAME, f)
    }
}
