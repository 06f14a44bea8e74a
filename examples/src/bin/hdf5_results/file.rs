//! The results file as the resource of a lock.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use hdf5::{File, FileBuilder, file::FileCloseDegree};
use mpisync::guarded::Resource;
use mpisync_examples::results::plain;

/// An HDF5 file that is open only while its lock is held.
pub struct ResultsFile {
    path: PathBuf,
}

impl ResultsFile {
    /// The file at `path`. An existing file is replaced.
    pub fn new(path: &Path) -> Self {
        ResultsFile {
            path: path.to_owned(),
        }
    }

    fn open(&self, open: impl FnOnce(&FileBuilder) -> hdf5::Result<File>) -> anyhow::Result<File> {
        let mut builder = File::with_options();
        // By default HDF5 keeps a file open as long as any object in it is open.
        builder.with_fapl(|access| access.fclose_degree(FileCloseDegree::Strong));
        open(&builder).map_err(plain)
    }
}

impl Resource for ResultsFile {
    type Reader = File;
    type Writer = File;
    type Error = anyhow::Error;

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn create(&self) -> anyhow::Result<()> {
        self.close(self.open(|builder| builder.create(&self.path))?)
    }

    fn open_to_read(&self) -> anyhow::Result<File> {
        self.open(|builder| builder.open(&self.path))
    }

    fn open_to_write(&self) -> anyhow::Result<File> {
        self.open(|builder| builder.open_rw(&self.path))
    }

    fn close(&self, file: File) -> anyhow::Result<()> {
        // Closing one of several handles leaves the file open.
        ensure!(file.refcount() == 1, "a clone of the handle is still there");
        file.close().map_err(plain).context("HDF5 cannot close it")
    }
}
