//! All ranks look up numbers in one table, of which each node has one copy in memory.
//!
//! One rank loads the table from a file directly into a region, and all ranks read it in place,
//! without copies of their own. Each adds up the numbers that it has looked up, and compares the
//! sum with that of computed numbers. Then the program asks Linux for the memory of all ranks
//! together, which has to be one table per node. With `--copies` it repeats this with one table per
//! rank.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Parser;
use mpisync::{
    ndarray::{Array1, ArrayRef1, Ix1},
    prelude::*,
};
use mpisync_examples::cli;

mod memory;
mod table;

use memory::{MIB, in_mib};

/// Looks up numbers in a table that the ranks of a node share
#[derive(Parser)]
struct Args {
    /// The file with the table, as written by --make
    file: PathBuf,
    /// Write the file first, with a table of this many MiB; an existing file is replaced
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..))]
    make: Option<u32>,
    /// Numbers that each rank looks up
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    lookups: u32,
    /// Repeat it with a copy of the table on each rank, to compare
    #[arg(long)]
    copies: bool,
}

/// The cost of one way.
struct Cost {
    /// The memory of all ranks together.
    memory: u64,
    /// The time until all ranks can use the table.
    loading: Duration,
    /// The time in which this rank has looked up all its numbers.
    lookups: Duration,
}

fn main() -> ExitCode {
    mpisync::run(|world| cli::run(world, |args: Args| run(world, &args)))
}

fn run(world: &SimpleCommunicator, args: &Args) -> anyhow::Result<String> {
    let mut ctrl = mpisync::sync(world)?;
    let length = prepare(&mut ctrl, args)?;
    let bytes = (length * table::NUMBER) as u64;
    let (ranks, nodes) = (ctrl.size(), ctrl.nodes());
    let shared = with_region(world, &mut ctrl, args, length)?;
    memory::ensure_tables(shared.memory, nodes, bytes, nodes)?;
    let mut summary = format!(
        "ranks: {ranks}; nodes: {nodes}; table: {}\n\
         {:17}{:>15}{:>15}{:>15}\n{}",
        in_mib(bytes),
        "",
        "memory of all",
        "loaded in",
        "a lookup",
        shared.line("one copy per node", args)
    );
    if args.copies {
        let copied = with_copies(world, &mut ctrl, args, length)?;
        memory::ensure_tables(copied.memory, ranks, bytes, nodes)?;
        summary += &copied.line("one copy per rank", args);
    }
    ctrl.close()?;
    summary += &format!(
        "verified: {} lookups on each rank, in the memory of one table a node",
        args.lookups
    );
    Ok(summary)
}

/// One rank writes the file if requested; all return the number of its numbers.
#[mpisync::single_write]
fn prepare(ctrl: &mut WindowController, args: &Args) -> anyhow::Result<usize> {
    if let Some(mib) = args.make {
        let bytes = usize::try_from(u64::from(mib) * MIB)?;
        table::make(&args.file, bytes / table::NUMBER)?;
    }
    table::length(&args.file)
}

/// One rank loads the table, all use it in place. Collective.
fn with_region(
    world: &SimpleCommunicator,
    ctrl: &mut WindowController,
    args: &Args,
    length: usize,
) -> anyhow::Result<Cost> {
    let before = memory::of_all_ranks(world, ctrl)?;
    let start = Instant::now();
    let mut table = Region::<f64, Ix1>::builder(world, length)
        .name("table")
        .build()?;
    table.try_update(|numbers| table::load(&args.file, numbers.as_slice_mut()))?;
    let loading = start.elapsed();
    let lookups = look_up(ctrl, &table.read(), args)?;
    let after = memory::of_all_ranks(world, ctrl)?;
    table.close()?;
    Ok(Cost {
        memory: after.saturating_sub(before),
        loading,
        lookups,
    })
}

/// Each rank loads the table, and uses its own copy. Collective.
fn with_copies(
    world: &SimpleCommunicator,
    ctrl: &mut WindowController,
    args: &Args,
    length: usize,
) -> anyhow::Result<Cost> {
    let before = memory::of_all_ranks(world, ctrl)?;
    let start = Instant::now();
    let table = load_copy(ctrl, &args.file, length)?;
    let loading = start.elapsed();
    let lookups = look_up(ctrl, &table, args)?;
    let after = memory::of_all_ranks(world, ctrl)?;
    Ok(Cost {
        memory: after.saturating_sub(before),
        loading,
        lookups,
    })
}

/// All ranks read the file, at the same time.
#[mpisync::collective]
fn load_copy(
    ctrl: &mut WindowController,
    file: &Path,
    length: usize,
) -> anyhow::Result<Array1<f64>> {
    let mut table = vec![0.0; length];
    table::load(file, &mut table)?;
    Ok(table.into())
}

/// Each rank looks up its numbers and compares their sum with that of computed numbers. Returns the
/// duration of the lookups.
#[mpisync::collective]
fn look_up(
    ctrl: &mut WindowController,
    table: &ArrayRef1<f64>,
    args: &Args,
) -> anyhow::Result<Duration> {
    let rank = ctrl.rank();
    let indices = || table::indices(rank, table.len()).take(args.lookups as usize);
    let start = Instant::now();
    let found = table::checksum(indices().map(|index| table[index]));
    let took = start.elapsed();
    let right = table::checksum(indices().map(table::compute));
    ensure!(
        found == right,
        "what was looked up adds up to {found:x}, and what was computed to {right:x}; \
         is {} as --make writes it?",
        args.file.display()
    );
    Ok(took)
}

impl Cost {
    /// A line of the summary.
    fn line(&self, name: &str, args: &Args) -> String {
        let nanoseconds = self.lookups.as_secs_f64() * 1e9 / f64::from(args.lookups);
        format!(
            "{name:17}{:>15}{:>15}{:>15}\n",
            in_mib(self.memory),
            format!("{:.3} s", self.loading.as_secs_f64()),
            format!("{nanoseconds:.1} ns")
        )
    }
}
