//! Who writes: the beginning of a call in which one rank does.

use crate::collective::fence::{Excluded, Fence, Writer};
use crate::error::CollectiveError;
use crate::location::CallSite;
use crate::rwlock::controller::WindowController;
use crate::share::Failure;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::fmt::Display;
use std::panic::Location;
use std::time::Duration;

impl WindowController {
    /// Lets the master write, and the others wait for what it shares. Collective; only the master
    /// waits here, for the write lock. All ranks have to make the same calls, each at the same
    /// place of the source; see [`On::named`] for a call that they make at different ones.
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
    /// Where [`single_write_timeout`](Self::single_write_timeout) would return an error.
    #[track_caller]
    pub fn single_write(&mut self) -> Access<'_> {
        self.recover_leaked();
        let site = CallSite::new("", Location::caller());
        let access = Access::enter(self, self.master(), None, site);
        access.unwrap_or_else(|error| self.panic_with(&error))
    }

    /// [`single_write`](Self::single_write) whose writer waits for the lock for `limit` at most. If
    /// it does not get it, the other ranks are told.
    ///
    /// # Errors
    /// [`CollectiveError::Lock`] on the writer; [`CollectiveError::WriterMismatch`] on a rank that
    /// takes itself for the writer when another one does too; [`CollectiveError::Diverged`] on a
    /// rank that has written in a call while another rank of its node was in another one.
    #[track_caller]
    pub fn single_write_timeout(&mut self, limit: Duration) -> Result<Access<'_>, CollectiveError> {
        self.recover_leaked();
        let site = CallSite::new("", Location::caller());
        Access::enter(self, self.master(), Some(limit), site)
    }

    /// Names another writer than the master for one call: `ctrl.on(2)?.single_write()`. All ranks
    /// have to name the same.
    ///
    /// # Errors
    /// [`CollectiveError::NoSuchRank`].
    pub fn on(&mut self, rank: i32) -> Result<On<'_>, CollectiveError> {
        self.recover_leaked();
        On::new(self, rank)
    }
}

/// Which part this rank has in a call in which one rank writes.
///
/// Dropping it drops the [`Fence`]: the writer's tells the other ranks that nothing is shared, and
/// on those the drop waits for the writer and panics where it has failed. So `if let
/// Access::Writer(fence) = ctrl.single_write() { … }` keeps the others until the writer is done,
/// and `let _ = ctrl.single_write();` on all ranks is a panic on all but the writer.
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
        controller.check_usable()?;
        let call = controller.begin_call();
        let post = controller.post(call, site);
        if writer != controller.rank() {
            if let Some(error) = post.divergence() {
                post.leave(writer as usize);
                return Err(error);
            }
            let fence = Fence::new(controller, call, writer, site);
            return Ok(Access::Excluded(fence));
        }
        post.make_room();
        if let Some(error) = post.divergence() {
            post.fail(Failure::Failed(&error.to_string()));
            return Err(error);
        }
        // The fence lets the lock go.
        if let Err(error) = controller.lock().enter_write(limit) {
            post.fail(Failure::Failed(&error.to_string()));
            return Err(error.into());
        }
        if let Err(error) = post.claim(|call| controller.lock().claim(call.0)) {
            controller.lock().leave_write();
            // A rank that takes this one for the writer learns for whom this one leaves it to write.
            let other = match error {
                CollectiveError::WriterMismatch { rank, .. }
                | CollectiveError::Diverged { rank, .. } => rank,
                _ => writer,
            };
            post.leave(other as usize);
            return Err(error);
        }
        Ok(Access::Writer(Fence::new(controller, call, writer, site)))
    }

    /// The writer's fence, on the rank that writes; the others get `None`, after the writer has
    /// shared or finished.
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
    /// On the ranks that do not write: why the writer has not finished.
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
    /// On the writer, the error of `write`; on the others, a [`CollectiveError`] with the writer's
    /// rank and its text.
    ///
    /// # Panics
    /// On the writer, if `write` does; the others get [`CollectiveError::WriterPanicked`].
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

/// A controller for one call with another writer than the master, see [`WindowController::on`].
#[must_use = "nothing happens before `single_write`"]
#[derive(Debug)]
pub struct On<'a> {
    controller: &'a mut WindowController,
    rank: i32,
    /// What the call is compared by, in place of where it is made.
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

    /// Gives the call a name that all ranks pass, by which it is compared then: for a call that
    /// ranks make at different places of the source, or in different programs.
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

    /// Begins the call at `site`, with the errors as values and without a limit.
    pub(crate) fn enter(self, site: CallSite) -> Result<Access<'a>, CollectiveError> {
        Access::enter(self.controller, self.rank, Some(Duration::MAX), site)
    }

    fn site(&self, caller: &'static Location<'static>) -> CallSite {
        match self.name {
            Some(name) => CallSite::anywhere(name, caller),
            None => CallSite::new("", caller),
        }
    }

    /// As [`WindowController::single_write`], with the named rank as writer. Collective.
    ///
    /// # Panics
    /// Where [`single_write_timeout`](Self::single_write_timeout) would return an error.
    #[track_caller]
    pub fn single_write(self) -> Access<'a> {
        let site = self.site(Location::caller());
        let access = Access::enter(self.controller, self.rank, None, site);
        access.unwrap_or_else(|error| self.controller.panic_with(&error))
    }

    /// As [`WindowController::single_write_timeout`], with the named rank as writer. Collective.
    ///
    /// # Errors
    /// The same.
    #[track_caller]
    pub fn single_write_timeout(self, limit: Duration) -> Result<Access<'a>, CollectiveError> {
        let site = self.site(Location::caller());
        Access::enter(self.controller, self.rank, Some(limit), site)
    }
}
