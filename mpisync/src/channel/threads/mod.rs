//! A channel, or one end of it, that the threads of a rank share.

mod put;
mod take;

use crate::channel::RemoteChannel;
use crate::channel::ends::{Both, Ends};
use crate::channel::error::ChannelError;
use crate::channel::message::Message;
use crate::channel::shared::{KIND, Limit, Shared};
use crate::error::CreateError;
use crate::net::level_below_multiple;
use crate::object::accessors;
use crate::rwlock::shared::turns::{ThreadTurn, ThreadTurns};
use crate::shm::domain::Domain;
use crate::shm::wait::{Deadline, Stop};
use crate::shm::waiting::{Awaited, Call, Label, Needs, Subject};
use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::time::Instant;

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
pub struct SharedChannel<'a, T: Message + ?Sized, E: Ends = Both> {
    channel: &'a RemoteChannel<T, E>,
    putters: ThreadTurns,
    takers: ThreadTurns,
}

// SAFETY: at each end of this rank, only the thread that has the turn uses the queue: the handle of the end is borrowed,
// so no other one puts there, or takes. The ends have words of their own in the queue. What both use is atomic, or does
// not change after it was made. The cell `lost` is used by futures, streams and sinks alone, which may be alive at the
// other end of a split channel, and stay on the rank's thread. Messages go from thread to thread, so they are `Send`.
unsafe impl<T: Message + ?Sized + Send, E: Ends> Send for SharedChannel<'_, T, E> {}
// SAFETY: as above.
unsafe impl<T: Message + ?Sized + Send, E: Ends> Sync for SharedChannel<'_, T, E> {}

impl<T: Message + ?Sized, E: Ends> RemoteChannel<T, E> {
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

/// One end, at which threads take turns.
struct End<'a> {
    turns: &'a ThreadTurns,
    /// The call that waits for the turn.
    call: &'static str,
    /// The error of a call that does not wait for it.
    taken: ChannelError,
    /// The error of a wait for it that has been stopped.
    stopped: fn(Stop) -> ChannelError,
}

impl<T: Message + ?Sized, E: Ends> SharedChannel<'_, T, E> {
    accessors!(channel);

    /// Uses the channel in the turn of this thread at an end; `work` gets what is left of the time limit.
    #[track_caller]
    fn in_turn<R>(
        &self,
        end: End<'_>,
        limit: Limit,
        work: impl FnOnce(&Shared<T>, Limit) -> Result<R, ChannelError>,
    ) -> Result<R, ChannelError> {
        let shared = &self.channel.shared;
        shared.check_usable()?;
        let (left, _turn) = match limit {
            Limit::Try => (limit, end.turns.try_take().ok_or(end.taken)?),
            limit => self.wait_for_turn(end, limit)?,
        };
        work(shared, left).map_err(|error| limit.of_call(error))
    }

    /// The turn of this thread at an end, and what is left of the time limit.
    #[track_caller]
    fn wait_for_turn<'t>(
        &self,
        end: End<'t>,
        limit: Limit,
    ) -> Result<(Limit, ThreadTurn<'t>), ChannelError> {
        let limit = limit.of_thread();
        let began = Instant::now();
        let call = Call::new(self, end.call, Location::caller());
        let deadline: Deadline<'_> = limit.deadline().of(call);
        let turn = (end.turns)
            .take_within(&self.channel.shared.takes.memory, deadline)
            .map_err(|stop| limit.error((end.stopped)(stop), call))?;
        let left = match limit {
            Limit::For(limit) => Limit::For(limit.saturating_sub(began.elapsed())),
            limit => limit,
        };
        Ok((left, turn))
    }
}

impl<T: Message + ?Sized, E: Ends> Drop for SharedChannel<'_, T, E> {
    fn drop(&mut self) {
        let shared_ends = &self.channel.shared.shared_ends;
        shared_ends.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A wait for other threads of this rank.
impl<T: Message + ?Sized, E: Ends> Subject for SharedChannel<'_, T, E> {
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

impl<T: Message + ?Sized, E: Ends> fmt::Debug for SharedChannel<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.channel.shared.fmt("SharedChannel", f)
    }
}
