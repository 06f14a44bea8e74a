//! Command line and output of a job of many processes, which appear once.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use mpi::topology::{Communicator, SimpleCommunicator};

use mpisync::batch::Summary;

use crate::results::Header;

/// The job of `hdf5_results` and `plain_mpi`.
#[derive(Debug, clap::Args)]
pub struct Job {
    /// The HDF5 file to write; an existing file is replaced
    pub file: PathBuf,
    /// Numbers per dataset
    #[arg(default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub size: u32,
    /// Datasets per rank
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    pub datasets: u32,
}

/// Reads the command line and runs `job` with it.
///
/// Every rank reads the same command line and comes to the same last words, so the master alone prints them. The exit
/// status of a wrong command line is 2.
///
/// # Errors
/// That of `job`.
pub fn run<A: Parser>(
    world: &SimpleCommunicator,
    job: impl FnOnce(A) -> anyhow::Result<String>,
) -> anyhow::Result<ExitCode> {
    let master = world.rank() == 0;
    let args = match A::try_parse() {
        Ok(args) => args,
        Err(error) => {
            if master {
                // If even this cannot be printed, only the exit status is left.
                let _ = error.print();
            }
            return Ok(ExitCode::from(u8::from(error.use_stderr()) * 2));
        }
    };
    let last_words = job(args)?;
    if master {
        println!("{last_words}");
    }
    Ok(ExitCode::SUCCESS)
}

/// What a `Meter` shows when this much of a job is done.
pub fn so_far(done: u64, total: u64) -> Summary {
    Summary {
        open: total - done,
        done,
        ..Summary::default()
    }
}

/// The last line of a job whose file was verified.
pub fn verified(header: &Header) -> String {
    format!(
        "verified: {} datasets in {}",
        header.total(),
        header.path.display()
    )
}
