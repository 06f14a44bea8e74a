//! Threads of all ranks share a cache in a file: what one of them has computed, no other one computes.
//!
//! Each rank has a pool of threads. They look into the file at the same time, under the read lock of a
//! controller that they share, and one thread of one rank writes. At the end one rank publishes all values
//! in an array, which the threads of all ranks read at the same time.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, ensure};
use clap::Parser;
use mpisync::SharedController;
use mpisync::ndarray::Ix1;
use mpisync::prelude::*;
use mpisync_examples::{cli, sum::sum};
use rayon::prelude::*;

/// Computes values on threads of all ranks, each value once
#[derive(Parser)]
struct Args {
    /// The cache; an existing file is replaced
    file: PathBuf,
    /// How many values there are
    #[arg(default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    values: u32,
    /// Threads of each rank
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
}

fn main() -> ExitCode {
    mpisync::run(|world| cli::run(world, |args: Args| run(world, &args)))
}

fn run(world: &SimpleCommunicator, args: &Args) -> anyhow::Result<String> {
    let threads = args.threads as usize;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?;
    let mut ctrl = WindowController::builder(world).threads(threads).build()?;
    create(&mut ctrl, &args.file)?;

    let cache = Cache {
        lock: ctrl.shared()?,
        file: &args.file,
    };
    // All ranks need all values, each in another order.
    let rank = world.rank() as u32;
    let values = 0..args.values;
    let computed = pool.install(|| {
        let here = values.into_par_iter().map(|index| {
            let key = (index + rank * 17) % args.values;
            let (value, is_new) = cache.get(key)?;
            ensure!(value == compute(key), "a wrong value of {key}");
            Ok(u64::from(is_new))
        });
        here.sum::<anyhow::Result<u64>>()
    })?;
    drop(cache);

    let all = sum(world, computed);
    let lines = verify(&mut ctrl, &args.file, args.values)?;
    ensure!(all == u64::from(args.values), "{all} values were computed");

    // The threads of all ranks read the published values at the same time.
    let mut published = Region::<f64, Ix1>::new(world, [args.values as usize])?;
    published.update(|values| values.as_slice_mut().copy_from_slice(&lines))?;
    let reading = published.read();
    let values = reading.view();
    let is_right = pool.install(|| {
        let values = values.as_slice().context("one row")?;
        let keys = 0..args.values;
        anyhow::Ok(
            keys.into_par_iter()
                .zip(values)
                .all(|(key, value)| *value == compute(key)),
        )
    })?;
    ensure!(is_right, "a wrong value was published");
    Ok(format!("verified: {all} values, each computed once"))
}

/// One rank creates the file; the others wait for it.
#[mpisync::single_write]
fn create(ctrl: &mut WindowController, file: &Path) -> anyhow::Result<()> {
    File::create(file)?;
    Ok(())
}

/// Values in a file, in any order, and the lock of that file.
struct Cache<'a> {
    lock: SharedController<'a>,
    file: &'a Path,
}

impl Cache<'_> {
    /// The value of `key`, and whether this call has computed it.
    fn get(&self, key: u32) -> anyhow::Result<(f64, bool)> {
        let found = self.lock.read_with(|_| self.find(key))?;
        if let Some(value) = found {
            return Ok((value, false));
        }
        let _writing = self.lock.write();
        // Another thread may have been faster.
        if let Some(value) = self.find(key)? {
            return Ok((value, false));
        }
        let value = compute(key);
        let mut file = OpenOptions::new().append(true).open(self.file)?;
        file.write_all(format!("{key} {value}\n").as_bytes())?;
        Ok((value, true))
    }

    /// The value in the file; only under the lock.
    fn find(&self, key: u32) -> anyhow::Result<Option<f64>> {
        let entries = entries(self.file)?;
        Ok(entries
            .into_iter()
            .find_map(|(there, value)| (there == key).then_some(value)))
    }
}

fn compute(key: u32) -> f64 {
    f64::from(key).sqrt()
}

fn entries(file: &Path) -> anyhow::Result<Vec<(u32, f64)>> {
    let lines = BufReader::new(File::open(file)?).lines();
    let entries = lines.map(|line| {
        let line = line?;
        let (key, value) = line.split_once(' ').context("a torn line")?;
        Ok((key.parse()?, value.parse()?))
    });
    entries.collect()
}

/// Checks that the cache has each value once. Returns them in order.
#[mpisync::collective]
fn verify(ctrl: &mut WindowController, file: &Path, values: u32) -> anyhow::Result<Vec<f64>> {
    let mut entries = ctrl.read_with(|_| entries(file))?;
    entries.sort_by_key(|(key, _)| *key);
    let keys = entries.iter().map(|(key, _)| *key);
    ensure!(keys.eq(0..values), "each value is there once");
    Ok(entries.into_iter().map(|(_, value)| value).collect())
}
