//! A channel on one rank: the state that the handles share.

use crate::channel::error::ChannelError;
use crate::channel::message::Message;
use crate::channel::ring::layout::{NO_CONSUMER, NO_PRODUCER};
use crate::channel::ring::memory::{QueueMemory, RelaySlots, Slots};
use crate::channel::ring::relay::Lost;
use crate::channel::ring::{NoMessage, Putting, Queue, Taking};
use crate::net::mpi_has_ended;
use crate::rwlock::shared::held;
use crate::shm::domain::Domain;
#[cfg(feature = "mpi")]
use crate::shm::listing::Listing;
use crate::shm::wait::Deadline;
use crate::shm::waiting::want::{GlobalId, Want, Wanted};
use crate::shm::waiting::{Awaited, Call, Label, Needs, Subject};
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

/// What a channel is called in messages.
pub(super) const KIND: &str = "channel";

/// A channel on this rank.
pub(super) struct Shared<T: ?Sized> {
    /// The queue that messages are taken from. It also knows which ranks put and take.
    pub(super) takes: Queue<Slots<T>>,
    /// The queue that messages are put into, if it is another one: in a channel that spans nodes.
    puts: Option<Queue<Slots<T>>>,
    pub(super) capacity: usize,
    pub(super) root: i32,
    pub(super) name: String,
    /// The number of the channel, the same on all ranks, if it spans nodes.
    number: Option<u64>,
    /// Whether the channel is unusable once MPI has ended.
    needs_mpi: bool,
    /// The host that is lost, if a future has found one. Only for futures, which stay on the rank's thread: other
    /// threads may have the shared end of a split channel.
    pub(super) lost: Cell<Option<Lost>>,
    /// The threads whose closures have slots.
    pub(super) lent_to: LentTo,
    /// How many ends of this rank its threads share.
    pub(super) shared_ends: AtomicU32,
    /// On the leader.
    #[cfg(feature = "mpi")]
    _listing: Option<Listing>,
}

/// The threads whose closures of `put_with` and `take_with` have slots, or 0. They differ if threads share the ends.
#[derive(Default)]
pub(super) struct LentTo {
    pub(super) putter: AtomicUsize,
    pub(super) taker: AtomicUsize,
}

impl LentTo {
    /// Whether a closure of this thread has a slot.
    #[inline]
    fn is_this_thread(&self) -> bool {
        let [putter, taker] = [&self.putter, &self.taker].map(|one| one.load(Ordering::Relaxed));
        (putter | taker) != 0 && [putter, taker].contains(&this_thread())
    }
}

/// While this value lives, a closure has a slot, and all calls of its thread that put or take are
/// errors: they might wait for that slot.
pub(super) struct Loan<'a>(&'a AtomicUsize);

impl<'a> Loan<'a> {
    /// Lends a slot to a closure of this thread.
    pub(super) fn of(lent_to: &'a AtomicUsize) -> Self {
        lent_to.store(this_thread(), Ordering::Relaxed);
        Loan(lent_to)
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// The number of this thread, not 0.
#[cold]
fn this_thread() -> usize {
    held::number_of_thread() + 1
}

/// As long as no program runs. Unlike no time limit, this does not say that the rank puts and takes nothing
/// until the call ends: that is so for its thread alone.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// How long a call may wait.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// Only for the answer of another node.
    Try,
    For(Duration),
    Never,
}

impl Limit {
    pub(super) fn deadline(self) -> Deadline<'static> {
        match self {
            Limit::For(limit) => Deadline::after(limit),
            Limit::Try | Limit::Never => Deadline::NEVER,
        }
    }

    /// The same, for a call of one thread of several.
    pub(super) fn of_thread(self) -> Self {
        match self {
            Limit::Never => Limit::For(CENTURY),
            Limit::For(limit) => Limit::For(limit.min(CENTURY)),
            Limit::Try => Limit::Try,
        }
    }

    /// The error of the last part of a call with this limit, as that of the whole call.
    pub(super) fn of_call(self, error: ChannelError) -> ChannelError {
        match (self, error) {
            (Limit::For(waited), ChannelError::Timeout { report, .. }) => {
                ChannelError::Timeout { waited, report }
            }
            (_, error) => error,
        }
    }

    /// The error of a `call` with this limit, which ended with `error`.
    pub(super) fn error(self, error: ChannelError, call: Call<'_>) -> ChannelError {
        match (self, error) {
            (Limit::For(waited), ChannelError::Full | ChannelError::Empty) => {
                let report = call.report(waited);
                ChannelError::Timeout { waited, report }
            }
            (_, error) => error,
        }
    }
}

impl<T: Message + ?Sized> Shared<T> {
    /// A channel on one node.
    pub(super) fn local(slots: Slots<T>, root: i32, name: String) -> Self {
        Shared {
            capacity: slots.shape().capacity() as usize,
            needs_mpi: slots.domain().needs_mpi(),
            takes: Queue { memory: slots },
            puts: None,
            root,
            name,
            number: None,
            lost: Cell::new(None),
            lent_to: LentTo::default(),
            shared_ends: AtomicU32::new(0),
            #[cfg(feature = "mpi")]
            _listing: None,
        }
    }

    /// The same, which processes outside see while the leader has it.
    #[cfg(feature = "mpi")]
    pub(super) fn listed(self) -> Self {
        Shared {
            _listing: Listing::new(self.takes.memory.domain(), KIND, &self.name),
            ..self
        }
    }

    /// A channel that spans nodes.
    pub(super) fn remote(
        slots: RelaySlots<T>,
        capacity: usize,
        root: i32,
        name: String,
        number: u64,
    ) -> Self {
        Shared {
            puts: Some(Queue { memory: slots.puts }),
            capacity,
            number: Some(number),
            ..Self::local(slots.takes, root, name)
        }
    }

    /// The queue that messages are put into.
    #[inline]
    pub(super) fn puts(&self) -> &Queue<Slots<T>> {
        self.puts.as_ref().unwrap_or(&self.takes)
    }

    #[inline]
    pub(super) fn has_ended(&self) -> bool {
        self.needs_mpi && mpi_has_ended()
    }

    /// An error if no messages can be put or taken.
    #[inline]
    pub(super) fn check_usable(&self) -> Result<(), ChannelError> {
        if self.has_ended() {
            return Err(ChannelError::Finalized);
        }
        if self.lent_to.is_this_thread() {
            return Err(ChannelError::Nested);
        }
        Ok(())
    }

    /// The limit of a call that has to wait.
    fn limit_of_wait(&self, limit: Limit) -> Limit {
        match self.shared_ends.load(Ordering::Relaxed) {
            0 => limit,
            _ => limit.of_thread(),
        }
    }

    /// Whether the channel spans nodes.
    pub(super) fn spans_nodes(&self) -> bool {
        self.number.is_some()
    }

    /// Reserves up to `most` slots, at least one.
    #[inline]
    #[track_caller]
    pub(super) fn reserve_slots(
        &self,
        most: usize,
        limit: Limit,
    ) -> Result<Putting<'_, Slots<T>>, ChannelError> {
        self.check_usable()?;
        match self.puts().try_put(most) {
            Ok(putting) => Ok(putting),
            // Out of line: what the error needs would keep the slots of all calls in memory, not in
            // registers.
            Err(_) => self.wait_for_slots(most, limit, Location::caller()),
        }
    }

    #[inline(never)]
    fn wait_for_slots(
        &self,
        most: usize,
        limit: Limit,
        location: &'static Location<'static>,
    ) -> Result<Putting<'_, Slots<T>>, ChannelError> {
        let limit = self.limit_of_wait(limit);
        let queue = self.puts();
        let end = OtherEnd {
            shared: self,
            end: NO_CONSUMER,
        };
        let call = || Call::new(&end, "put", location);
        let deadline = || limit.deadline().of(call());
        let reserved = match limit {
            Limit::Try => queue.try_put_remote(most),
            _ => queue.put(most, deadline, &self.takes),
        };
        reserved.map_err(|reason| limit.error(reason.into(), call()))
    }

    /// Reserves up to `most` messages, at least one; none at the end of the stream.
    #[inline]
    #[track_caller]
    pub(super) fn reserve_messages(
        &self,
        most: usize,
        limit: Limit,
    ) -> Result<Option<Taking<'_, Slots<T>>>, ChannelError> {
        self.check_usable()?;
        match self.takes.try_take(most) {
            Some(taking) => Ok(Some(taking)),
            None => self.wait_for_messages(most, limit, Location::caller()),
        }
    }

    #[inline(never)]
    fn wait_for_messages(
        &self,
        most: usize,
        limit: Limit,
        location: &'static Location<'static>,
    ) -> Result<Option<Taking<'_, Slots<T>>>, ChannelError> {
        let limit = self.limit_of_wait(limit);
        let end = OtherEnd {
            shared: self,
            end: NO_PRODUCER,
        };
        let call = || Call::new(&end, "take", location);
        let deadline = || limit.deadline().of(call());
        let reserved = match limit {
            Limit::Try => self.takes.try_take_remote(most),
            _ => self.takes.take(most, deadline),
        };
        NoMessage::none_at_end(reserved).map_err(|error| limit.error(error, call()))
    }

    pub(super) fn rank(&self) -> i32 {
        self.takes.memory.domain().topology().rank() as i32
    }

    /// Panics, for a call that cannot return an error.
    #[cold]
    #[track_caller]
    pub(super) fn panic_with(&self, error: &ChannelError) -> ! {
        panic!("channel {:?}, rank {}: {error}", self.name, self.rank())
    }

    pub(super) fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("name", &self.name)
            .field("rank", &self.rank())
            .field("len", &self.takes.known_len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// The other end of a channel, at which some rank has to put or take before a call of this rank at its
/// end goes on.
struct OtherEnd<'a, T: ?Sized> {
    shared: &'a Shared<T>,
    /// The bit of the ranks that have closed it.
    end: u32,
}

impl<T: ?Sized> OtherEnd<'_, T> {
    /// The other ranks that have not closed it; None if they may be on other nodes.
    fn open(&self) -> Option<Vec<u32>> {
        let here = self.domain().topology().local_ranks();
        let open = self.shared.takes.others_with(self.end)?;
        Some(
            open.into_iter()
                .map(|local_rank| here[local_rank])
                .collect(),
        )
    }
}

impl<T: ?Sized> Subject for OtherEnd<'_, T> {
    fn domain(&self) -> &Domain {
        self.shared.takes.memory.domain()
    }

    fn label(&self) -> Label<'_> {
        Label {
            kind: KIND,
            name: &self.shared.name,
            identity: 0,
        }
    }

    fn awaited(&self) -> Vec<Awaited> {
        let role = match self.end {
            NO_CONSUMER => "may take from it",
            _ => "may put into it",
        };
        Awaited::all(self.open().unwrap_or_default(), role)
    }

    fn needs(&self) -> Needs {
        self.open().map_or(Needs::Unknown, Needs::Any)
    }

    fn object(&self) -> Option<GlobalId> {
        Some(GlobalId {
            communicator: self.domain().number()?,
            object: self.shared.number?,
        })
    }

    fn want(&self) -> Option<Want> {
        let what = match self.end {
            NO_CONSUMER => Wanted::Room,
            _ => Wanted::Message,
        };
        Want::of_any(self.domain(), self.object()?, what)
    }
}
