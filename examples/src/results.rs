//! The results file: an ordinary HDF5 file, written by the ordinary (serial) HDF5 library.
//!
//! ```text
//! /                     attributes ranks, datasets, complete, and input: numbers that all ranks compute from
//! /results/rank_0003/1  the result of rank 3 for its dataset 1
//! ```
//!
//! This module knows nothing of other processes. Serial HDF5 keeps parts of a file in memory, so
//! the file has to be opened, used and closed while no other process has it open for writing.
//! `hdf5_results` leaves that to `mpisync::Guarded`; the functions with a path ([`create`],
//! [`write()`], …) open and close the file, and the caller ensures the rest.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail, ensure};
use hdf5::File;
use serde::{Deserialize, Serialize};

use crate::cli::Job;

/// The number of input numbers: few enough for an attribute.
const INPUT: u32 = 1000;

/// The properties of the file that every rank needs. One rank makes it and sends it to the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The path of the file.
    pub path: PathBuf,
    /// The number of ranks that write into it.
    pub ranks: i32,
    /// The number of datasets of each rank.
    pub datasets: u32,
    /// The number of numbers in a dataset.
    pub size: u32,
}

impl Header {
    /// The number of datasets of all ranks together.
    pub fn total(&self) -> u64 {
        u64::from(self.ranks.unsigned_abs()) * u64::from(self.datasets)
    }
}

/// Keeps HDF5 from locking the file itself.
///
/// Its locks would not help here, because HDF5 does not wait for them: it fails at once. Some file
/// systems have no such locks, and then every open fails. Must be called at the beginning of
/// `main`, before any thread is started.
pub fn disable_hdf5_file_locks() {
    // SAFETY: called before MPI and HDF5 start, in a process that has one thread so far, so nobody
    // else reads the environment meanwhile.
    unsafe { std::env::set_var("HDF5_USE_FILE_LOCKING", "FALSE") };
}

/// Creates the file with its input and a group per rank.
///
/// # Errors
/// If HDF5 fails, with its reason.
pub fn create(job: &Job, ranks: i32) -> anyhow::Result<Header> {
    let file = File::create(&job.file)
        .map_err(plain)
        .with_context(|| format!("cannot create {}", job.file.display()))?;
    let header = fill(&file, job, ranks)?;
    file.close().map_err(plain)?;
    Ok(header)
}

/// Fills a new file with its input and a group per rank.
///
/// # Errors
/// If HDF5 fails, with its reason.
pub fn fill(file: &File, job: &Job, ranks: i32) -> anyhow::Result<Header> {
    let fill = || -> hdf5::Result<()> {
        let attributes = [
            ("ranks", ranks.unsigned_abs()),
            ("datasets", job.datasets),
            ("complete", 0),
        ];
        for (name, value) in attributes {
            file.new_attr::<u32>().create(name)?.write_scalar(&value)?;
        }
        file.new_attr_builder()
            .with_data(&input())
            .create("input")?;
        let results = file.create_group("results")?;
        for rank in 0..ranks {
            results.create_group(&group_name(rank))?;
        }
        Ok(())
    };
    fill()
        .map_err(plain)
        .with_context(|| format!("cannot fill {}", job.file.display()))?;
    Ok(Header {
        path: job.file.clone(),
        ranks,
        datasets: job.datasets,
        size: job.size,
    })
}

/// Reads the input that all ranks compute from.
///
/// # Errors
/// If HDF5 fails, with its reason.
pub fn read_input(file: &File) -> anyhow::Result<Vec<f64>> {
    file.attr("input")
        .and_then(|input| input.read_raw())
        .map_err(plain)
        .context("cannot read the input")
}

/// The result of a rank for its dataset number `dataset`: the part of the job that needs no lock.
pub fn compute(header: &Header, input: &[f64], rank: i32, dataset: u32) -> Vec<f64> {
    let (factor, summand) = (f64::from(rank + 1), f64::from(dataset));
    let numbers = input.iter().cycle().take(header.size as usize);
    numbers.map(|x| x * factor + summand).collect()
}

/// Opens the file, adds one result to it and closes it.
///
/// # Errors
/// If HDF5 fails, with its reason.
pub fn write(header: &Header, rank: i32, dataset: u32, result: &[f64]) -> anyhow::Result<()> {
    let file = open_rw(&header.path)?;
    add(&file, rank, dataset, result)?;
    file.close().map_err(plain)
}

/// Adds one result to the file.
///
/// # Errors
/// If HDF5 fails, with its reason.
pub fn add(file: &File, rank: i32, dataset: u32, result: &[f64]) -> anyhow::Result<()> {
    let path = dataset_path(rank, dataset);
    let dataset = file.new_dataset_builder().with_data(result);
    dataset
        .create(path.as_str())
        .map(drop)
        .map_err(plain)
        .with_context(|| format!("cannot write {path}"))
}

/// Marks the file as complete.
///
/// # Errors
/// If HDF5 fails, with its reason.
pub fn seal(file: &File) -> anyhow::Result<()> {
    file.attr("complete")
        .and_then(|complete| complete.write_scalar(&1_u32))
        .map_err(plain)
        .context("cannot mark the file as complete")
}

/// Opens the file for writing.
///
/// # Errors
/// If HDF5 fails, with its reason.
pub fn open_rw(path: &Path) -> anyhow::Result<File> {
    File::open_rw(path)
        .map_err(plain)
        .with_context(|| format!("cannot open {}", path.display()))
}

/// Opens the file for reading.
///
/// # Errors
/// If HDF5 fails, with its reason.
pub fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path)
        .map_err(plain)
        .with_context(|| format!("cannot open {}", path.display()))
}

/// Reads the results of `rank` and compares every number.
///
/// # Errors
/// Names the first dataset that is missing or has wrong contents.
pub fn verify(file: &File, header: &Header, rank: i32) -> anyhow::Result<()> {
    inspect(file, header, rank).into_iter().collect()
}

/// Reads the results of `rank`. Returns for each of its datasets whether it is correct.
pub fn inspect(file: &File, header: &Header, rank: i32) -> Vec<anyhow::Result<()>> {
    let input = input();
    let inspect = |dataset| {
        let path = dataset_path(rank, dataset);
        compare(file, &path, &compute(header, &input, rank, dataset))
    };
    (0..header.datasets).map(inspect).collect()
}

/// Compares one dataset with its expected contents.
fn compare(file: &File, path: &str, expected: &[f64]) -> anyhow::Result<()> {
    let read = || -> anyhow::Result<Vec<f64>> {
        let dataset = file.dataset(path)?;
        // A damaged file can claim any size, so the size is checked before memory is allocated for
        // it.
        let size = dataset.size();
        let right = expected.len();
        ensure!(size == right, "it has {size} numbers, not {right}");
        Ok(dataset.read_raw()?)
    };
    let found = read().with_context(|| format!("cannot read {path}"))?;
    if let Some(i) = (0..found.len()).find(|&i| found[i] != expected[i]) {
        bail!("{path}[{i}] is {}, not {}", found[i], expected[i]);
    }
    Ok(())
}

/// Runs `edit` on a file and closes it.
///
/// HDF5 closes a file only when no object in it is open any more, so `edit` has to drop its values
/// first.
///
/// # Errors
/// If HDF5 fails.
pub fn edit(file: File, edit: impl FnOnce(&File) -> hdf5::Result<()>) -> hdf5::Result<()> {
    edit(&file)?;
    file.close()
}

/// The error as a short text. In HDF5's text of a system error the reason is between addresses and
/// counters.
pub fn plain(error: hdf5::Error) -> anyhow::Error {
    let text = error.to_string();
    let reason = text.split_once("error message = '");
    match reason.and_then(|(_, reason)| reason.split_once('\'')) {
        Some((reason, _)) => anyhow!("{reason}"),
        None => anyhow!(text),
    }
}

/// The numbers of the input: integers small enough for every result to be exact.
fn input() -> Vec<f64> {
    let scatter = |i: u32| i.wrapping_mul(2_654_435_761) >> 12;
    (0..INPUT).map(|i| f64::from(scatter(i))).collect()
}

fn group_name(rank: i32) -> String {
    format!("rank_{rank:04}")
}

fn dataset_path(rank: i32, dataset: u32) -> String {
    format!("/results/{}/{dataset}", group_name(rank))
}
