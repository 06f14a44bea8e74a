//! The job of `hdf5_results` in plain MPI, as one would write it by hand.
//!
//! Compare the two `main.rs`, step by step:
//!
//! | step | here | with mpisync |
//! | --- | --- | --- |
//! | one rank creates the file, all get its header or its error | `by_hand::from_root`, which encodes and broadcasts by hand | `file.single_write(…)` |
//! | an error on one rank is an error on all | `by_hand::agree`, to be remembered at each step | `#[mpisync::collective]` |
//! | one rank writes at a time | `by_hand::Ring`: a token that goes round in the order of the ranks, so that a rank which still computes holds up all that come after it | `file.write(…)`: whoever is ready goes next |
//! | readers keep writers out | nothing: it takes the barriers that `from_root` and `agree` imply, and a person who sees to it that no step is moved past them | `file.read(…)` |
//! | the file is open and in HDF5's memory in one's turn only | each step opens and closes it, to be remembered at each | `mpisync::Guarded` |
//!
//! And what is not here at all: a rank that panics leaves the others waiting for ever, so does one that calls the
//! steps in another order or leaves with an early `?`, there are no timeouts, and the compiler accepts a write
//! outside `Ring::in_turn`.

use std::process::ExitCode;

use clap::Parser;
use mpi::{topology::SimpleCommunicator, traits::*};
use mpisync_examples::{cli, progress::Progress, results};

mod by_hand;

/// Writes results of all ranks into one serial HDF5 file, with nothing but MPI
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
    // Each rank checks what another one wrote.
    let other = (world.rank() + 1) % world.size();
    let verified = results::open(&header.path);
    let verified = verified.and_then(|file| results::verify(&file, &header, other));
    by_hand::agree(world, verified)?;
    Ok(cli::verified(&header))
}

/// Writes this rank's datasets, each when the token comes round.
fn write_results(
    world: &SimpleCommunicator,
    header: &results::Header,
    input: &[f64],
) -> anyhow::Result<()> {
    let progress = Progress::datasets(world, header.total());
    let mut ring = by_hand::Ring::new(world, header.datasets);
    let mut outcome = Ok(());
    for dataset in 0..header.datasets {
        let result = results::compute(header, input, world.rank(), dataset);
        // After an error the token must still go round, or the others wait for it for ever.
        let written = ring.in_turn(|| results::write(header, world.rank(), dataset, &result));
        progress.finished(1);
        outcome = outcome.and(written);
    }
    progress.watch();
    progress.close();
    outcome
}
