//! The job of `hdf5_results` in plain MPI, written by hand.
//!
//! Compare the two `main.rs`, step by step:
//!
//! | step | here | with mpisync |
//! | --- | --- | --- |
//! | one rank creates the file, all get its header or its error | `by_hand::from_root`, which encodes and broadcasts | `file.single_write(…)` |
//! | an error on one rank is an error on all | `by_hand::agree`, which each step has to call | `#[mpisync::collective]` |
//! | one rank writes at a time | `by_hand::Ring`: a token that passes around the ranks in order, so a rank that still computes delays all ranks after it | `file.write(…)`: the next ready rank writes |
//! | readers keep writers out | not implemented: the steps rely on the barriers that `from_root` and `agree` imply, and the programmer must not move a step past them | `file.read(…)` |
//! | one rank shows how far all are | not implemented: the others would have to send it messages | a `Counter` of all ranks and a `batch::Meter` |
//! | the file is open and in HDF5's memory only during one's turn | each step has to open and close it | `mpisync::Guarded` |
//!
//! Some of mpisync's guarantees are missing here. If a rank panics, calls the steps in another
//! order or leaves by an early `?`, the others wait forever. There are no timeouts, and the
//! compiler accepts a write outside `Ring::in_turn`.

use std::process::ExitCode;

use clap::Parser;
use mpi::{topology::SimpleCommunicator, traits::*};
use mpisync_examples::{cli, results};

mod by_hand;

/// Writes results of all ranks into one serial HDF5 file, with MPI only
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    job: cli::Job,
}

fn main() -> ExitCode {
    results::disable_hdf5_file_locks();
    let universe = mpi::initialize().expect("MPI was not started before");
    let world = universe.world();
    let ended = cli::run(&world, |args: Args| run(&world, &args.job));
    ended.unwrap_or_else(|error| {
        // All ranks have the same.
        if world.rank() == 0 {
            eprintln!("error: {error:#}");
        }
        ExitCode::FAILURE
    })
}

fn run(world: &SimpleCommunicator, job: &cli::Job) -> anyhow::Result<String> {
    let header = by_hand::from_root(world, || results::create(job, world.size()))?;
    let input = results::open(&header.path).and_then(|file| results::read_input(&file));
    let input = by_hand::agree(world, input)?;
    by_hand::agree(world, write_results(world, &header, &input))?;
    by_hand::from_root(world, || {
        let file = results::open_rw(&header.path)?;
        results::seal(&file)?;
        file.close().map_err(results::plain)
    })?;
    // Each rank checks the results of another one.
    let other = (world.rank() + 1) % world.size();
    let verified = results::open(&header.path);
    let verified = verified.and_then(|file| results::verify(&file, &header, other));
    by_hand::agree(world, verified)?;
    Ok(cli::verified(&header))
}

/// Writes this rank's datasets, each when the token arrives.
fn write_results(
    world: &SimpleCommunicator,
    header: &results::Header,
    input: &[f64],
) -> anyhow::Result<()> {
    let mut ring = by_hand::Ring::new(world, header.datasets);
    let mut outcome = Ok(());
    for dataset in 0..header.datasets {
        let result = results::compute(header, input, world.rank(), dataset);
        // After an error the token must still be passed on; otherwise the others wait for it
        // forever.
        let written = ring.in_turn(|| results::write(header, world.rank(), dataset, &result));
        outcome = outcome.and(written);
    }
    outcome
}
