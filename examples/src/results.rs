//! The results file: an ordinary HDF5 file, written through the ordinary (serial) HDF5 library.
//!
//! ```text
//! /                     attributes ranks, datasets, complete
//! /input                what all ranks read: SIZE numbers
//! /results/rank_0003/1  what rank 3 made of it in its dataset 1: input * (3 + 1) + 1
//! ```
//!
//! Nothing in here knows about other processes. Serial HDF5 keeps parts of a file in memory, so each function
//! that writes opens the file, writes and closes it again; that no other process does so at the same moment is
//! for the caller to see to.

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use hdf5::File;
use serde::{Deserialize, Serialize};

use crate::cli::Job;

/// What every rank needs to know about the file. One rank makes it, the others get it from there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Where the file is.
    pub path: PathBuf,
    /// How many ranks write into it.
    pub ranks: i32,
    /// How many datasets each of them writes.
    pub datasets: u32,
    /// How many numbers there are in a dataset.
    pub size: u32,
}

impl Header {
    /// The number of datasets that all ranks write together.
    pub fn total(&self) -> u64 {
        self.ranks as u64 * u64::from(self.datasets)
    }
}

/// Keeps HDF5 from putting locks of its own on the file.
///
/// They would not help here, since HDF5 does not wait for them: it fails at once. Some file systems have no such
/// locks, and then every open fails. To be called first thing in `main`, before any thread is started.
pub fn disable_hdf5_file_locks() {
    // SAFETY: called before MPI and HDF5 start, in a process that has one thread so far, so nobody else reads
    // the environment meanwhile.
    unsafe { std::env::set_var("HDF5_USE_FILE_LOCKING", "FALSE") };
}

/// Creates the file with its input and a group a rank.
///
/// # Errors
/// Where HDF5 fails, with its reason.
pub fn create(job: &Job, ranks: i32) -> anyhow::Result<Header> {
    let create = || -> hdf5::Result<Header> {
        let file = File::create(&job.file)?;
        attribute(&file, "ranks", ranks as u32)?;
        attribute(&file, "datasets", job.datasets)?;
        attribute(&file, "complete", 0)?;
        file.new_dataset_builder()
            .with_data(&input(job.size))
            .create("input")?;
        let results = file.create_group("results")?;
        for rank in 0..ranks {
            results.create_group(&group_name(rank))?;
        }
        file.close()?;
        Ok(Header {
            path: job.file.clone(),
            ranks,
            datasets: job.datasets,
            size: job.size,
        })
    };
    create().with_context(|| format!("cannot create {}", job.file.display()))
}

/// Reads the input that all ranks compute from.
///
/// # Errors
/// Where HDF5 fails, or the file has another size than its header.
pub fn read_input(header: &Header) -> anyhow::Result<Vec<f64>> {
    let read =
        || -> hdf5::Result<Vec<f64>> { File::open(&header.path)?.dataset("input")?.read_raw() };
    let input =
        read().with_context(|| format!("cannot read /input of {}", header.path.display()))?;
    ensure!(
        input.len() == header.size as usize,
        "/input has {} numbers, not {}",
        input.len(),
        header.size
    );
    Ok(input)
}

/// The result of one rank's computation number `dataset`: the part of the job that needs no turn.
pub fn compute(input: &[f64], rank: i32, dataset: u32) -> Vec<f64> {
    input
        .iter()
        .map(|x| x * f64::from(rank + 1) + f64::from(dataset))
        .collect()
}

/// Adds one result to the file.
///
/// # Errors
/// Where HDF5 fails, with its reason.
pub fn write(header: &Header, rank: i32, dataset: u32, result: &[f64]) -> anyhow::Result<()> {
    let write = || -> hdf5::Result<()> {
        let file = File::open_rw(&header.path)?;
        let group = file.group(&format!("results/{}", group_name(rank)))?;
        group
            .new_dataset_builder()
            .with_data(result)
            .create(dataset.to_string().as_str())?;
        file.close()
    };
    write().with_context(|| format!("cannot write {}", dataset_path(rank, dataset)))
}

/// Marks the file as complete.
///
/// # Errors
/// Where HDF5 fails, with its reason.
pub fn seal(path: &Path) -> anyhow::Result<()> {
    let seal = || -> hdf5::Result<()> {
        let file = File::open_rw(path)?;
        file.attr("complete")?.write_scalar(&1_u32)?;
        file.close()
    };
    seal().with_context(|| format!("cannot mark {} as complete", path.display()))
}

/// Reads again what `rank` wrote and compares every number; how many datasets there were.
///
/// # Errors
/// Names the first dataset that is missing or has another content than it should.
pub fn verify(header: &Header, rank: i32) -> anyhow::Result<u64> {
    let file = File::open(&header.path)
        .with_context(|| format!("cannot open {}", header.path.display()))?;
    let input = input(header.size);
    for dataset in 0..header.datasets {
        verify_dataset(&file, rank, dataset, &compute(&input, rank, dataset))?;
    }
    Ok(u64::from(header.datasets))
}

/// Compares one dataset of `file` with what should be in it.
fn verify_dataset(file: &File, rank: i32, dataset: u32, expected: &[f64]) -> anyhow::Result<()> {
    let path = dataset_path(rank, dataset);
    let found: Vec<f64> = file
        .dataset(&path)
        .and_then(|dataset| dataset.read_raw())
        .with_context(|| format!("cannot read {path}"))?;
    ensure!(
        found.len() == expected.len(),
        "{path} has {} numbers, not {}",
        found.len(),
        expected.len()
    );
    if let Some(i) = (0..found.len()).find(|&i| found[i] != expected[i]) {
        anyhow::bail!("{path}[{i}] is {}, not {}", found[i], expected[i]);
    }
    Ok(())
}

/// The numbers of `/input`: whole, and small enough for every result to be exact.
fn input(size: u32) -> Vec<f64> {
    (0..size)
        .map(|i| f64::from(i.wrapping_mul(2_654_435_761) >> 12))
        .collect()
}

fn attribute(file: &File, name: &str, value: u32) -> hdf5::Result<()> {
    file.new_attr::<u32>().create(name)?.write_scalar(&value)
}

fn group_name(rank: i32) -> String {
    format!("rank_{rank:04}")
}

fn dataset_path(rank: i32, dataset: u32) -> String {
    format!("/results/{}/{dataset}", group_name(rank))
}
