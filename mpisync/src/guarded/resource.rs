//! What a [`Guarded`](super::Guarded) owns: how it is opened and closed.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

/// Something that the ranks share, and how a rank opens and closes it.
///
/// A [`Guarded`](super::Guarded) calls these functions, each of them under its lock: it opens after
/// the lock is there and closes before the lock is let go. So a library that keeps parts of a file
/// in memory has nothing in memory while another rank has the lock.
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
///     // A rank that dies in the middle leaves the old file or the new one.
///     fn close(&self, total: u64) -> io::Result<()> {
///         let new = self.0.with_extension("new");
///         fs::write(&new, total.to_string())?;
///         fs::rename(&new, &self.0)
///     }
///     // The closure failed: the old number stays.
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
    /// What a reader uses while it has the lock. It is dropped before the lock is let go.
    type Reader;
    /// What the writer uses while it has the lock. It is given to [`close`](Self::close), or to
    /// [`discard`](Self::discard), before the lock is let go.
    type Writer;
    /// Why something went wrong.
    type Error: fmt::Debug + fmt::Display;

    /// What it is called in messages. Must be the same on all ranks, which is checked: put a file's
    /// path here, and ranks with different paths get an error.
    fn name(&self) -> String;

    /// Creates it if it is not there. One rank does this, when the [`Guarded`](super::Guarded) is
    /// made; the others wait. Does nothing by default.
    ///
    /// # Errors
    /// The other ranks get the text of it.
    fn create(&self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Opens it for reading. Several ranks may have it open for reading at the same time.
    ///
    /// # Errors
    /// Why it cannot be opened.
    fn open_to_read(&self) -> Result<Self::Reader, Self::Error>;

    /// Opens it for writing. No other rank has it open.
    ///
    /// # Errors
    /// Why it cannot be opened.
    fn open_to_write(&self) -> Result<Self::Writer, Self::Error>;

    /// Writes out what is still in memory and closes it.
    ///
    /// # Errors
    /// Why something may not have been written; [`Guarded::write`](super::Guarded::write) returns
    /// it.
    fn close(&self, writer: Self::Writer) -> Result<(), Self::Error>;

    /// Closes it after the closure has returned an error or has panicked. The same as
    /// [`close`](Self::close) by default; override it where a half-done change must not be kept.
    ///
    /// # Errors
    /// Nobody gets it: the closure's own error is the one to report.
    fn discard(&self, writer: Self::Writer) -> Result<(), Self::Error> {
        self.close(writer)
    }
}

/// A path that is opened by other means: a directory, or a file of a library that takes a path.
/// What the closure opens with it has to be closed in the closure.
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

/// A handle of another library, which closures open and close.
///
/// It says in three lines what an implementation of [`Resource`] says in ten. For HDF5, see the
/// [module](super).
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
    /// A handle that is called `name` in messages. `close` gets the handle of a writer; it has to
    /// close it, not only to flush it.
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
