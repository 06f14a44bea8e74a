//! Many ranks write into one ordinary HDF5 file, one at a time, with mpisync.
//!
//! One rank creates the file and sends its header to the others, all ranks read it at the same
//! time, each writes its own datasets while it has the lock alone, one marks the file as complete,
//! and all verify its contents together. The file belongs to a `Guarded`, which opens it after this
//! rank has the lock and closes it before the lock is released. With `--no-lock` all ranks write at
//! the same time, to show why the locks are needed.
//!
//! `plain_mpi` does the same without mpisync.

use std::process::ExitCode;

use clap::Parser;
use mpisync::{batch::Meter, prelude::*};
use mpisync_examples::{
    cli,
    results::{self, Header},
};

mod file;
mod no_lock;

use file::ResultsFile;

/// Writes results of all ranks into one serial HDF5 file
#[derive(Parser)]
struct Args {
    #[command(flatten)]
    job: cli::Job,
    /// Let all ranks write at the same time, to show how that damages the file
    #[arg(long)]
    no_lock: bool,
}

fn main() -> ExitCode {
    results::disable_hdf5_file_locks();
    mpisync::run(|world| cli::run(world, |args: Args| run(world, &args)))
}

fn run(world: &SimpleCommunicator, args: &Args) -> anyhow::Result<String> {
    let mut file = Guarded::new(world, ResultsFile::new(&args.job.file))?;
    // One rank fills it; all get its header.
    let header = file.single_write(|file| results::fill(file, &args.job, world.size()))?;
    let input = read_input(&mut file)?;
    if args.no_lock {
        no_lock::write_results(world, file.controller_mut(), &header, &input)?;
    } else {
        let written = Counter::new(world)?;
        write_results(&mut file, &header, &input, &written)?;
    }
    // One rank marks it as complete.
    file.single_write(|file| results::seal(file))?;
    verify(&mut file, &header)?;
    file.close()?;
    Ok(cli::verified(&header))
}

/// All ranks read, at the same time.
#[mpisync::collective(ctrl = file.controller_mut())]
fn read_input(file: &mut Guarded<ResultsFile>) -> anyhow::Result<Vec<f64>> {
    Ok(file.read(|file| results::read_input(file))?)
}

/// All ranks compute at the same time and write one at a time. They count the datasets together, and
/// the master shows the count.
#[mpisync::collective(ctrl = file.controller_mut())]
fn write_results(
    file: &mut Guarded<ResultsFile>,
    header: &Header,
    input: &[f64],
    written: &Counter<u64>,
) -> anyhow::Result<()> {
    let rank = file.controller().rank();
    let so_far = || cli::so_far(written.get(), header.total());
    let is_master = file.controller().is_master();
    let mut meter = is_master.then(|| Meter::new("datasets", &so_far()));
    for dataset in 0..header.datasets {
        let result = results::compute(header, input, rank, dataset);
        file.write(|file| results::add(file, rank, dataset, &result))?;
        written.next();
        if let Some(meter) = &mut meter {
            meter.show(&so_far());
        }
    }
    Ok(())
}

/// Each rank reads the results of another rank, at the same time as the others.
#[mpisync::collective(ctrl = file.controller_mut())]
fn verify(file: &mut Guarded<ResultsFile>, header: &Header) -> anyhow::Result<()> {
    let ctrl = file.controller();
    let other = (ctrl.rank() + 1) % ctrl.size();
    Ok(file.read(|file| results::verify(file, header, other))?)
}
