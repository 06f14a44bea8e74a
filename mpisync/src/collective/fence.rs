//! Fences: one rank writes, and the other ranks get the value that it shares, or the reason why
//! there is none.

use crate::error::CollectiveError;
use crate::location::CallSite;
use crate::plain::Plain;
use crate::rwlock::controller::WindowController;
use crate::share::payload::{Encoder, Kind};
use crate::share::stream::{ItemSink, ItemSource};
use crate::share::{CallNumber, Failure, FencedCall, panic_message, text_of};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::fmt;
use std::fmt::Display;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::thread;
use std::time::Duration;

/// The role of the rank that writes, in [`Fence`].
#[derive(Debug)]
pub struct Writer;

/// The role of a rank that does not write, in [`Fence`].
#[derive(Debug)]
pub struct Excluded;

mod role {
    /// The role of a rank in a fenced call.
    pub trait Role: Sized {
        /// Ends a fence that is dropped.
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

/// This rank's part in a fenced call, see [`single_write`](WindowController::single_write).
///
/// A `Fence<Writer>` holds the write lock. Only it can [`share`](Fence::share), and only a
/// `Fence<Excluded>` can [`collect`](Fence::collect). Both consume the fence, so a call has one
/// outcome.
///
/// # Dropping a fence
/// If the writer drops its fence, the other ranks get [`CollectiveError::Unshared`]. On any other
/// rank the drop **waits for the writer**, as [`wait`](Fence::wait) does. So no rank goes on before
/// the writer is done, even if a branch of the program does nothing on that rank; use
/// [`skip`](Fence::skip) to go on without waiting. A fence that is dropped by a panic does not
/// wait.
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
/// A leaked fence (`mem::forget`) ends with the next call that borrows the controller mutably, with
/// [`close`](WindowController::close), or when the controller is dropped. The other ranks may have
/// to wait until then.
///
/// # Panics
/// Dropping a `Fence<Excluded>` panics if `wait` would return an error, for example because the
/// writer failed.
#[must_use = "a writer has to `share` and the others to `collect`; dropped, a writer's is an error on the other ranks, whose own wait for the writer"]
pub struct Fence<'a, R: role::Role> {
    controller: &'a WindowController,
    number: CallNumber,
    writer: i32,
    site: CallSite,
    /// The message of a panic in [`Fence::run`].
    panic: Cell<Option<String>>,
    role: PhantomData<R>,
}

impl<'a, R: role::Role> Fence<'a, R> {
    pub(crate) fn new(
        controller: &'a WindowController,
        number: CallNumber,
        writer: i32,
        site: CallSite,
    ) -> Self {
        controller.open_call(number, site, writer);
        Fence {
            controller,
            number,
            writer,
            site,
            panic: Cell::new(None),
            role: PhantomData,
        }
    }

    /// Releases the lock and shares `value` with the other ranks; returns it. Does not wait if its
    /// serialized form has at most 448 bytes. Otherwise waits until the other ranks have collected
    /// it.
    ///
    /// # Errors
    /// [`CollectiveError::Encode`] if serde cannot serialize the value, and
    /// [`CollectiveError::WriterFailed`] if `/dev/shm` has no room for the 64 KiB through which a
    /// large value travels; the other ranks get [`CollectiveError::WriterFailed`].
    pub fn share<T: Serialize>(self, value: T) -> Result<T, CollectiveError>
    where
        R: role::MayShare,
    {
        let mut encoder = Encoder::new();
        let encoded = encoder.encode(&value);
        self.finish(|call| call.share_encoded::<T>(encoded))?;
        Ok(value)
    }

    /// Waits for the value that the writer shares, and returns it.
    ///
    /// # Errors
    /// - [`CollectiveError::WriterFailed`], [`CollectiveError::WriterPanicked`],
    ///   [`CollectiveError::RankDied`]: the writer failed, panicked or died.
    /// - [`CollectiveError::Unshared`]: the writer dropped its fence.
    /// - [`CollectiveError::TypeMismatch`], [`CollectiveError::Decode`]: the value is no `T`.
    /// - [`CollectiveError::WriterMismatch`]: another rank takes a different rank for the writer.
    /// - [`CollectiveError::Diverged`]: another rank is in another call.
    pub fn collect<T: DeserializeOwned>(self) -> Result<T, CollectiveError>
    where
        R: role::MayCollect,
    {
        self.collect_within(None)
    }

    /// The controller, which the fence borrows.
    pub(super) fn owner(&self) -> &'a WindowController {
        self.controller
    }

    pub(super) fn writer_rank(&self) -> i32 {
        self.writer
    }

    /// Where the call was made.
    pub(super) fn location(&self) -> &'static Location<'static> {
        self.site.location()
    }

    pub(super) fn call(&self) -> FencedCall<'a> {
        self.controller.call(self.number, self.site)
    }

    fn collect_within<T: DeserializeOwned>(
        self,
        limit: Option<Duration>,
    ) -> Result<T, CollectiveError> {
        let writer = self.writer as usize;
        self.end(|call| call.collect_encoded(writer, limit))
    }

    /// Releases the lock, then publishes: a collector finds the lock free.
    fn finish<T>(self, publish: impl FnOnce(FencedCall<'_>) -> T) -> T {
        let lock = self.controller.lock();
        self.end(|call| {
            lock.leave_write();
            publish(call)
        })
    }

    /// Ends the fence and this rank's part in the call.
    pub(super) fn end<T>(self, collect: impl FnOnce(FencedCall<'_>) -> T) -> T {
        let fence = ManuallyDrop::new(self);
        fence.controller.close_call();
        collect(fence.call())
    }
}

impl Fence<'_, Writer> {
    /// The controller, for methods that need no mutable controller, such as
    /// [`rank`](WindowController::rank) and [`read`](WindowController::read). Its write lock is
    /// held.
    pub fn controller(&self) -> &WindowController {
        self.controller
    }

    /// Shares the value or the error of `outcome`, and returns it.
    ///
    /// # Errors
    /// That of `outcome`, or of [`share`](Self::share).
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

    /// Shares any number of items, without serializing them. The other ranks collect them with
    /// [`collect_vec`](Fence::collect_vec) or [`collect_into`](Fence::collect_into), and check that
    /// name and layout of the type are the same. Waits as [`share`](Self::share) does.
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
    /// [`CollectiveError::WriterFailed`] if `/dev/shm` has no room for the 64 KiB through which the
    /// items travel.
    pub fn share_slice<T: Plain>(self, items: &[T]) -> Result<(), CollectiveError> {
        self.finish(|call| call.share(Kind::items::<T>(), &mut ItemSource::new(items)))
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

    /// Ends the call without a value. The other ranks get the returned error, with at most 512 bytes
    /// of `reason`: of a longer one, its beginning and its end.
    pub fn fail(self, reason: impl Display) -> CollectiveError {
        let message = text_of(&reason);
        let rank = self.controller.rank();
        let place = self.site.place();
        self.finish(|call| call.fail(Failure::Failed(&message)));
        CollectiveError::WriterFailed {
            rank,
            place,
            message,
        }
    }

    /// Shares the text of the error, and returns the error.
    fn fail_with<E: Display>(self, error: E) -> E {
        let _shared = self.fail(&error);
        error
    }

    /// Ends the call successfully without a value; the same as sharing `()`. Does not wait.
    ///
    /// # Errors
    /// None at present.
    pub fn done(self) -> Result<(), CollectiveError> {
        self.share(())
    }

    /// Runs `write`. If it panics, the other ranks get the message.
    #[doc(hidden)]
    pub fn run<T>(&self, write: impl FnOnce(&WindowController) -> T) -> T {
        catch_unwind(AssertUnwindSafe(|| write(self.controller))).unwrap_or_else(|panic| {
            self.panic.set(Some(panic_message(panic.as_ref())));
            resume_unwind(panic)
        })
    }
}

impl Fence<'_, Excluded> {
    /// [`collect`](Self::collect) with a limit: waits for at most `limit`.
    ///
    /// # Errors
    /// Those of `collect`, and [`CollectiveError::Timeout`], which ends the call for this rank.
    pub fn collect_timeout<T: DeserializeOwned>(
        self,
        limit: Duration,
    ) -> Result<T, CollectiveError> {
        self.collect_within(Some(limit))
    }

    /// Waits for the items that the writer shares with [`share_slice`](Fence::share_slice), and
    /// returns them.
    ///
    /// # Errors
    /// Those of [`collect`](Self::collect).
    pub fn collect_vec<T: Plain>(self) -> Result<Vec<T>, CollectiveError> {
        self.collect_items(None)
    }

    /// Waits for the items that the writer shares with [`share_slice`](Fence::share_slice), and
    /// copies them into `items`.
    ///
    /// # Errors
    /// Those of [`collect`](Self::collect), and [`CollectiveError::LengthMismatch`] if the writer
    /// shares another number of items. `items` is unchanged on an error.
    pub fn collect_into<T: Plain>(self, items: &mut [T]) -> Result<(), CollectiveError> {
        items.copy_from_slice(&self.collect_items(Some(items.len()))?);
        Ok(())
    }

    fn collect_items<T: Plain>(self, room: Option<usize>) -> Result<Vec<T>, CollectiveError> {
        let writer = self.writer;
        let kind = Some(Kind::items::<T>());
        self.end(|call| {
            call.collect(writer as usize, kind, None, |bytes| {
                let sink = ItemSink::new(bytes);
                match room {
                    Some(room) if room != sink.expected() => {
                        Err(call.length_mismatch(writer, sink.expected(), room))
                    }
                    _ => Ok(sink),
                }
            })
            .map(ItemSink::into_items)
        })
    }

    /// Waits until the writer is done, regardless of the value that it shares.
    ///
    /// # Errors
    /// Those of [`collect`](Self::collect), except those about the type.
    pub fn wait(self) -> Result<(), CollectiveError> {
        let writer = self.writer as usize;
        self.end(|call| call.wait(writer))
    }

    /// Leaves the call without waiting for the writer. The writer does not wait for this rank
    /// either.
    pub fn skip(self) {
        let writer = self.writer as usize;
        self.end(|call| call.leave(writer));
    }
}

impl role::Role for Writer {
    fn abandon(fence: &mut Fence<'_, Self>) {
        fence.controller.close_call();
        fence.controller.lock().leave_write();
        let message = fence.panic.take();
        fence.call().fail(match &message {
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
        let call = fence.call();
        // If a collective call has failed since, all ranks have left this call, or will not come to
        // it.
        if thread::panicking() || controller.check_usable().is_err() || call.is_over() {
            return call.leave(writer);
        }
        if let Err(error) = call.wait(writer) {
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
