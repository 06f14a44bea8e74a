//! A channel, or one end of it, that the threads of a rank share.

use crate::channel::RemoteChannel;
use crate::channel::ends::{Both, CanPut, CanTake, Ends};
use crate::channel::error::{ChannelError, PutError};
use crate::channel::put::put;
use crate::channel::ring::{NoMessage, NoRoom};
use crate::channel::shared::{KIND, Limit};
use crate::channel::take::take;
use crate::error::CreateError;
use crate::net::level_below_multiple;
use crate::object::accessors;
use crate::plain::Plain;
use crate::rwlock::shared::turns::{ThreadTurn, ThreadTurns};
use crate::shm::domain::Domain;
use crate::shm::wait::{Deadline, Stop};
use crate::shm::waiting::{Awaited, Call, Label, Needs, Subject};
use std::fmt;
use std::iter;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A channel, or one end of it, at which several threads of this rank put and take.
///
/// Made by [`RemoteChannel::shared`], which it borrows. Threads borrow the shared channel: in
/// [`std::thread::scope`], or in a parallel iterator. This rank may use the other end of a
/// [split](RemoteChannel::split) channel at the same time, shared or not.
///
/// ```
/// use mpisync::RemoteChannel;
///
/// let (producer, mut consumer) = RemoteChannel::<u64>::local(16)?.split();
/// let shared = consumer.shared()?;
/// let sum: u64 = std::thread::scope(|scope| {
///     let threads: Vec<_> = (0..4)
///         .map(|_| scope.spawn(|| shared.iter().sum::<u64>()))
///         .collect();
///     for message in 0..100 {
///         producer.put(message).expect("threads take");
///     }
///     // The stream ends for all of them.
///     drop(producer);
///     threads.into_iter().map(|thread| thread.join().unwrap()).sum()
/// });
/// assert_eq!(sum, 99 * 100 / 2);
/// # Ok::<(), mpisync::CreateError>(())
/// ```
///
/// The threads of a rank that put take turns in the order of their calls, and so do those that take. A rank that
/// waits in `take` here may still put, so see the [end of a stream](crate::channel#threads).
pub struct SharedChannel<'a, T: Plain, E: Ends = Both> {
    channel: &'a RemoteChannel<T, E>,
    putters: ThreadTurns,
    takers: ThreadTurns,
}

// SAFETY: at each end of this rank, only the thread that has the turn uses the queue: the handle of the end is borrowed,
// so no other one puts there, or takes. The ends have words of their own in the queue. What both use is atomic, or does
// not change after it was made. The cell `lost` is used by futures, streams and sinks alone, which may be alive at the
// other end of a split channel, and stay on the rank's thread. Messages go from thread to thread, so they are `Send`.
unsafe impl<T: Plain + Send, E: Ends> Send for SharedChannel<'_, T, E> {}
// SAFETY: as above.
unsafe impl<T: Plain + Send, E: Ends> Sync for SharedChannel<'_, T, E> {}

impl<T: Plain, E: Ends> RemoteChannel<T, E> {
    /// Lets the threads of this rank put and take at the ends of this handle, as long as the result lives.
    /// Local: other ranks may do so or not.
    ///
    /// # Errors
    /// [`CreateError::SharedByThreads`] if the communicator spans nodes and MPI was not initialized with
    /// `MPI_THREAD_MULTIPLE`.
    pub fn shared(&mut self) -> Result<SharedChannel<'_, T, E>, CreateError> {
        let spans_nodes = self.shared.spans_nodes();
        if let Some(provided) = spans_nodes.then(level_below_multiple).flatten() {
            return Err(CreateError::SharedByThreads { provided });
        }
        self.shared.shared_ends.fetch_add(1, Ordering::Relaxed);
        Ok(SharedChannel {
            channel: self,
            putters: ThreadTurns::new(),
            takers: ThreadTurns::new(),
        })
    }
}

impl<T: Plain, E: CanPut> SharedChannel<'_, T, E> {
    /// Puts a message. Waits while the channel is full, and while other threads of this rank put that came
    /// before. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Closed`], [`ChannelError::Lost`], [`ChannelError::Finalized`], with the message.
    #[track_caller]
    pub fn put(&self, message: T) -> Result<(), PutError<T>> {
        self.put_within(message, Limit::Never)
    }

    /// Puts a message. Waits for at most `limit`. Not collective.
    ///
    /// # Errors
    /// [`ChannelError::Timeout`], and those of [`put`](Self::put), with the message.
    #[track_caller]
    pub fn put_timeout(&self, message: T, limit: Duration) -> Result<(), PutError<T>> {
        self.put_within(message, Limit::For(limit))
    }

    #[track_caller]
    fn put_within(&self, message: T, limit: Limit) -> Result<(), PutError<T>> {
        let turn = self.turn(&self.putters, "put", limit, |stop| {
            NoRoom::from(stop).into()
        });
        let (left, _turn) = match turn {
            Ok(turn) => turn,
            Err(reason) => return Err(PutError { message, reason }),
        };
        put(&self.channel.shared, message, left).map_err(|error| PutError {
            reason: limit.of_call(error.reason),
            ..error
        })
    }
}

impl<T: Plain, E: CanTake> SharedChannel<'_, T, E> {
    /// Takes the next message. Waits while the channel is empty, and while other threads of this rank take that
    /// came before. Returns `None` at the [end](crate::channel#threads) of the stream. Not collective.
    ///
    /// # Panics
    /// Where [`take_timeout`](Self::take_timeout) would return an error other than a timeout.
    #[track_caller]
    pub fn take(&self) -> Option<T> {
        self.take_within(Limit::Never)
            .unwrap_or_else(|error| self.channel.shared.panic_with(&error))
    }

    /// Takes the next message. Waits for at most `limit`. Returns `None` at the end of the stream. Not
    /// collective. Pass [`Duration::MAX`] to wait indefinitely and still get failures as errors instead of a
    /// panic.
    ///
    /// # Errors
    /// [`ChannelError::Timeout`], [`ChannelError::Missing`], [`ChannelError::Lost`],
    /// [`ChannelError::Finalized`].
    #[track_caller]
    pub fn take_timeout(&self, limit: Duration) -> Result<Option<T>, ChannelError> {
        self.take_within(Limit::For(limit))
    }

    /// Takes messages until the end of the stream. Each `next` is a [`take`](Self::take). Not collective.
    ///
    /// # Panics
    /// `next` panics as [`take`](Self::take).
    pub fn iter(&self) -> impl Iterator<Item = T> {
        iter::from_fn(|| self.take()).fuse()
    }

    #[track_caller]
    fn take_within(&self, limit: Limit) -> Result<Option<T>, ChannelError> {
        let to_error = |stop| match NoMessage::none_at_end::<()>(Err(NoMessage::from(stop))) {
            Err(error) => error,
            Ok(_) => unreachable!("a wait for other threads does not end the stream"),
        };
        let (left, _turn) = self.turn(&self.takers, "take", limit, to_error)?;
        take(&self.channel.shared, left).map_err(|error| limit.of_call(error))
    }
}

impl<T: Plain, E: Ends> SharedChannel<'_, T, E> {
    accessors!(channel);

    /// Takes the turn at an end. Returns what is left of the time limit.
    #[track_caller]
    fn turn<'t>(
        &self,
        turns: &'t ThreadTurns,
        name: &'static str,
        limit: Limit,
        to_error: impl FnOnce(Stop) -> ChannelError,
    ) -> Result<(Limit, ThreadTurn<'t>), ChannelError> {
        let shared = &self.channel.shared;
        shared.check_usable()?;
        let limit = limit.of_thread();
        let began = Instant::now();
        let call = Call::new(self, name, Location::caller());
        let deadline: Deadline<'_> = limit.deadline().of(call);
        let turn = turns
            .take_within(&shared.takes.memory, deadline)
            .map_err(|stop| limit.error(to_error(stop), call))?;
        let left = match limit {
            Limit::For(limit) => Limit::For(limit.saturating_sub(began.elapsed())),
            limit => limit,
        };
        Ok((left, turn))
    }
}

impl<T: Plain, E: Ends> Drop for SharedChannel<'_, T, E> {
    fn drop(&mut self) {
        let shared_ends = &self.channel.shared.shared_ends;
        shared_ends.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A wait for other threads of this rank.
impl<T: Plain, E: Ends> Subject for SharedChannel<'_, T, E> {
    fn domain(&self) -> &Domain {
        self.channel.shared.takes.memory.domain()
    }

    fn label(&self) -> Label<'_> {
        Label {
            kind: KIND,
            name: self.name(),
            identity: 0,
        }
    }

    fn awaited(&self) -> Vec<Awaited> {
        let me = self.rank() as u32;
        Awaited::all([me], "uses it, in another thread of this rank")
    }

    fn needs(&self) -> Needs {
        Needs::Unknown
    }
}

impl<T: Plain, E: Ends> fmt::Debug for SharedChannel<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.channel.shared.fmt("SharedChannel", f)
    }
}
