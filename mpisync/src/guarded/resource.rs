//! The resource of a [`Guarded`](super::Guarded): how it is opened and closed.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// A resource that ranks share, and how a rank opens and closes it.
///
/// A [`Guarded`](super::Guarded) calls these functions under its lock: it opens the resource after
/// it has taken the lock, and closes it before it releases the lock. So a library that caches parts
/// of a file has an empty cache while another rank holds the lock.
///
/// ```
/// use mpisync::guarded::{Guarded, Resource};
/// use std::path::PathBuf;
/// use std::{fs, io};
///
/// /// A number in a file.
/// struct Total(PathBuf);
///
/// impl Resource for Total {
///     type Reader = u64;
///     type Writer = u64;
///     type Error = io::Error;
///
///     fn name(&self) -> String {
///         self.0.display().to_string()
///     }
///     fn create(&self) -> io::Result<()> {
///         fs::write(&self.0, "0")
///     }
///     fn open_to_read(&self) -> io::Result<u64> {
///         fs::read_to_string(&self.0)?.parse().map_err(io::Error::other)
///     }
///     fn open_to_write(&self) -> io::Result<u64> {
///         self.open_to_read()
///     }
///     // If the rank dies during this, the file is the old one or the new one.
///     fn close(&self, total: u64) -> io::Result<()> {
///         let new = self.0.with_extension("new");
///         fs::write(&new, total.to_string())?;
///         fs::rename(&new, &self.0)
///     }
///     // The closure failed, so the old number stays.
///     fn discard(&self, _: u64) -> io::Result<()> {
///         Ok(())
///     }
/// }
///
/// # let dir = std::env::temp_dir().join(format!("mpisync-total-{}", std::process::id()));
/// # fs::create_dir_all(&dir)?;
/// # let path = dir.join("total");
/// let mut total = Guarded::local(Total(path))?;
/// total.write(|total| {
///     *total += 5;
///     Ok(())
/// })?;
/// assert_eq!(total.read(|total| Ok(*total))?, 5);
/// # fs::remove_dir_all(&dir)?;
/// # Ok::<(), io::Error>(())
/// ```
pub trait Resource {
    /// The reader's handle. It is dropped before the lock is released.
    type Reader;
    /// The writer's handle. It is passed to [`close`](Self::close) or [`discard`](Self::discard)
    /// before the lock is released.
    type Writer;
    /// The error type.
    type Error: fmt::Debug + fmt::Display;

    /// The name of the resource in messages. It must be the same on all ranks; this is checked.
    /// Include the path of a file, so that ranks with different paths get an error.
    fn name(&self) -> String;

    /// Creates the resource if it does not exist. Called on one rank when the
    /// [`Guarded`](super::Guarded) is made; the other ranks wait. Does nothing by default.
    ///
    /// # Errors
    /// The cause. The other ranks get its text.
    fn create(&self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Opens the resource for reading. Several ranks may have it open for reading at the same time.
    ///
    /// # Errors
    /// The cause.
    fn open_to_read(&self) -> Result<Self::Reader, Self::Error>;

    /// Opens the resource for writing. No other rank has it open.
    ///
    /// # Errors
    /// The cause.
    fn open_to_write(&self) -> Result<Self::Writer, Self::Error>;

    /// Writes all buffered data and closes the resource.
    ///
    /// # Errors
    /// The reason why some data may not have been written.
    /// [`Guarded::write`](super::Guarded::write) returns it.
    fn close(&self, writer: Self::Writer) -> Result<(), Self::Error>;

    /// Closes the resource after the closure has returned an error or panicked. Calls
    /// [`close`](Self::close) by default. Override it if an incomplete change must not be kept.
    ///
    /// # Errors
    /// The error is ignored; the closure's error is reported.
    fn discard(&self, writer: Self::Writer) -> Result<(), Self::Error> {
        self.close(writer)
    }
}

/// A path that the closure opens by itself: a directory, or a file of a library that takes a path.
/// The closure must close everything that it opens.
impl Resource for PathBuf {
    type Reader = PathBuf;
    type Writer = PathBuf;
    type Error = Box<dyn Error + Send + Sync>;

    fn name(&self) -> String {
        self.display().to_string()
    }

    fn open_to_read(&self) -> Result<PathBuf, Self::Error> {
        Ok(self.clone())
    }

    fn open_to_write(&self) -> Result<PathBuf, Self::Error> {
        Ok(self.clone())
    }

    fn close(&self, _: PathBuf) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// A handle of another library that closures open and close.
///
/// It needs less code than an implementation of [`Resource`]. For HDF5, see
/// [`guide::files`](crate::guide::files).
///
/// ```
/// use mpisync::guarded::{Guarded, Handle};
/// use std::fs::File;
/// use std::io::{self, Read, Write};
///
/// # let path = std::env::temp_dir().join(format!("mpisync-handle-{}", std::process::id()));
/// # File::create(&path)?;
/// let mut file = Guarded::local(Handle::new(
///     path.display(),
///     || File::open(&path),
///     || File::create(&path),
///     |file| file.sync_all(),
/// ))?;
/// file.write(|file| file.write_all(b"one"))?;
/// let text = file.read(|file| io::read_to_string(file))?;
/// assert_eq!(text, "one");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), io::Error>(())
/// ```
pub struct Handle<'f, H, E> {
    name: String,
    open_to_read: Open<'f, H, E>,
    open_to_write: Open<'f, H, E>,
    close: Box<dyn Fn(H) -> Result<(), E> + 'f>,
}

type Open<'f, H, E> = Box<dyn Fn() -> Result<H, E> + 'f>;

impl<'f, H, E> Handle<'f, H, E> {
    /// Makes a handle whose name in messages is `name`. `close` gets the handle of a writer and
    /// must close it; to flush it is not enough.
    pub fn new(
        name: impl fmt::Display,
        open_to_read: impl Fn() -> Result<H, E> + 'f,
        open_to_write: impl Fn() -> Result<H, E> + 'f,
        close: impl Fn(H) -> Result<(), E> + 'f,
    ) -> Self {
        Handle {
            name: name.to_string(),
            open_to_read: Box::new(open_to_read),
            open_to_write: Box::new(open_to_write),
            close: Box::new(close),
        }
    }
}

impl<H, E: fmt::Debug + fmt::Display> Resource for Handle<'_, H, E> {
    type Reader = H;
    type Writer = H;
    type Error = E;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn open_to_read(&self) -> Result<H, E> {
        (self.open_to_read)()
    }

    fn open_to_write(&self) -> Result<H, E> {
        (self.open_to_write)()
    }

    fn close(&self, handle: H) -> Result<(), E> {
        (self.close)(handle)
    }
}

impl<H, E> fmt::Debug for Handle<'_, H, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.name).finish()
    }
}
