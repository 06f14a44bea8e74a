//! Many ranks write into one ordinary HDF5 file, and take turns at it with mpisync.
//!
//! One rank creates the file and tells the others what is in it, all read it at the same time, each writes
//! datasets of its own when it is alone, one marks the file as complete, and all check together what is in it.
//! With `--no-lock` they all write at the same time, to show what the locks are for.
//!
//! `plain_mpi` beside this program does the same without mpisync.

use std::process::ExitCode;

use clap::Parser;
use mpisync::{mpi::topology::SimpleCommunicator, prelude::*};
use mpisync_examples::{
    cli,
    progress::Progress,
    results::{self, Header},
};

mod no_lock;

/// Writes results of all ranks into one serial HDF5 file
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    job: cli::Job,
    /// Let all ranks write at the same time, to see what becomes of the file
    #[arg(long)]
    no_lock: bool,
}

fn main() -> ExitCode {
    results::disable_hdf5_file_locks();
    let universe = mpisync::initialize().expect("MPI was not started before");
    let world = universe.world();
    cli::run(&world, |args: Args| {
        run(&world, &args).map_err(|error| abort_after_death(&world, error))
    })
}

/// Ends the job if a rank has died: MPI cannot be finalized without it. The launchers do so themselves, unless they
/// are told to let the other ranks live.
fn abort_after_death(world: &SimpleCommunicator, error: anyhow::Error) -> anyhow::Error {
    if let Some(FenceError::RankDied { .. }) = error.downcast_ref() {
        eprintln!("error on rank {}: {error}", world.rank());
        world.abort(1);
    }
    error
}

fn run(world: &SimpleCommunicator, args: &Args) -> anyhow::Result<String> {
    let mut ctrl = mpisync::sync(world)?;
    let header = create(&mut ctrl, &args.job)?;
    let input = read_input(&mut ctrl, &header)?;
    let progress = Progress::datasets(world, header.total());
    if args.no_lock {
        no_lock::write_results(world, &mut ctrl, &header, &input, progress)?;
    } else {
        write_results(&mut ctrl, &header, &input, &progress)?;
        progress.close();
    }
    seal(&mut ctrl, &header)?;
    verify(&mut ctrl, &header)?;
    ctrl.close()?;
    Ok(cli::verified(&header))
}

/// One rank creates the file; all return its header.
#[mpisync::single_write]
fn create(ctrl: &mut WindowController, job: &cli::Job) -> anyhow::Result<Header> {
    results::create(job, ctrl.size())
}

/// All ranks read, at the same time.
#[mpisync::collective]
fn read_input(ctrl: &mut WindowController, header: &Header) -> anyhow::Result<Vec<f64>> {
    let _readers = ctrl.read();
    results::read_input(header)
}

/// All ranks compute at the same time and write one at a time.
#[mpisync::collective]
fn write_results(
    ctrl: &mut WindowController,
    header: &Header,
    input: &[f64],
    progress: &Progress<'_>,
) -> anyhow::Result<()> {
    let rank = ctrl.rank();
    for dataset in 0..header.datasets {
        let result = results::compute(header, input, rank, dataset);
        let alone = ctrl.write();
        results::write(header, rank, dataset, &result)?;
        drop(alone);
        progress.finished(1);
    }
    progress.watch();
    Ok(())
}

/// One rank marks the file as complete.
#[mpisync::single_write]
fn seal(ctrl: &mut WindowController, header: &Header) -> anyhow::Result<()> {
    results::seal(&header.path)
}

/// Each rank reads again, at the same time as the others, what another rank wrote.
#[mpisync::collective]
fn verify(ctrl: &mut WindowController, header: &Header) -> anyhow::Result<()> {
    let other = (ctrl.rank() + 1) % ctrl.size();
    let _readers = ctrl.read();
    results::verify(header, other)
}
