//! What the two ends of a channel do with its queue.

use crate::channel::error::{BulkError, ChannelError, PutError};
use crate::channel::ring::memory::{QueueMemory, RelaySlots, Slots};
use crate::channel::ring::{Generation, NoMessage, NoRoom, Putting, Queue, Taking};
use crate::net::mpi_has_ended;
use crate::plain::Plain;
use crate::shm::wait::Deadline;
use std::cell::Cell;
use std::fmt;
use std::ptr::NonNull;
use std::time::Duration;

/// A channel on this rank, shared by its ends.
pub(super) struct Ends<T> {
    queue: Queue<Slots<T>>,
    /// Where messages are put, if not there: in a channel that spans nodes.
    puts: Option<Queue<Slots<T>>>,
    capacity: usize,
    pub(super) root: i32,
    pub(super) name: String,
    /// Whether it is of no use any more when MPI ends.
    pub(super) needs_mpi: bool,
    /// Whether the process that carries messages to this node is known to have died.
    is_lost: Cell<bool>,
    /// Whether a slot is with a closure of the user's.
    is_lent: Cell<bool>,
}

/// While it lives a slot is with a closure of the user's, and all calls that put or take are
/// errors: the call might wait for that slot.
struct Loan<'a>(&'a Cell<bool>);

impl<'a> Loan<'a> {
    fn of(is_lent: &'a Cell<bool>) -> Self {
        is_lent.set(true);
        Loan(is_lent)
    }
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Copies a message into a slot or out of one.
///
/// A large one a piece at a time: from some hundred KiB on, copies in one go are made past the
/// caches, from where the other rank is about to read.
///
/// # Safety
/// As for [`std::ptr::copy_nonoverlapping`] of one `T`.
#[inline]
unsafe fn copy<T: Plain>(from: NonNull<T>, to: NonNull<T>) {
    const PIECE: usize = 64 << 10;
    if size_of::<T>() <= PIECE {
        // SAFETY: what the caller promises.
        return unsafe { to.copy_from_nonoverlapping(from, 1) };
    }
    let (from, to) = (from.cast::<u8>(), to.cast::<u8>());
    for start in (0..size_of::<T>()).step_by(PIECE) {
        let length = PIECE.min(size_of::<T>() - start);
        // SAFETY: what the caller promises, for the bytes of one `T` a piece at a time; it is plain, so it has no others.
        unsafe {
            to.add(start)
                .copy_from_nonoverlapping(from.add(start), length)
        };
    }
}

/// For how long a call is ready to wait.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// Not even for an answer of another node.
    Poll,
    Try,
    For(Duration),
    Never,
}

impl Limit {
    fn deadline(self) -> Deadline {
        match self {
            Limit::For(limit) => Deadline::after(limit),
            Limit::Poll | Limit::Try | Limit::Never => Deadline::Never,
        }
    }
}

impl NoRoom {
    /// What it is called after a call that was ready to wait for so long.
    fn after(self, limit: Limit) -> ChannelError {
        match (self, limit) {
            (NoRoom::Deserted, _) => ChannelError::Closed,
            (NoRoom::Lost, _) => ChannelError::Lost,
            (NoRoom::OnlyConsumer, _) => ChannelError::OnlyConsumer,
            (NoRoom::Full, Limit::For(waited)) => ChannelError::Timeout { waited },
            (NoRoom::Full, _) => ChannelError::Full,
        }
    }
}

impl<T: Plain> Ends<T> {
    /// Of a channel on one node.
    pub(super) fn local(slots: Slots<T>, root: i32, name: String) -> Self {
        Ends {
            capacity: slots.shape().capacity() as usize,
            needs_mpi: slots.domain().needs_mpi(),
            queue: Queue { memory: slots },
            puts: None,
            root,
            name,
            is_lost: Cell::new(false),
            is_lent: Cell::new(false),
        }
    }

    /// Of a channel that spans nodes.
    pub(super) fn remote(slots: RelaySlots<T>, capacity: usize, root: i32, name: String) -> Self {
        Ends {
            puts: Some(Queue { memory: slots.puts }),
            capacity,
            ..Self::local(slots.takes, root, name)
        }
    }

    /// Where messages are taken from, and where it is known who takes and puts.
    pub(super) fn queue(&self) -> &Queue<Slots<T>> {
        &self.queue
    }

    /// Where messages are put.
    #[inline]
    pub(super) fn puts(&self) -> &Queue<Slots<T>> {
        self.puts.as_ref().unwrap_or(&self.queue)
    }

    #[inline]
    fn has_ended(&self) -> bool {
        self.needs_mpi && mpi_has_ended()
    }

    /// Before messages are put or taken.
    #[inline]
    fn check_usable(&self) -> Result<(), ChannelError> {
        if self.has_ended() {
            return Err(ChannelError::Finalized);
        }
        if self.is_lent.get() {
            return Err(ChannelError::Nested);
        }
        Ok(())
    }

    /// Notes that the process that carries messages to this node has died; for futures, which learn
    /// of it when they try next.
    pub(super) fn note_loss(&self) {
        self.is_lost.set(true);
    }

    #[inline]
    fn reserve(&self, most: usize, limit: Limit) -> Result<Putting<'_, Slots<T>>, ChannelError> {
        self.check_usable()?;
        let queue = self.puts();
        let reserved = match limit {
            Limit::Poll if self.is_lost.get() => Err(NoRoom::Lost),
            Limit::Poll => queue.try_put(most),
            Limit::Try => queue.try_put_far(most),
            limit => queue.put(most, || limit.deadline(), &self.queue),
        };
        reserved.map_err(|no_room| no_room.after(limit))
    }

    /// Whether a message could be put at this moment.
    #[cfg(feature = "futures")]
    pub(super) fn check_room(&self) -> Result<(), ChannelError> {
        self.check_usable()?;
        let room = self.puts().check_room();
        room.map_err(|no_room| no_room.after(Limit::Poll))
    }

    /// Puts a message from where it lies, for a future.
    #[inline]
    pub(super) fn poll_put(&self, message: &T) -> Result<(), ChannelError> {
        let mut putting = self.reserve(1, Limit::Poll)?;
        self.fill(&mut putting, message);
        Ok(())
    }

    #[inline]
    pub(super) fn put(&self, message: T, limit: Limit) -> Result<(), PutError<T>> {
        match self.reserve(1, limit) {
            Ok(mut putting) => {
                self.fill(&mut putting, &message);
                Ok(())
            }
            Err(reason) => Err(PutError { message, reason }),
        }
    }

    /// Puts a message into the next slot of those that are reserved; there is one.
    #[inline]
    fn fill(&self, putting: &mut Putting<'_, Slots<T>>, message: &T) {
        if let Some(index) = putting.index() {
            let slot = self.puts().memory.message(index);
            // SAFETY: the slot is reserved for this rank, so nobody else looks at its message until it is published; the
            // pointer is that of a `T` in memory that the channel keeps.
            unsafe { copy(NonNull::from(message), slot) };
            putting.publish();
        }
    }

    pub(super) fn put_with<R>(
        &self,
        fill: impl FnOnce(&mut T) -> R,
        limit: Limit,
    ) -> Result<R, ChannelError> {
        let mut putting = self.reserve(1, limit)?;
        let index = putting.index().expect("one slot was reserved");
        let mut slot = self.puts().memory.message(index);
        let loan = Loan::of(&self.is_lent);
        // SAFETY: the slot is reserved for this rank, so nobody else looks at its message until it is published, and no other
        // call of this rank does either while it is lent. It is aligned, in memory that the channel keeps, and a value: its
        // bytes are zeros, as the memory was made, or those of a message, all of them initialized, and any bytes are a value
        // of a plain type.
        let result = fill(unsafe { slot.as_mut() });
        drop(loan);
        putting.publish();
        Ok(result)
    }

    pub(super) fn put_slice(&self, messages: &[T]) -> Result<(), BulkError> {
        let mut put = 0;
        while put < messages.len() {
            let left = &messages[put..];
            let mut putting = self
                .reserve(left.len(), Limit::Never)
                .map_err(|reason| BulkError { put, reason })?;
            for message in &left[..putting.left()] {
                self.fill(&mut putting, message);
                put += 1;
            }
        }
        Ok(())
    }

    pub(super) fn put_all(&self, messages: impl IntoIterator<Item = T>) -> Result<(), BulkError> {
        // Not one by one into slots that are reserved: the iterator may take its time, and all who take would wait.
        const ENOUGH: usize = 16 << 10;
        let most = (ENOUGH / size_of::<T>().max(1)).max(1);
        let mut messages = messages.into_iter();
        let mut put = 0;
        loop {
            let some: Vec<T> = messages.by_ref().take(most).collect();
            self.put_slice(&some).map_err(|error| BulkError {
                put: put + error.put,
                ..error
            })?;
            put += some.len();
            if some.len() < most {
                return Ok(());
            }
        }
    }

    #[inline]
    fn next(
        &self,
        most: usize,
        limit: Limit,
    ) -> Result<Option<Taking<'_, Slots<T>>>, ChannelError> {
        self.check_usable()?;
        let taken = match limit {
            Limit::Poll | Limit::Try => self.queue.try_take_far(most),
            limit => self.queue.take(most, || limit.deadline()),
        };
        Self::unless_over(taken, limit)
    }

    #[inline]
    fn unless_over(
        taken: Result<Taking<'_, Slots<T>>, NoMessage>,
        limit: Limit,
    ) -> Result<Option<Taking<'_, Slots<T>>>, ChannelError> {
        match (taken, limit) {
            (Ok(taking), _) => Ok(Some(taking)),
            (Err(NoMessage::Over), _) => Ok(None),
            (Err(NoMessage::Lost), _) => Err(ChannelError::Lost),
            (Err(NoMessage::Missing(messages)), _) => Err(ChannelError::Missing { messages }),
            (Err(NoMessage::Empty), Limit::For(waited)) => Err(ChannelError::Timeout { waited }),
            (Err(NoMessage::Empty), _) => Err(ChannelError::Empty),
        }
    }

    #[inline]
    pub(super) fn take(&self, limit: Limit) -> Result<Option<T>, ChannelError> {
        Ok(self
            .next(1, limit)?
            .map(|mut taking| self.read(&mut taking)))
    }

    /// [`Self::take`] that does not wait, for a future that does, since it asked first.
    pub(super) fn poll_take(&self, wait_began: Generation) -> Result<Option<T>, ChannelError> {
        self.check_usable()?;
        let taken = match self.queue.take_since(1, wait_began) {
            Err(NoMessage::Empty) if self.is_lost.get() => Err(NoMessage::Lost),
            taken => taken,
        };
        Ok(Self::unless_over(taken, Limit::Poll)?.map(|mut taking| self.read(&mut taking)))
    }

    /// The next of the messages that are being taken; there is one.
    #[inline]
    fn read(&self, taking: &mut Taking<'_, Slots<T>>) -> T {
        let index = taking.index().expect("a message is left");
        // SAFETY: the slot is this rank's until it is freed, it was published with a `T`, and all bytes are one.
        let message = unsafe { self.queue.memory.message(index).read() };
        taking.free();
        message
    }

    pub(super) fn take_with<R>(
        &self,
        read: impl FnOnce(&T) -> R,
        limit: Limit,
    ) -> Result<Option<R>, ChannelError> {
        let Some(taking) = self.next(1, limit)? else {
            return Ok(None);
        };
        let index = taking.index().expect("a message is left");
        let _loan = Loan::of(&self.is_lent);
        // SAFETY: as in `read`; the slot is freed when `taking` is dropped, after the reference has ended.
        Ok(Some(read(unsafe {
            self.queue.memory.message(index).as_ref()
        })))
    }

    pub(super) fn take_into(&self, message: &mut T, limit: Limit) -> Result<bool, ChannelError> {
        let Some(taking) = self.next(1, limit)? else {
            return Ok(false);
        };
        let index = taking.index().expect("a message is left");
        // SAFETY: as in `read`; the two do not overlap, for nobody has a reference into a slot beside who reserved it.
        unsafe { copy(self.queue.memory.message(index), NonNull::from(message)) };
        Ok(true)
    }

    pub(super) fn take_many(
        &self,
        messages: &mut Vec<T>,
        most: usize,
        limit: Limit,
    ) -> Result<usize, ChannelError> {
        if most == 0 {
            return Ok(0);
        }
        let Some(mut taking) = self.next(most, limit)? else {
            return Ok(0);
        };
        let count = taking.left();
        messages.reserve(count);
        for _ in 0..count {
            messages.push(self.read(&mut taking));
        }
        Ok(count)
    }
}

impl<T: Plain> Ends<T> {
    pub(super) fn rank(&self) -> i32 {
        self.queue.memory.domain().topology().rank() as i32
    }

    pub(super) fn size(&self) -> i32 {
        self.queue.memory.domain().topology().size() as i32
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn len(&self) -> usize {
        if self.has_ended() {
            // Nobody answers any more.
            self.queue.known_len() as usize
        } else {
            self.queue.len() as usize
        }
    }

    pub(super) fn claim(&self, messages: u64) {
        if !self.has_ended() {
            self.queue.claim(messages);
        }
    }

    /// Ends a call that has no way to return an error.
    #[cold]
    #[track_caller]
    pub(super) fn give_up(&self, error: &ChannelError) -> ! {
        panic!("channel {:?}, rank {}: {error}", self.name, self.rank())
    }

    pub(super) fn show(&self, what: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(what)
            .field("name", &self.name)
            .field("rank", &self.rank())
            .field("len", &self.queue.known_len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
