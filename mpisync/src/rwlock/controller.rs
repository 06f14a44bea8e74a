//! The controller: the lock that the ranks of a communicator share, and the fenced calls that they
//! make under it.

use crate::error::{CollectiveError, LockError};
use crate::location::CallSite;
use crate::object::Object;
use crate::rwlock::global::token::MAX_LOCAL_HANDOVERS;
use crate::rwlock::guard::{ReadGuard, WriteGuard};
use crate::rwlock::memory::LockLayout;
use crate::rwlock::state::LockState;
use crate::share::{CallNumber, Calls, Failure, FencedCall, MailboxLayout};
use crate::shm::block::Block;
use crate::shm::layout::Part;
use crate::shm::waiting::{Awaited, BlockSubject};
use crate::transport::Transport;
use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// One reader-writer lock that all ranks of a communicator share. It guards something else that they
/// share: a file, a directory, a service.
///
/// Made by [`sync`](crate::sync()), [`WindowController::builder`], or, for one process without MPI,
/// [`WindowController::local`] and [`WindowController::threads`]. It stays on the thread that made it. Dropping it is local: the other
/// ranks may go on using theirs.
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
    number: CallNumber,
    site: CallSite,
    writer: i32,
}

/// The layout of a controller that threads do not share.
pub(crate) const CONTROLLER: (LockLayout, MailboxLayout) = layout(LockLayout::ONE_THREAD);

/// The layout of a controller with that lock.
pub(crate) const fn layout(lock: LockLayout) -> (LockLayout, MailboxLayout) {
    (lock, MailboxLayout)
}

fn mailbox(block: &Block) -> Part<'_> {
    let lock = block.first_part();
    lock.behind(&LockLayout::of(lock))
}

impl WindowController {
    /// Makes a controller of this process alone. Needs no MPI, neither to run nor (without the
    /// feature `mpi`) to build.
    pub fn local() -> Self {
        let layout = layout(LockLayout::of_this_process());
        let object = Object::local("controller", &layout);
        Self::new(object, MAX_LOCAL_HANDOVERS)
    }

    /// The controller of an object with the layout [`CONTROLLER`].
    pub(crate) fn new(object: Object, max_local_handovers: u32) -> Self {
        let lock = LockState::new(object, max_local_handovers);
        WindowController {
            calls: Calls::new(lock.object().block(), lock.object().link(), mailbox),
            lock,
            open_call: Cell::new(None),
        }
    }

    /// Takes the read lock; waits while another rank writes or waits to write. Not collective.
    ///
    /// If no rank writes, this takes a few nanoseconds and sends no message. A second guard on the
    /// same rank only increments a counter.
    ///
    /// # Panics
    /// If [`read_timeout`](Self::read_timeout) would return an error: a rank died as a writer, or
    /// MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> ReadGuard<'_> {
        self.lock_read(None)
            .unwrap_or_else(|error| self.panic_with(&error))
    }

    /// Takes the write lock; waits until no other rank writes or reads. Not collective.
    ///
    /// # Panics
    /// If [`write_timeout`](Self::write_timeout) would return an error: a rank died as a writer, or
    /// MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn write(&mut self) -> WriteGuard<'_> {
        self.end_leaked_call();
        self.lock_write(None)
            .unwrap_or_else(|error| self.panic_with(&error))
    }

    /// Runs `read` under the read lock and returns its value. Not collective; waits as
    /// [`read`](Self::read) does.
    ///
    /// The lock is held until `read` returns, whatever happens to the guard or the value.
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// # let ctrl = WindowController::local();
    /// let rank = ctrl.read_with(|guard| guard.rank());
    /// ```
    ///
    /// # Panics
    /// If `read` does, and as [`read`](Self::read).
    #[track_caller]
    pub fn read_with<T>(&self, read: impl FnOnce(&ReadGuard<'_>) -> T) -> T {
        let guard = self.read();
        read(&guard)
    }

    /// Runs `write` under the write lock and returns its value. Not collective; waits as
    /// [`write`](Self::write) does.
    ///
    /// The lock is held until `write` returns, whatever happens to the guard or the value. For
    /// something that has to be closed before the lock is released, such as a file, see
    /// [`Guarded`](crate::Guarded).
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// # let mut ctrl = WindowController::local();
    /// ctrl.write_with(|guard| println!("rank {} of {} is alone", guard.rank(), guard.size()));
    /// ```
    ///
    /// # Panics
    /// If `write` does, and as [`write`](Self::write).
    #[track_caller]
    pub fn write_with<T>(&mut self, write: impl FnOnce(&mut WriteGuard<'_>) -> T) -> T {
        let mut guard = self.write();
        write(&mut guard)
    }

    /// Takes the read lock if no rank writes or waits to write. Not collective, does not wait.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_read(&self) -> Option<ReadGuard<'_>> {
        let has_lock = self.lock.try_enter_read();
        has_lock
            .unwrap_or_else(|error| self.panic_with(&error))
            .then(|| ReadGuard::new(&self.lock))
    }

    /// Takes the write lock if no other rank holds or wants the lock. Not collective, does not
    /// wait.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_write(&mut self) -> Option<WriteGuard<'_>> {
        self.end_leaked_call();
        self.try_lock_write()
            .unwrap_or_else(|error| self.panic_with(&error))
    }

    /// Takes the read lock; waits for at most `limit`. Not collective. Pass [`Duration::MAX`] to
    /// wait indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::HolderEnded`],
    /// [`LockError::Finalized`].
    #[track_caller]
    pub fn read_timeout(&self, limit: Duration) -> Result<ReadGuard<'_>, LockError> {
        self.lock_read(Some(limit))
    }

    /// Takes the write lock; waits for at most `limit`. Not collective. Pass [`Duration::MAX`] to
    /// wait indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::HolderEnded`],
    /// [`LockError::Finalized`].
    #[track_caller]
    pub fn write_timeout(&mut self, limit: Duration) -> Result<WriteGuard<'_>, LockError> {
        self.end_leaked_call();
        self.lock_write(Some(limit))
    }

    /// Takes the write lock over from a rank that died while it held it, to repair what the lock
    /// guards. Not collective; any rank may call it. Returns `None` if the lock is not poisoned, also
    /// because another rank has taken it over already.
    ///
    /// Of several ranks that call it at the same time, one gets the guard. As long as that lives, all
    /// others still get [`LockError::HolderDied`] or wait; when it is dropped, the lock is usable by
    /// all ranks that are left. If this rank dies with the guard, the lock is poisoned again.
    ///
    /// First waits for the readers that the dead rank has let in. On several nodes it also waits until
    /// the nodes have agreed on the holder.
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    /// use std::time::Duration;
    ///
    /// # fn check_and_repair() -> std::io::Result<()> { Ok(()) }
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let mut ctrl = mpisync::sync(&universe.world())?;
    /// loop {
    ///     let error = match ctrl.write_timeout(Duration::MAX) {
    ///         Ok(_guard) => break, // change what it guards
    ///         Err(error) => error,
    ///     };
    ///     let LockError::HolderDied { rank } = error else {
    ///         return Err(error.into());
    ///     };
    ///     eprintln!("rank {rank} died while it wrote");
    ///     if let Some(_guard) = ctrl.take_over()? {
    ///         check_and_repair()?;
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LockError::HolderEnded`] if a reader for which this waits has ended;
    /// [`LockError::Finalized`]. The lock stays poisoned.
    #[track_caller]
    pub fn take_over(&mut self) -> Result<Option<WriteGuard<'_>>, LockError> {
        self.end_leaked_call();
        self.take_over_lock(Location::caller())
    }

    /// Makes a lock usable again that a rank has poisoned by its death, as it is. Not collective;
    /// any rank may call it. Returns whether there was a death to clear; of several ranks that call
    /// it at the same time, one gets `true`.
    ///
    /// The next one to acquire the lock may find that what it guards is half changed. To look at
    /// that first, use [`take_over`](Self::take_over).
    ///
    /// # Errors
    /// Those of [`take_over`](Self::take_over).
    #[track_caller]
    pub fn clear_poison(&mut self) -> Result<bool, LockError> {
        self.end_leaked_call();
        let taken = self.take_over_lock(Location::caller())?;
        Ok(taken.is_some())
    }

    /// [`take_over`](Self::take_over) where no guard and no fence of this rank is alive.
    pub(crate) fn take_over_lock(
        &self,
        location: &'static Location<'static>,
    ) -> Result<Option<WriteGuard<'_>>, LockError> {
        let has_taken = self.lock.take_over(location)?;
        Ok(has_taken.then(|| WriteGuard::new(&self.lock)))
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.object().rank()
    }

    /// The number of ranks in the communicator.
    #[inline]
    pub fn size(&self) -> i32 {
        self.object().size()
    }

    /// The rank that writes in [`single_write`](Self::single_write).
    #[inline]
    pub fn master(&self) -> i32 {
        self.object().root()
    }

    /// Whether this rank is the master.
    #[inline]
    pub fn is_master(&self) -> bool {
        self.rank() == self.master()
    }

    /// The name of the controller; used in messages only.
    #[inline]
    pub fn name(&self) -> &str {
        self.object().name()
    }

    /// The number of nodes that the ranks run on.
    pub fn nodes(&self) -> i32 {
        self.object().nodes()
    }

    /// How the ranks communicate.
    pub fn transport(&self) -> Transport {
        self.object().transport()
    }

    /// Frees the controller's memory on all ranks. Collective, waits for all ranks, which may call it
    /// at different places.
    ///
    /// Dropping the controller does the same without waiting, once all ranks have dropped theirs.
    ///
    /// # Errors
    /// [`CollectiveError::Diverged`] if another rank is in another collective call;
    /// [`CollectiveError::OutOfStep`]; [`CollectiveError::RankDied`]; [`LockError::Finalized`].
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

    #[inline]
    #[track_caller]
    fn lock_read(&self, limit: Option<Duration>) -> Result<ReadGuard<'_>, LockError> {
        self.lock_read_after(limit, || {})
    }

    /// [`read_timeout`](Self::read_timeout) that calls `recover` before it waits.
    #[inline]
    #[track_caller]
    pub(crate) fn lock_read_after(
        &self,
        limit: Option<Duration>,
        recover: impl FnOnce(),
    ) -> Result<ReadGuard<'_>, LockError> {
        self.lock.enter_read_after(limit, recover)?;
        Ok(ReadGuard::new(&self.lock))
    }

    /// [`write_timeout`](Self::write_timeout) where no guard and no fence of this rank is alive.
    #[inline]
    #[track_caller]
    pub(crate) fn lock_write(&self, limit: Option<Duration>) -> Result<WriteGuard<'_>, LockError> {
        self.lock.forget_leaked_guards();
        self.lock.enter_write(limit)?;
        Ok(WriteGuard::new(&self.lock))
    }

    /// [`try_write`](Self::try_write) where no guard and no fence of this rank is alive.
    #[track_caller]
    pub(crate) fn try_lock_write(&self) -> Result<Option<WriteGuard<'_>>, LockError> {
        let has_lock = self.lock.try_enter_write()?;
        Ok(has_lock.then(|| WriteGuard::new(&self.lock)))
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

    /// Ends a leaked (`mem::forget`) fenced call and releases leaked guards.
    ///
    /// No fence and no guard is alive: each borrows the controller, and the caller has it mutably or
    /// owns it.
    #[inline]
    pub(crate) fn recover_leaked(&self) {
        self.end_leaked_call();
        self.lock.forget_leaked_guards();
    }

    /// The number of the last fenced call.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.last_in_epoch(self.block().domain()).0
    }

    /// The number that the next fenced call will have.
    pub(crate) fn next_call(&self) -> CallNumber {
        self.calls.next(self.block().domain())
    }

    /// This rank's part in a fenced call made at `site`.
    pub(crate) fn call(&self, number: CallNumber, site: CallSite) -> FencedCall<'_> {
        self.calls.call(self.block(), number, site)
    }

    /// Begins the next fenced call. No fence of the controller is alive.
    pub(crate) fn begin_call(&self) -> CallNumber {
        self.end_leaked_call();
        self.calls.begin(self.block().domain())
    }

    /// Notes that the call has a fence.
    pub(crate) fn open_call(&self, number: CallNumber, site: CallSite, writer: i32) {
        let call = OpenCall {
            number,
            site,
            writer,
        };
        self.open_call.set(Some(call));
    }

    /// Notes that the fence of the call has ended.
    pub(crate) fn close_call(&self) {
        self.open_call.set(None);
    }

    /// Ends a call whose fence was leaked, as dropping the fence does: a writer releases the lock and
    /// notifies the others; any other rank leaves the call. No fence of the controller is alive.
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
        let call = self.call(leaked.number, leaked.site);
        if leaked.writer != self.rank() {
            return call.leave(leaked.writer as usize);
        }
        if self.lock.writes() {
            self.lock.leave_write();
        }
        call.fail(Failure::Unshared);
    }
}

/// The value of the last fenced call, as something to wait for.
impl BlockSubject for WindowController {
    fn block(&self) -> &Block {
        self.object().block()
    }

    fn awaited(&self) -> Vec<Awaited> {
        let writer = self.open_call.get().map(|call| call.writer as u32);
        Awaited::all(writer, "has not shared its value")
    }
}

impl Drop for WindowController {
    fn drop(&mut self) {
        self.recover_leaked();
    }
}

impl fmt::Debug for WindowController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.lock, f)
    }
}
