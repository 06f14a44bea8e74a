//! The beginning of a fenced call, in which one rank writes.

use crate::collective::fence::{Excluded, Fence, Writer};
use crate::error::{CollectiveError, LockError};
use crate::location::{CallSite, SINGLE_WRITE};
use crate::rwlock::controller::WindowController;
use crate::share::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

impl WindowController {
    /// Begins a call in which the master writes and the other ranks wait for the value that it
    /// shares. Collective; only the master waits here, for the write lock. All ranks must make the
    /// same calls, each at the same source location; see [`On::named`] for calls at different
    /// locations.
    ///
    /// ```
    /// use mpisync::prelude::*;
    ///
    /// let mut ctrl = WindowController::local();
    /// let header: u32 = match ctrl.single_write() {
    ///     Access::Writer(fence) => fence.share(42),
    ///     Access::Excluded(fence) => fence.collect(),
    /// }?;
    /// assert_eq!(header, 42);
    /// # Ok::<(), CollectiveError>(())
    /// ```
    ///
    /// # Panics
    /// If [`single_write_timeout`](Self::single_write_timeout) would return an error.
    #[track_caller]
    pub fn single_write(&mut self) -> Access<'_> {
        self.recover_leaked();
        let site = CallSite::new(SINGLE_WRITE, Location::caller());
        let access = Access::enter(self, self.master(), None, site);
        access.unwrap_or_else(|error| self.panic_with(&error))
    }

    /// [`single_write`](Self::single_write) with a limit: the writer waits for the lock for at most
    /// `limit`. If it does not get the lock, the other ranks get an error. Collective.
    ///
    /// # Errors
    /// [`CollectiveError::Lock`] on the writer; [`CollectiveError::WriterMismatch`] on a writer if
    /// another rank is a writer, too; [`CollectiveError::Diverged`] on a rank that was the writer
    /// in a call while another rank of its node was in another call.
    #[track_caller]
    pub fn single_write_timeout(&mut self, limit: Duration) -> Result<Access<'_>, CollectiveError> {
        self.recover_leaked();
        let site = CallSite::new(SINGLE_WRITE, Location::caller());
        Access::enter(self, self.master(), Some(limit), site)
    }

    /// Selects another writer than the master for one call: `ctrl.on(2)?.single_write()`. `rank`
    /// must be the same on all ranks. Not collective itself.
    ///
    /// # Errors
    /// [`CollectiveError::NoSuchRank`].
    pub fn on(&mut self, rank: i32) -> Result<On<'_>, CollectiveError> {
        self.recover_leaked();
        On::new(self, rank)
    }
}

/// This rank's role in a fenced call.
///
/// Dropping it drops the [`Fence`]. Dropping the writer's fence notifies the other ranks that no
/// value is shared. On the other ranks the drop waits for the writer, and panics if the writer has
/// failed. So `if let Access::Writer(fence) = ctrl.single_write() { … }` makes the others wait
/// until the writer is done, and `let _ = ctrl.single_write();` on all ranks panics on all but the
/// writer.
#[must_use = "match on it: the writer has to `share` and the others to `collect`"]
pub enum Access<'a> {
    /// This rank writes, and holds the write lock.
    Writer(Fence<'a, Writer>),
    /// Another rank writes.
    Excluded(Fence<'a, Excluded>),
}

impl<'a> Access<'a> {
    /// Begins a call. Only through a controller that is borrowed mutably.
    pub(crate) fn enter(
        controller: &'a WindowController,
        writer: i32,
        limit: Option<Duration>,
        site: CallSite,
    ) -> Result<Self, CollectiveError> {
        let lock = || controller.lock().enter_write_at(limit, site.location());
        Access::begin(controller, writer, site, lock)
    }

    /// Begins a call, for which the writer takes the write lock by `lock`.
    pub(super) fn begin(
        controller: &'a WindowController,
        writer: i32,
        site: CallSite,
        lock: impl FnOnce() -> Result<(), LockError>,
    ) -> Result<Self, CollectiveError> {
        controller.check_usable()?;
        let number = controller.begin_call();
        let call = controller.call(number, site);
        if writer != controller.rank() {
            if let Some(error) = call.divergence() {
                call.leave(writer as usize);
                return Err(error);
            }
            let fence = Fence::new(controller, number, writer, site);
            return Ok(Access::Excluded(fence));
        }
        call.make_room();
        if let Some(error) = call.divergence() {
            call.fail(Failure::Failed(&error.to_string()));
            return Err(error);
        }
        // The fence releases the lock.
        if let Err(error) = lock() {
            call.fail(Failure::Failed(&error.to_string()));
            return Err(error.into());
        }
        if let Err(error) = call.claim(|number| controller.lock().claim(number.0)) {
            controller.lock().leave_write();
            // A rank that takes this rank for the writer learns which rank this one takes for it.
            let other = match error {
                CollectiveError::WriterMismatch { rank, .. }
                | CollectiveError::Diverged { rank, .. } => rank,
                _ => writer,
            };
            call.leave(other as usize);
            return Err(error);
        }
        Ok(Access::Writer(Fence::new(controller, number, writer, site)))
    }

    /// Returns the writer's fence on the writer, and `None` on the other ranks after the writer is
    /// done. Collective; waits for the writer on the other ranks.
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// # let mut ctrl = WindowController::local();
    /// if let Some(fence) = ctrl.single_write().writer()? {
    ///     // Create the file.
    ///     fence.done()?;
    /// }
    /// # Ok::<(), CollectiveError>(())
    /// ```
    ///
    /// # Errors
    /// On the other ranks, those of [`Fence::wait`].
    pub fn writer(self) -> Result<Option<Fence<'a, Writer>>, CollectiveError> {
        match self {
            Access::Writer(fence) => Ok(Some(fence)),
            Access::Excluded(fence) => fence.wait().map(|()| None),
        }
    }

    /// Runs `write` on the writer and returns its value on all ranks. Collective, waits for the
    /// writer.
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// # let mut ctrl = WindowController::local();
    /// let header = ctrl.single_write().run(|ctrl| Ok::<_, CollectiveError>(ctrl.rank()))?;
    /// # Ok::<(), CollectiveError>(())
    /// ```
    ///
    /// # Errors
    /// On the writer, the error of `write`; on the other ranks, a [`CollectiveError`] with the
    /// writer's rank and the text of that error.
    ///
    /// # Panics
    /// On the writer, if `write` does; the other ranks get [`CollectiveError::WriterPanicked`].
    pub fn run<T, E>(self, write: impl FnOnce(&WindowController) -> Result<T, E>) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<CollectiveError> + Display,
    {
        match self {
            Access::Writer(fence) => {
                let outcome = fence.run(write);
                fence.share_result(outcome)
            }
            Access::Excluded(fence) => Ok(fence.collect()?),
        }
    }
}

impl fmt::Debug for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Access::Writer(fence) => f.debug_tuple("Writer").field(fence).finish(),
            Access::Excluded(fence) => f.debug_tuple("Excluded").field(fence).finish(),
        }
    }
}

/// A controller for one call with a selected writer, see [`WindowController::on`].
#[must_use = "nothing happens before `single_write`"]
#[derive(Debug)]
pub struct On<'a> {
    controller: &'a mut WindowController,
    rank: i32,
    /// The name by which the call is compared, in place of its location.
    name: Option<&'a str>,
}

impl<'a> On<'a> {
    pub(crate) fn new(
        controller: &'a mut WindowController,
        rank: i32,
    ) -> Result<Self, CollectiveError> {
        let size = controller.size();
        if !(0..size).contains(&rank) {
            return Err(CollectiveError::NoSuchRank { rank, size });
        }
        Ok(On {
            controller,
            rank,
            name: None,
        })
    }

    /// Compares the call by name and not by source location. For a call that ranks make at
    /// different locations, or in different programs. Must be the same on all ranks.
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// # let mut ctrl = WindowController::local();
    /// let master = ctrl.master();
    /// if ctrl.is_master() {
    ///     let access = ctrl.on(master)?.named("header").single_write();
    ///     access.run(|_| Ok::<u32, CollectiveError>(42))?;
    /// } else {
    ///     let access = ctrl.on(master)?.named("header").single_write();
    ///     access.run(|_| -> Result<u32, CollectiveError> { unreachable!("on the master only") })?;
    /// }
    /// # Ok::<(), CollectiveError>(())
    /// ```
    pub fn named(mut self, name: &'a str) -> Self {
        self.name = Some(name);
        self
    }

    /// [`single_write_timeout`](Self::single_write_timeout) at `site`.
    pub(crate) fn enter(
        self,
        limit: Duration,
        site: CallSite,
    ) -> Result<Access<'a>, CollectiveError> {
        Access::enter(self.controller, self.rank, Some(limit), site)
    }

    pub(super) fn into_parts(self) -> (&'a WindowController, i32) {
        (self.controller, self.rank)
    }

    pub(super) fn site(&self, caller: &'static Location<'static>) -> CallSite {
        match self.name {
            Some(name) => CallSite::named(SINGLE_WRITE, name, caller),
            None => CallSite::new(SINGLE_WRITE, caller),
        }
    }

    /// [`WindowController::single_write`] with the selected rank as the writer. Collective.
    ///
    /// # Panics
    /// If [`single_write_timeout`](Self::single_write_timeout) would return an error.
    #[track_caller]
    pub fn single_write(self) -> Access<'a> {
        let site = self.site(Location::caller());
        let access = Access::enter(self.controller, self.rank, None, site);
        access.unwrap_or_else(|error| self.controller.panic_with(&error))
    }

    /// [`WindowController::single_write_timeout`] with the selected rank as the writer. Collective.
    ///
    /// # Errors
    /// Those of [`WindowController::single_write_timeout`].
    #[track_caller]
    pub fn single_write_timeout(self, limit: Duration) -> Result<Access<'a>, CollectiveError> {
        let site = self.site(Location::caller());
        Access::enter(self.controller, self.rank, Some(limit), site)
    }
}
