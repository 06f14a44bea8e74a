//! Fences: one rank writes, and the others get what it shares or learn why there is nothing.

use crate::error::CollectiveError;
use crate::location::CallSite;
use crate::plain::Plain;
use crate::rwlock::controller::WindowController;
use crate::share::items::{ItemSink, ItemSource};
use crate::share::payload::{Encoder, Kind};
use crate::share::{Call, Failure, Post, panic_message, text_of};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::fmt;
use std::fmt::Display;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

/// The role of the rank that writes, in [`Fence`].
#[derive(Debug)]
pub struct Writer;

/// The role of a rank that does not write, in [`Fence`].
#[derive(Debug)]
pub struct Excluded;

mod role {
    /// What becomes of a fence that is dropped.
    pub trait Role: Sized {
        fn abandon(fence: &mut super::Fence<'_, Self>);
    }

    /// The role that shares.
    #[diagnostic::on_unimplemented(
        message = "only the writer has a value to share",
        label = "this rank does not write here: `collect` what the writer shares"
    )]
    pub trait MayShare: Role {}

    /// The role that collects.
    #[diagnostic::on_unimplemented(
        message = "the writer has nothing to collect",
        label = "this rank writes here: `share` the value, which also returns it"
    )]
    pub trait MayCollect: Role {}

    impl MayShare for super::Writer {}
    impl MayCollect for super::Excluded {}
}

/// This rank's part in a call in which one rank writes, see
/// [`single_write`](WindowController::single_write).
///
/// A `Fence<Writer>` holds the write lock. Only it can [`share`](Fence::share), and only a
/// `Fence<Excluded>` can [`collect`](Fence::collect); both consume the fence, so a call has one
/// outcome.
///
/// # Dropping a fence
/// A writer's is told to the other ranks as [`CollectiveError::Unshared`]. That of another rank
/// **waits for the writer**, as [`wait`](Fence::wait) does, so that no rank goes on before the
/// writer is done because a branch of the program has no part for it; use [`skip`](Fence::skip) to
/// go on without waiting. A fence that is dropped by a panic does not wait.
///
/// ```
/// # use mpisync::prelude::*;
/// # let mut ctrl = WindowController::local();
/// if let Access::Writer(fence) = ctrl.single_write() {
///     // Create the file.
///     fence.done()?;
/// }
/// // The file is there, on all ranks.
/// # Ok::<(), CollectiveError>(())
/// ```
///
/// A fence that is forgotten (`mem::forget`) ends with the next call that borrows the controller
/// mutably, with [`close`](WindowController::close), or when the controller is dropped; the other
/// ranks may have to wait until then.
///
/// # Panics
/// Dropping a `Fence<Excluded>` panics where `wait` returns an error: the writer failed, say.
#[must_use = "a writer has to `share` and the others to `collect`; dropped, a writer's is an error on the other ranks, whose own wait for the writer"]
pub struct Fence<'a, R: role::Role> {
    controller: &'a WindowController,
    call: Call,
    writer: i32,
    site: CallSite,
    /// The message of a panic in [`Fence::run`].
    panic: Cell<Option<String>>,
    role: PhantomData<R>,
}

impl<'a, R: role::Role> Fence<'a, R> {
    pub(crate) fn new(
        controller: &'a WindowController,
        call: Call,
        writer: i32,
        site: CallSite,
    ) -> Self {
        controller.open_call(call, site, writer);
        Fence {
            controller,
            call,
            writer,
            site,
            panic: Cell::new(None),
            role: PhantomData,
        }
    }

    /// Lets the lock go and gives `value` to the other ranks; returns it. A value whose serialized
    /// form is larger than 448 bytes is passed through a buffer, and this rank stays until the
    /// others have collected it.
    ///
    /// # Errors
    /// [`CollectiveError::Encode`] when serde cannot serialize the value; the others get that as
    /// the writer's failure.
    pub fn share<T: Serialize>(self, value: T) -> Result<T, CollectiveError>
    where
        R: role::MayShare,
    {
        let mut encoder = Encoder::new();
        let encoded = encoder.encode(&value);
        self.finish(|post| post.share_encoded::<T>(encoded))?;
        Ok(value)
    }

    /// Waits for what the writer shares.
    ///
    /// # Errors
    /// Why there is no value: the writer failed, panicked, died or dropped its fence; it shared
    /// another type; the ranks do not agree on who writes, or are in different calls; the bytes
    /// cannot be read as a `T`.
    pub fn collect<T: DeserializeOwned>(self) -> Result<T, CollectiveError>
    where
        R: role::MayCollect,
    {
        self.collect_within(None)
    }

    fn post(&self) -> Post<'a> {
        self.controller.post(self.call, self.site)
    }

    fn collect_within<T: DeserializeOwned>(
        self,
        limit: Option<Duration>,
    ) -> Result<T, CollectiveError> {
        let writer = self.writer as usize;
        self.end(|post| post.collect_encoded(writer, limit))
    }

    /// Lets the lock go and publishes, in this order: who collects finds the lock free.
    fn finish<T>(self, publish: impl FnOnce(Post<'_>) -> T) -> T {
        let fence = ManuallyDrop::new(self);
        fence.controller.close_call();
        fence.controller.lock().leave_write();
        publish(fence.post())
    }

    /// Ends the fence with what `collect` gives.
    fn end<T>(self, collect: impl FnOnce(Post<'_>) -> T) -> T {
        let fence = ManuallyDrop::new(self);
        fence.controller.close_call();
        collect(fence.post())
    }
}

impl Fence<'_, Writer> {
    /// The controller, while its write lock is held: for [`rank`](WindowController::rank),
    /// [`read`](WindowController::read) and whatever else needs no mutable controller.
    pub fn controller(&self) -> &WindowController {
        self.controller
    }

    /// Shares a value or tells the other ranks the error; returns either.
    ///
    /// # Errors
    /// `outcome`'s, or that of [`share`](Self::share).
    pub fn share_result<T, E>(self, outcome: Result<T, E>) -> Result<T, E>
    where
        T: Serialize,
        E: From<CollectiveError> + Display,
    {
        match outcome {
            Ok(value) => Ok(self.share(value)?),
            Err(error) => Err(self.fail_with(error)),
        }
    }

    /// Gives `items` to the other ranks, which collect them with
    /// [`collect_vec`](Fence::collect_vec) or [`collect_into`](Fence::collect_into). They travel as
    /// the bytes that they are, without being serialized, and may be any number. The other ranks
    /// compare the type's name and its layout before they take the bytes for items.
    ///
    /// ```
    /// # use mpisync::prelude::*;
    /// # let mut ctrl = WindowController::local();
    /// let mut row = [0.0; 3];
    /// match ctrl.single_write() {
    ///     Access::Writer(fence) => {
    ///         row = [1.0, 2.0, 3.0];
    ///         fence.share_slice(&row)?;
    ///     }
    ///     Access::Excluded(fence) => fence.collect_into(&mut row)?,
    /// }
    /// assert_eq!(row, [1.0, 2.0, 3.0]);
    /// # Ok::<(), CollectiveError>(())
    /// ```
    ///
    /// # Errors
    /// None so far.
    pub fn share_slice<T: Plain>(self, items: &[T]) -> Result<(), CollectiveError> {
        self.finish(|post| post.share(Kind::items::<T>(), &mut ItemSource::new(items)));
        Ok(())
    }

    /// [`share_result`](Self::share_result) for items of a plain type.
    #[doc(hidden)]
    pub fn share_vec_result<T, E>(self, outcome: Result<Vec<T>, E>) -> Result<Vec<T>, E>
    where
        T: Plain,
        E: From<CollectiveError> + Display,
    {
        match outcome {
            Ok(items) => {
                self.share_slice(&items)?;
                Ok(items)
            }
            Err(error) => Err(self.fail_with(error)),
        }
    }

    /// Tells the other ranks why there is no value; returns the error that they get. The text is
    /// cut at 512 bytes.
    pub fn fail(self, reason: impl Display) -> CollectiveError {
        let message = text_of(&reason);
        let rank = self.controller.rank();
        let place = self.site.place();
        self.finish(|post| post.fail(Failure::Failed(&message)));
        CollectiveError::WriterFailed {
            rank,
            place,
            message,
        }
    }

    /// Tells the other ranks the error, and returns it.
    fn fail_with<E: Display>(self, error: E) -> E {
        let _told = self.fail(&error);
        error
    }

    /// Lets the lock go and tells the other ranks that all is well; the same as sharing `()`.
    ///
    /// # Errors
    /// None so far.
    pub fn done(self) -> Result<(), CollectiveError> {
        self.share(())
    }

    /// Runs `write` so that the other ranks learn the message of its panic.
    #[doc(hidden)]
    pub fn run<T>(&self, write: impl FnOnce(&WindowController) -> T) -> T {
        catch_unwind(AssertUnwindSafe(|| write(self.controller))).unwrap_or_else(|panic| {
            self.panic.set(Some(panic_message(panic.as_ref())));
            resume_unwind(panic)
        })
    }
}

impl Fence<'_, Excluded> {
    /// [`collect`](Self::collect) that waits for `limit` at most.
    ///
    /// # Errors
    /// Those of `collect`, and [`CollectiveError::Timeout`]. The call is over for this rank then.
    pub fn collect_timeout<T: DeserializeOwned>(
        self,
        limit: Duration,
    ) -> Result<T, CollectiveError> {
        self.collect_within(Some(limit))
    }

    /// Waits for the items that the writer gives with [`share_slice`](Fence::share_slice).
    ///
    /// # Errors
    /// Those of [`collect`](Self::collect).
    pub fn collect_vec<T: Plain>(self) -> Result<Vec<T>, CollectiveError> {
        self.collect_items(None)
    }

    /// Waits for the items that the writer gives with [`share_slice`](Fence::share_slice), and puts
    /// them into `items`.
    ///
    /// # Errors
    /// Those of [`collect`](Self::collect), and [`CollectiveError::LengthMismatch`] where the
    /// writer gives another number of items; `items` is as it was then.
    pub fn collect_into<T: Plain>(self, items: &mut [T]) -> Result<(), CollectiveError> {
        items.copy_from_slice(&self.collect_items(Some(items.len()))?);
        Ok(())
    }

    fn collect_items<T: Plain>(self, room: Option<usize>) -> Result<Vec<T>, CollectiveError> {
        let writer = self.writer;
        let kind = Some(Kind::items::<T>());
        self.end(|post| {
            post.collect(writer as usize, kind, None, |bytes| {
                let sink = ItemSink::new(bytes);
                match room {
                    Some(room) if room != sink.expected() => Err(CollectiveError::LengthMismatch {
                        writer,
                        shared: sink.expected(),
                        room,
                    }),
                    _ => Ok(sink),
                }
            })
            .map(ItemSink::into_items)
        })
    }

    /// Waits until the writer has shared whatever it shares.
    ///
    /// # Errors
    /// Those of [`collect`](Self::collect), but for the type.
    pub fn wait(self) -> Result<(), CollectiveError> {
        let writer = self.writer as usize;
        self.end(|post| post.wait(writer))
    }

    /// Leaves the call without waiting for the writer, for a rank that needs neither the value nor
    /// to know whether the writer is done. The writer does not wait for this rank either.
    pub fn skip(self) {
        let writer = self.writer as usize;
        self.end(|post| post.leave(writer));
    }
}

impl role::Role for Writer {
    fn abandon(fence: &mut Fence<'_, Self>) {
        fence.controller.close_call();
        fence.controller.lock().leave_write();
        let message = fence.panic.take();
        fence.post().fail(match &message {
            Some(message) => Failure::Panicked(message),
            None if thread::panicking() => {
                Failure::Panicked("see what that rank wrote to its standard error")
            }
            None => Failure::Unshared,
        });
    }
}

impl role::Role for Excluded {
    fn abandon(fence: &mut Fence<'_, Self>) {
        let (controller, writer) = (fence.controller, fence.writer as usize);
        controller.close_call();
        let post = fence.post();
        // Where a collective call has failed since, all ranks have left this one, or will not come to it.
        if thread::panicking() || controller.check_usable().is_err() || post.is_over() {
            return post.leave(writer);
        }
        if let Err(error) = post.wait(writer) {
            panic!(
                "controller {:?} on rank {}: the fence of the call at {} was dropped, and the call has failed: {error} \
                 (`Fence::wait` returns this as an error, `Fence::skip` does not wait)",
                controller.name(),
                controller.rank(),
                fence.site.place(),
            );
        }
    }
}

impl<R: role::Role> Drop for Fence<'_, R> {
    fn drop(&mut self) {
        R::abandon(self);
    }
}

impl<R: role::Role> fmt::Debug for Fence<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fence")
            .field("writer", &self.writer)
            .field("controller", self.controller)
            .finish_non_exhaustive()
    }
}
