//! A file that the ranks append to.

use crate::guarded::Resource;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::io::{BufReader, BufWriter, Write};
use std::os::fd::IntoRawFd;
use std::path::{Path, PathBuf};

/// A file to which ranks append: lines of text, a CSV table, a log.
///
/// One rank creates the file, empty, if it does not exist. The other ranks only open it. A rank
/// that does not find it, because its node has a directory of its own under that path, gets an
/// error.
///
/// ```
/// use mpisync::guarded::{AppendFile, Guarded};
/// use std::io::{BufRead, Write};
///
/// # let path = std::env::temp_dir().join(format!("mpisync-append-{}", std::process::id()));
/// let mut table = Guarded::local(AppendFile::new(&path))?;
/// table.write(|file| writeln!(file, "rank,result"))?;
/// table.write(|file| writeln!(file, "0,{}", 1.5))?;
/// let lines = table.read(|file| file.lines().collect::<Result<Vec<_>, _>>())?;
/// assert_eq!(lines, ["rank,result", "0,1.5"]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AppendFile {
    path: PathBuf,
    durable: bool,
}

impl AppendFile {
    /// Names the file at `path`. Does not open it.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        AppendFile {
            path: path.into(),
            durable: false,
        }
    }

    /// Makes each write wait until the data is on disk (`fdatasync`). The data then survives a
    /// crash of the machine, and late errors of a network file system are reported. Costs some
    /// milliseconds per call.
    #[must_use = "it returns the file that is written so"]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Resource for AppendFile {
    type Reader = BufReader<File>;
    type Writer = BufWriter<File>;
    type Error = io::Error;

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn create(&self) -> io::Result<()> {
        let file = File::options().append(true).create(true).open(&self.path)?;
        close(file)
    }

    fn open_to_read(&self) -> io::Result<BufReader<File>> {
        File::open(&self.path).map(BufReader::new)
    }

    fn open_to_write(&self) -> io::Result<BufWriter<File>> {
        let file = File::options().append(true).open(&self.path)?;
        Ok(BufWriter::new(file))
    }

    fn close(&self, mut writer: BufWriter<File>) -> io::Result<()> {
        let flushed = writer.flush();
        // Data that could not be written now must not be written later, when the writer is dropped.
        let (file, _unwritten) = writer.into_parts();
        flushed?;
        if self.durable {
            file.sync_data()?;
        }
        close(file)
    }
}

/// Closes a file and returns the error, which a drop would ignore. A network file system may report
/// a failed write only here.
fn close(file: File) -> io::Result<()> {
    // SAFETY: the descriptor is open and has no other owner, because `file` has given it up. It is
    // not used again, even if closing fails: Linux has released it then.
    unsafe { rustix::io::try_close(file.into_raw_fd()) }.map_err(io::Error::from)
}
