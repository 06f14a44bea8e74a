//! Locks that own the resource they protect: a file, or a handle of another library.
//!
//! A [`Guarded`] opens its resource only under the lock: lock, open, use, close, unlock. Closures
//! get a handle that they cannot keep, and errors of the close are returned.
//!
//! | resource | closures get |
//! | --- | --- |
//! | [`AppendFile`] | a buffered reader, or a buffered writer at the end of the file |
//! | [`Handle`] | a handle of another library, opened by the closures of the `Handle` |
//! | a [`PathBuf`](std::path::PathBuf) | the path of a directory, or of a file that a library opens and closes in one call |
//! | a type that implements [`Resource`] | the types of the implementation |
//!
//! [`guide::files`](crate::guide::files) describes the errors that this prevents, and the use with
//! HDF5, NetCDF and network file systems.

mod append;
mod error;
mod resource;

use crate::collective::access::Access;
use crate::error::{CollectiveError, LockError};
#[cfg(feature = "mpi")]
use crate::fingerprint::fingerprint;
pub use crate::guarded::append::AppendFile;
pub use crate::guarded::error::GuardedError;
pub use crate::guarded::resource::{Handle, Resource};
#[cfg(feature = "mpi")]
use crate::rsmpi::communicator::IntraCommunicator;
use crate::rwlock::controller::WindowController;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::time::Duration;

/// A lock of all ranks of a communicator that owns the resource it protects.
///
/// Only closures have access to the resource: many ranks at the same time by [`read`](Self::read),
/// one rank by [`write`](Self::write). Each call takes the lock, opens the resource, runs the
/// closure, closes the resource and releases the lock, in this order, even if the closure fails or
/// panics. So no rank has the file open, or parts of it in memory, without the lock. See
/// [`guide::files`](crate::guide::files) for the errors that this prevents.
///
/// A `Guarded` stays on the thread that made it. Dropping it is local.
///
/// ```no_run
/// use mpisync::prelude::*;
/// use std::io::Write;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let world = universe.world();
/// let mut log = Guarded::new(&world, AppendFile::new("log.txt"))?;
/// log.write(|file| writeln!(file, "rank {} was here", world.rank()))?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Guarded<R: Resource> {
    controller: WindowController,
    resource: R,
}

impl<R: Resource> Guarded<R> {
    /// Makes the lock on `comm`, and lets rank 0 [create](Resource::create) the resource if it does
    /// not exist. Collective; waits for rank 0.
    ///
    /// Use [`with_controller`](Self::with_controller) for another master or transport.
    ///
    /// # Errors
    /// [`GuardedError::Make`], also if the names of the resources differ between ranks.
    /// [`GuardedError::Create`] on rank 0, and then [`GuardedError::Call`] on the other ranks.
    #[cfg(feature = "mpi")]
    #[track_caller]
    pub fn new<C: IntraCommunicator>(
        comm: &C,
        resource: R,
    ) -> Result<Self, GuardedError<R::Error>> {
        let builder = WindowController::builder(comm).name(lock_name(&resource.name()));
        Self::with_controller(builder.build()?, resource)
    }

    /// Makes the lock on `comm`, and lets rank 0 make the resource, which the other ranks get a
    /// copy of. Collective; waits for rank 0. For a file whose name only one rank can determine.
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let log = Guarded::create(&universe.world(), || {
    ///     let path = std::env::current_dir()?.join(format!("log-{}.txt", std::process::id()));
    ///     Ok(AppendFile::new(path))
    /// })?;
    /// println!("all ranks write into {}", log.resource().path().display());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`GuardedError::Make`]. On rank 0, [`GuardedError::Use`] if `make` fails or
    /// [`GuardedError::Create`], and then [`GuardedError::Call`] on the other ranks.
    #[cfg(feature = "mpi")]
    #[track_caller]
    pub fn create<C: IntraCommunicator>(
        comm: &C,
        make: impl FnOnce() -> Result<R, R::Error>,
    ) -> Result<Self, GuardedError<R::Error>>
    where
        R: Serialize + DeserializeOwned,
    {
        let mut controller = WindowController::builder(comm).name("guarded").build()?;
        let access = controller.single_write_timeout(Duration::MAX)?;
        let resource = access.run(|_| {
            let resource = make().map_err(GuardedError::Use)?;
            create(&resource)?;
            Ok::<_, GuardedError<R::Error>>(resource)
        })?;
        Ok(Guarded {
            controller,
            resource,
        })
    }

    /// Makes a lock for this process alone, and creates the resource if it does not exist. Needs no
    /// MPI.
    ///
    /// # Errors
    /// [`GuardedError::Create`].
    #[track_caller]
    pub fn local(resource: R) -> Result<Self, GuardedError<R::Error>> {
        Self::with_controller(WindowController::local(), resource)
    }

    /// Makes a `Guarded` from a controller, and lets the controller's master
    /// [create](Resource::create) the resource if it does not exist. Collective; waits for the
    /// master.
    ///
    /// # Errors
    /// [`GuardedError::Create`] on the master, and then [`GuardedError::Call`] on the other ranks.
    #[track_caller]
    pub fn with_controller(
        mut controller: WindowController,
        resource: R,
    ) -> Result<Self, GuardedError<R::Error>> {
        let access = controller.single_write_timeout(Duration::MAX)?;
        access.run(|_| create(&resource))?;
        Ok(Guarded {
            controller,
            resource,
        })
    }

    /// Runs `read` with the resource opened for reading. Other ranks may read at the same time.
    /// Waits while another rank writes or waits to write. Not collective.
    ///
    /// # Errors
    /// [`GuardedError::Lock`], [`GuardedError::Open`], and [`GuardedError::Use`] with the error of
    /// `read`.
    #[track_caller]
    pub fn read<T>(
        &self,
        read: impl FnOnce(&mut R::Reader) -> Result<T, R::Error>,
    ) -> Result<T, GuardedError<R::Error>> {
        self.read_timeout(Duration::MAX, read)
    }

    /// Like [`read`](Self::read), but waits for at most `limit` for the lock. Not collective.
    ///
    /// # Errors
    /// Those of `read`, including [`LockError::Timeout`].
    #[track_caller]
    pub fn read_timeout<T>(
        &self,
        limit: Duration,
        read: impl FnOnce(&mut R::Reader) -> Result<T, R::Error>,
    ) -> Result<T, GuardedError<R::Error>> {
        // Declared first, because it must be dropped last.
        let _lock = self.controller.read_timeout(limit)?;
        let opened = self.resource.open_to_read();
        let mut reader = opened.map_err(|error| GuardedError::Open {
            name: self.resource.name(),
            error,
        })?;
        read(&mut reader).map_err(GuardedError::Use)
    }

    /// Runs `write` with the resource opened for writing. Waits until no other rank reads or
    /// writes. Not collective.
    ///
    /// # Errors
    /// [`GuardedError::Lock`], [`GuardedError::Open`], [`GuardedError::Use`] with the error of
    /// `write`, and [`GuardedError::Close`] if some of the written data may be missing.
    #[track_caller]
    pub fn write<T>(
        &mut self,
        write: impl FnOnce(&mut R::Writer) -> Result<T, R::Error>,
    ) -> Result<T, GuardedError<R::Error>> {
        self.write_timeout(Duration::MAX, write)
    }

    /// Like [`write`](Self::write), but waits for at most `limit` for the lock. Not collective.
    ///
    /// # Errors
    /// Those of `write`, including [`LockError::Timeout`].
    #[track_caller]
    pub fn write_timeout<T>(
        &mut self,
        limit: Duration,
        write: impl FnOnce(&mut R::Writer) -> Result<T, R::Error>,
    ) -> Result<T, GuardedError<R::Error>> {
        let _lock = self.controller.write_timeout(limit)?;
        open_and_write(&self.resource, write)
    }

    /// Runs `repair` with the resource opened for writing, in place of a rank that died while it wrote.
    /// Not collective; any rank may call it. Returns `None` if no rank did, also because another rank
    /// has repaired the resource already. Then the lock is usable again.
    ///
    /// # Errors
    /// Those of [`WindowController::take_over`], after which the lock is still poisoned, and those of
    /// [`write`](Self::write), after which it is usable.
    #[track_caller]
    pub fn take_over<T>(
        &mut self,
        repair: impl FnOnce(&mut R::Writer) -> Result<T, R::Error>,
    ) -> Result<Option<T>, GuardedError<R::Error>> {
        let lock = self.controller.take_over()?;
        let repaired = lock.map(|_lock| open_and_write(&self.resource, repair));
        repaired.transpose()
    }

    /// Makes the lock usable again after the death of a rank that wrote, with the resource as it is.
    /// Not collective; any rank may call it. Returns whether there was a death to clear.
    ///
    /// # Errors
    /// Those of [`WindowController::clear_poison`].
    #[track_caller]
    pub fn clear_poison(&mut self) -> Result<bool, LockError> {
        self.controller.clear_poison()
    }

    /// Runs `write` on the master, like [`write`](Self::write), and returns its value on all ranks.
    /// Collective; the other ranks wait until the master has closed the resource.
    ///
    /// # Errors
    /// On the master, those of `write`. On the other ranks, [`GuardedError::Call`] with the
    /// master's rank and the text of its error.
    #[track_caller]
    pub fn single_write<T>(
        &mut self,
        write: impl FnOnce(&mut R::Writer) -> Result<T, R::Error>,
    ) -> Result<T, GuardedError<R::Error>>
    where
        T: Serialize + DeserializeOwned,
    {
        self.single_write_on(self.controller.master(), write)
    }

    /// Like [`single_write`](Self::single_write), but runs on `rank`, which must be the same on all
    /// ranks. Collective.
    ///
    /// # Errors
    /// Those of `single_write`; [`CollectiveError::NoSuchRank`].
    #[track_caller]
    pub fn single_write_on<T>(
        &mut self,
        rank: i32,
        write: impl FnOnce(&mut R::Writer) -> Result<T, R::Error>,
    ) -> Result<T, GuardedError<R::Error>>
    where
        T: Serialize + DeserializeOwned,
    {
        let on = self.controller.on(rank)?;
        let access: Access<'_> = on.single_write_timeout(Duration::MAX)?;
        access.run(|_| open_and_write(&self.resource, write))
    }

    /// The resource, for example to read its path. Do not open it by other means.
    pub fn resource(&self) -> &R {
        &self.resource
    }

    /// The lock, for example for its [`rank`](WindowController::rank).
    pub fn controller(&self) -> &WindowController {
        &self.controller
    }

    /// The lock, for collective calls: `#[mpisync::collective(ctrl = log.controller_mut())]`.
    pub fn controller_mut(&mut self) -> &mut WindowController {
        &mut self.controller
    }

    /// Frees the memory of the lock on all ranks. Collective; waits for all ranks. The resource
    /// itself is not changed.
    ///
    /// # Errors
    /// Those of [`WindowController::close`].
    #[track_caller]
    pub fn close(self) -> Result<(), CollectiveError> {
        self.controller.close()
    }
}

impl<R: Resource> fmt::Debug for Guarded<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("resource", &self.resource.name())
            .field("controller", &self.controller)
            .finish()
    }
}

fn create<R: Resource>(resource: &R) -> Result<(), GuardedError<R::Error>> {
    resource.create().map_err(|error| GuardedError::Create {
        name: resource.name(),
        error,
    })
}

/// Opens the resource, writes and closes it. The caller holds the write lock, and releases it after
/// this has returned or unwound.
fn open_and_write<R: Resource, T>(
    resource: &R,
    write: impl FnOnce(&mut R::Writer) -> Result<T, R::Error>,
) -> Result<T, GuardedError<R::Error>> {
    let opened = resource.open_to_write();
    let writer = opened.map_err(|error| GuardedError::Open {
        name: resource.name(),
        error,
    })?;
    let mut opened = Opened {
        resource,
        writer: Some(writer),
    };
    let written = write(opened.writer.as_mut().expect("it is taken below"));
    // Dropping `opened` discards the writer.
    let value = written.map_err(GuardedError::Use)?;
    let writer = opened.writer.take().expect("it is taken here only");
    resource
        .close(writer)
        .map_err(|error| GuardedError::Close {
            name: resource.name(),
            error,
        })?;
    Ok(value)
}

/// A writer that is discarded unless it is taken out.
struct Opened<'a, R: Resource> {
    resource: &'a R,
    writer: Option<R::Writer>,
}

impl<R: Resource> Drop for Opened<'_, R> {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.take() {
            // The closure failed or panicked. Its error is the one to report.
            let _ = self.resource.discard(writer);
        }
    }
}

/// The name of the controller for a resource: the resource's name or, if that is too long, a
/// fingerprint of the name and its end.
#[cfg(feature = "mpi")]
fn lock_name(name: &str) -> String {
    const LONGEST: usize = 200;
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let print = format!("{:016x}…", fingerprint(name.as_bytes()));
    let start = name.len() - (LONGEST - print.len());
    let start = (start..).find(|at| name.is_char_boundary(*at));
    print + &name[start.expect("the end is a boundary")..]
}

#[cfg(all(test, feature = "mpi"))]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_still_its_own() {
        assert_eq!(lock_name("results.h5"), "results.h5");
        assert_eq!(lock_name(&"ä".repeat(100)), "ä".repeat(100));
        let tail = "ä".repeat(150);
        let [a, b] = ["a", "b"].map(|head| lock_name(&format!("{head}{tail}")));
        assert_ne!(a, b);
        for name in [a, b] {
            assert!((190..=200).contains(&name.len()), "{name}");
            assert!(name.ends_with("ää"));
        }
    }
}
