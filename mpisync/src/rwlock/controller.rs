//! The controller: one lock that the ranks of a communicator share, and what they decide together
//! under it.

use crate::error::{CollectiveError, LockError};
use crate::location::CallSite;
use crate::object::Object;
use crate::rwlock::global::token::MAX_LOCAL_HANDOVERS;
use crate::rwlock::guard::{ReadGuard, WriteGuard};
use crate::rwlock::memory::LockLayout;
use crate::rwlock::state::LockState;
use crate::share::{Call, Calls, Failure, MailboxLayout, Post};
use crate::shm::block::Block;
use crate::shm::layout::Part;
use crate::transport::Transport;
use std::cell::Cell;
use std::fmt;
use std::time::Duration;

/// One reader-writer lock that all ranks of a communicator share, for something else that they
/// share: a file, a directory, a service.
///
/// Made by [`sync`](crate::sync()), [`WindowController::builder`], or, for one process without MPI,
/// [`WindowController::local`]. It stays on the thread that made it. Dropping it is local: the
/// other ranks may go on using theirs.
///
/// ```
/// use mpisync::prelude::*;
///
/// let mut ctrl = WindowController::local();
/// {
///     let _reading = ctrl.read();
///     // Many ranks may be here at the same time.
/// }
/// {
///     let _writing = ctrl.write();
///     // One rank, and no reader.
/// }
/// ```
pub struct WindowController {
    lock: LockState,
    calls: Calls,
    /// The last fenced call, while it has a fence.
    open_call: Cell<Option<OpenCall>>,
}

/// A fenced call that has begun on this rank and not ended.
#[derive(Clone, Copy)]
struct OpenCall {
    call: Call,
    site: CallSite,
    writer: i32,
}

/// The layout of a controller.
pub(crate) const CONTROLLER: (LockLayout, MailboxLayout) = (LockLayout, MailboxLayout);

fn mailbox(block: &Block) -> Part<'_> {
    block.first_part().behind(&LockLayout)
}

impl WindowController {
    /// A controller of this process alone. Needs no MPI, neither to run nor (without the feature
    /// `mpi`) to build.
    pub fn local() -> Self {
        Self::new(Object::local(&CONTROLLER), MAX_LOCAL_HANDOVERS)
    }

    /// The controller of an object with the layout [`CONTROLLER`]. `max_local_handovers` is how
    /// many writers of a node may follow each other while another node waits.
    pub(crate) fn new(object: Object, max_local_handovers: u32) -> Self {
        let lock = LockState::new(object, max_local_handovers);
        WindowController {
            calls: Calls::new(lock.object().block(), lock.object().link(), mailbox),
            lock,
            open_call: Cell::new(None),
        }
    }

    /// This rank's number in the communicator.
    pub fn rank(&self) -> i32 {
        self.object().rank()
    }

    /// How many ranks the communicator has.
    pub fn size(&self) -> i32 {
        self.object().size()
    }

    /// How many nodes the ranks run on.
    pub fn nodes(&self) -> i32 {
        self.object().nodes()
    }

    /// How the ranks reach each other.
    pub fn transport(&self) -> Transport {
        self.object().transport()
    }

    /// The rank that writes in [`single_write`](Self::single_write).
    pub fn master(&self) -> i32 {
        self.object().root()
    }

    /// Whether this rank is the master.
    pub fn is_master(&self) -> bool {
        self.rank() == self.master()
    }

    /// The name it was given; of use in messages only.
    pub fn name(&self) -> &str {
        self.object().name()
    }

    /// Gives the controller's memory back on all ranks. Collective, waits for all.
    ///
    /// Dropping the controller does the same without waiting, once all ranks have dropped theirs.
    ///
    /// # Errors
    /// [`CollectiveError::Diverged`] where another rank is in another collective call;
    /// [`CollectiveError::OutOfStep`], [`CollectiveError::RankDied`], and [`LockError::Finalized`].
    #[track_caller]
    pub fn close(self) -> Result<(), CollectiveError> {
        self.meet_to_close()
    }

    #[track_caller]
    pub(crate) fn meet_to_close(&self) -> Result<(), CollectiveError> {
        self.check_usable()?;
        self.recover_leaked();
        self.object().close_after(self.calls())
    }

    /// Takes the read lock; waits while another rank writes or waits to write. Not collective. A
    /// few nanoseconds, and no message, when nobody writes. A second guard on the same rank costs a
    /// count.
    ///
    /// # Panics
    /// Where [`read_timeout`](Self::read_timeout) would return an error: a rank died as a writer,
    /// or MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> ReadGuard<'_> {
        ReadGuard::enter(&self.lock, None).unwrap_or_else(|error| self.panic_with(&error))
    }

    /// Takes the read lock if nobody writes or waits to write. Not collective, does not wait.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_read(&self) -> Option<ReadGuard<'_>> {
        ReadGuard::try_enter(&self.lock).unwrap_or_else(|error| self.panic_with(&error))
    }

    /// Takes the read lock; waits for `limit` at most. Not collective. Pass [`Duration::MAX`] to
    /// wait indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::Finalized`].
    pub fn read_timeout(&self, limit: Duration) -> Result<ReadGuard<'_>, LockError> {
        ReadGuard::enter(&self.lock, Some(limit))
    }

    /// Runs `read` under the read lock, and returns its value. Not collective; waits as
    /// [`read`](Self::read) does.
    ///
    /// The lock is held as long as `read` runs, whatever is done with the guard or with the value.
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// # let ctrl = WindowController::local();
    /// let rank = ctrl.read_with(|guard| guard.rank());
    /// ```
    ///
    /// # Panics
    /// Where `read` does.
    #[track_caller]
    pub fn read_with<T>(&self, read: impl FnOnce(&ReadGuard<'_>) -> T) -> T {
        let guard = self.read();
        read(&guard)
    }

    /// Takes the write lock; waits until no other rank writes or reads. Not collective.
    ///
    /// # Panics
    /// Where [`write_timeout`](Self::write_timeout) would return an error: a rank died as a writer,
    /// or MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn write(&mut self) -> WriteGuard<'_> {
        self.end_leaked_call();
        WriteGuard::enter(&self.lock, None).unwrap_or_else(|error| self.panic_with(&error))
    }

    /// Takes the write lock if no other rank holds or wants the lock. Not collective, does not
    /// wait.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_write(&mut self) -> Option<WriteGuard<'_>> {
        self.end_leaked_call();
        WriteGuard::try_enter(&self.lock).unwrap_or_else(|error| self.panic_with(&error))
    }

    /// Takes the write lock; waits for `limit` at most. Not collective. Pass [`Duration::MAX`] to
    /// wait indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::Finalized`].
    pub fn write_timeout(&mut self, limit: Duration) -> Result<WriteGuard<'_>, LockError> {
        self.end_leaked_call();
        WriteGuard::enter(&self.lock, Some(limit))
    }

    /// Runs `write` under the write lock, and returns its value. Not collective; waits as
    /// [`write`](Self::write) does.
    ///
    /// The lock is held as long as `write` runs, whatever is done with the guard or with the value.
    /// For something that has to be closed before the lock is let go, such as a file, see
    /// [`Guarded`](crate::Guarded).
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// # let mut ctrl = WindowController::local();
    /// ctrl.write_with(|guard| println!("rank {} of {} is alone", guard.rank(), guard.size()));
    /// ```
    ///
    /// # Panics
    /// Where `write` does.
    #[track_caller]
    pub fn write_with<T>(&mut self, write: impl FnOnce(&mut WriteGuard<'_>) -> T) -> T {
        let mut guard = self.write();
        write(&mut guard)
    }

    pub(crate) fn lock(&self) -> &LockState {
        &self.lock
    }

    pub(crate) fn object(&self) -> &Object {
        self.lock.object()
    }

    pub(crate) fn block(&self) -> &Block {
        self.object().block()
    }

    #[inline]
    pub(crate) fn check_usable(&self) -> Result<(), LockError> {
        self.object().check_usable()
    }

    #[cold]
    #[track_caller]
    pub(crate) fn panic_with(&self, error: &dyn std::error::Error) -> ! {
        self.object().panic_with(error)
    }

    /// Ends what was leaked (`mem::forget`): a fenced call, and guards.
    ///
    /// Callers know that no fence and no guard is alive: each borrows the controller, and they have
    /// it mutably or own it.
    #[inline]
    pub(crate) fn recover_leaked(&self) {
        self.end_leaked_call();
        self.lock.forget_leaked_guards();
    }

    /// The number of the last fenced call.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.last_in_epoch(self.block().domain()).0
    }

    /// This rank's part in a fenced call that it has made at `site`.
    pub(crate) fn post(&self, call: Call, site: CallSite) -> Post<'_> {
        self.calls.post(self.block(), call, site)
    }

    /// Begins the next fenced call. No fence of the controller is alive.
    pub(crate) fn begin_call(&self) -> Call {
        self.end_leaked_call();
        self.calls.begin(self.block().domain())
    }

    /// The call has a fence from here on.
    pub(crate) fn open_call(&self, call: Call, site: CallSite, writer: i32) {
        self.open_call.set(Some(OpenCall { call, site, writer }));
    }

    /// Its fence has ended.
    pub(crate) fn close_call(&self) {
        self.open_call.set(None);
    }

    /// Ends a call whose fence was forgotten, as if it had been dropped: the lock is let go and the
    /// others are told, or do not wait for this rank any more. Only where no fence of the
    /// controller is alive.
    #[inline]
    pub(crate) fn end_leaked_call(&self) {
        if let Some(leaked) = self.open_call.take() {
            self.end_call_without_fence(leaked);
        }
    }

    #[cold]
    fn end_call_without_fence(&self, leaked: OpenCall) {
        if self.check_usable().is_err() {
            return;
        }
        let OpenCall { call, site, writer } = leaked;
        let post = self.post(call, site);
        if writer != self.rank() {
            return post.leave(writer as usize);
        }
        if self.lock.writes() {
            self.lock.leave_write();
        }
        post.fail(Failure::Unshared);
    }
}

impl Drop for WindowController {
    fn drop(&mut self) {
        self.end_leaked_call();
        self.lock.forget_leaked_guards();
    }
}

impl fmt::Debug for WindowController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lock, f)
    }
}
