//! The results: one HDF5 file that survives the death of its writer.
//!
//! ```text
//! /     attribute tasks: the number of tasks of the sweep
//! /017  the visits to each part of the range for task 017; attributes r, steps and exponent
//! ```
//!
//! HDF5 writes its cached data in any order, so a process that dies may leave an unusable file. Two
//! measures help:
//!
//! - While the file is written it has another name. A file under its own name is complete.
//! - Each result is first written to a small file in its task's folder. If the large file is
//!   missing, it is rebuilt from the small ones.
//!
//! This module knows nothing of other processes: the caller ensures that no other process writes at
//! the same time.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use hdf5::File;
use mpisync_examples::results::{edit, plain};

use crate::{
    beside,
    map::{Outcome, Parameter},
};

/// The ending of a file's name while it is written.
const UNFINISHED: &str = ".unfinished";

/// The file with the results.
pub struct Store {
    path: PathBuf,
    tasks: usize,
}

impl Store {
    /// The file of a sweep of this many tasks.
    pub fn new(path: PathBuf, tasks: usize) -> Self {
        Store { path, tasks }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tasks whose results are in the file, in order; none if there is no file.
    ///
    /// # Errors
    /// If it cannot be read or belongs to another sweep.
    pub fn names(&self) -> anyhow::Result<Option<Vec<String>>> {
        if !self.path.exists() {
            return Ok(None);
        }
        let mut names = self.open(&self.path)?.member_names().map_err(plain)?;
        names.sort_unstable();
        Ok(Some(names))
    }

    /// Adds a result, or replaces it with the same.
    ///
    /// # Errors
    /// If HDF5 fails, with its reason. Then the file has to be rebuilt.
    pub fn add(&self, name: &str, outcome: &Outcome) -> anyhow::Result<()> {
        let unfinished = beside(&self.path, UNFINISHED);
        let add = || -> anyhow::Result<()> {
            fs::rename(&self.path, &unfinished)?;
            let file = File::open_rw(&unfinished).map_err(plain)?;
            edit(file, |file| put(file, name, outcome)).map_err(plain)?;
            Ok(fs::rename(&unfinished, &self.path)?)
        };
        add().with_context(|| format!("cannot add {name} to {}", self.path.display()))
    }

    /// The result of a task.
    ///
    /// # Errors
    /// If it is missing, or HDF5 fails.
    pub fn read(&self, name: &str) -> anyhow::Result<Outcome> {
        self.read_from(&self.path, name)
    }

    /// Keeps a result in its task's folder.
    ///
    /// # Errors
    /// If HDF5 fails, with its reason.
    pub fn keep_copy(&self, folder: &Path, name: &str, outcome: &Outcome) -> anyhow::Result<()> {
        self.create(&copy_in(folder), |file| {
            put(file, name, outcome).map_err(plain)
        })
    }

    /// Whether a result is in the folder of its task.
    pub fn has_copy(&self, folder: &Path) -> bool {
        copy_in(folder).exists()
    }

    /// Builds the file from the results in the folders of these tasks.
    ///
    /// # Errors
    /// If one of them cannot be read or belongs to another sweep, or HDF5 fails.
    pub fn build<'n>(
        &self,
        root: &Path,
        names: impl Iterator<Item = &'n str>,
    ) -> anyhow::Result<()> {
        self.create(&self.path, |file| {
            for name in names {
                let outcome = self.read_from(&copy_in(&root.join(name)), name)?;
                put(file, name, &outcome).map_err(plain)?;
            }
            Ok(())
        })
    }

    /// Makes a file, which gets its name once it is complete.
    fn create(
        &self,
        path: &Path,
        fill: impl FnOnce(&File) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let unfinished = beside(path, UNFINISHED);
        let create = || -> anyhow::Result<()> {
            let file = File::create(&unfinished).map_err(plain)?;
            let tasks = file.new_attr::<u64>().create("tasks").map_err(plain)?;
            tasks.write_scalar(&(self.tasks as u64)).map_err(plain)?;
            fill(&file)?;
            drop(tasks); // HDF5 closes a file when nothing in it is open any more.
            file.close().map_err(plain)?;
            Ok(fs::rename(&unfinished, path)?)
        };
        create().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Opens a file to read it, and checks that it belongs to this sweep.
    fn open(&self, path: &Path) -> anyhow::Result<File> {
        let open = || -> hdf5::Result<(File, u64)> {
            let file = File::open(path)?;
            let tasks = file.attr("tasks")?.read_scalar()?;
            Ok((file, tasks))
        };
        let (file, tasks) = (open().map_err(plain)).with_context(|| {
            let path = path.display();
            format!("{path} is no file of results; if it was one, remove it and start again")
        })?;
        ensure!(
            tasks == self.tasks as u64,
            "{} is of a sweep of {tasks} tasks, not {}; name another directory and file",
            path.display(),
            self.tasks
        );
        Ok(file)
    }

    fn read_from(&self, path: &Path, name: &str) -> anyhow::Result<Outcome> {
        let file = self.open(path)?;
        get(&file, name)
            .map_err(plain)
            .with_context(|| format!("cannot read {name} in {}", path.display()))
    }
}

/// The path of a task's result in its folder.
fn copy_in(folder: &Path) -> PathBuf {
    folder.join("result.h5")
}

fn put(file: &File, name: &str, outcome: &Outcome) -> hdf5::Result<()> {
    if file.link_exists(name) {
        file.unlink(name)?;
    }
    let dataset = file.new_dataset_builder().with_data(&outcome.visits);
    let dataset = dataset.create(name)?;
    let Parameter { r, steps } = outcome.parameter;
    for (name, value) in [("r", r), ("exponent", outcome.exponent)] {
        let attribute = dataset.new_attr::<f64>().create(name)?;
        attribute.write_scalar(&value)?;
    }
    dataset
        .new_attr::<u64>()
        .create("steps")?
        .write_scalar(&steps)
}

fn get(file: &File, name: &str) -> hdf5::Result<Outcome> {
    let dataset = file.dataset(name)?;
    Ok(Outcome {
        parameter: Parameter {
            r: dataset.attr("r")?.read_scalar()?,
            steps: dataset.attr("steps")?.read_scalar()?,
        },
        exponent: dataset.attr("exponent")?.read_scalar()?,
        visits: dataset.read_raw()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, process};

    /// A directory with the folders of three tasks, for the duration of a test.
    struct Dir(PathBuf);

    impl Dir {
        fn new(test: &str) -> (Self, Store) {
            let dir = env::temp_dir().join(format!("sweep-{test}-{}", process::id()));
            for name in ["0", "1", "2"] {
                fs::create_dir_all(dir.join(name)).unwrap();
            }
            let store = Store::new(dir.join("results.h5"), 3);
            (Dir(dir), store)
        }

        fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn outcome(task: usize) -> Outcome {
        Outcome {
            parameter: Parameter::of(task, 3),
            exponent: -0.25 * task as f64,
            visits: vec![task as u64; 4],
        }
    }

    #[test]
    fn a_result_is_there_once_however_often_it_is_added() {
        let (dir, store) = Dir::new("once");
        assert_eq!(store.names().unwrap(), None);
        store.build(dir.path(), [].into_iter()).unwrap();
        for task in [2, 0, 2] {
            store.add(&task.to_string(), &outcome(task)).unwrap();
        }
        assert_eq!(store.names().unwrap().unwrap(), ["0", "2"]);
        assert_eq!(store.read("2").unwrap(), outcome(2));
        assert!(store.read("1").is_err());
    }

    #[test]
    fn a_file_that_was_not_finished_is_built_again() {
        let (dir, store) = Dir::new("again");
        for task in [0, 1] {
            let name = task.to_string();
            let folder = dir.path().join(&name);
            assert!(!store.has_copy(&folder));
            store.keep_copy(&folder, &name, &outcome(task)).unwrap();
            assert!(store.has_copy(&folder));
        }
        fs::write(dir.path().join("results.h5.unfinished"), "half a file").unwrap();
        assert_eq!(store.names().unwrap(), None);
        store.build(dir.path(), ["0", "1"].into_iter()).unwrap();
        assert_eq!(store.names().unwrap().unwrap(), ["0", "1"]);
        assert_eq!(store.read("1").unwrap(), outcome(1));
        assert!(!dir.path().join("results.h5.unfinished").exists());
    }

    #[test]
    fn other_files_are_left_alone() {
        let (dir, store) = Dir::new("other");
        store.build(dir.path(), [].into_iter()).unwrap();
        let other = Store::new(store.path().to_owned(), 4);
        let error = other.names().unwrap_err().to_string();
        assert!(error.contains("a sweep of 3 tasks, not 4"), "{error}");
        fs::write(store.path(), "a letter").unwrap();
        let error = store.names().unwrap_err().to_string();
        assert!(error.contains("no file of results"), "{error}");
    }
}
