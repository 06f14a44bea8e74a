//! Command line and output of a job of many processes, which appear once.

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;
use mpi::topology::{Communicator, SimpleCommunicator};

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

/// Reads the command line, runs `job` with it and reports the outcome, once for all ranks.
///
/// Every rank reads the same command line and has the same outcome, so only the master prints. All
/// exit with the same status: 2 for an invalid command line, 1 for a job that failed.
pub fn run<A: Parser>(
    world: &SimpleCommunicator,
    job: impl FnOnce(A) -> anyhow::Result<String>,
) -> ExitCode {
    let master = world.rank() == 0;
    let args = match A::try_parse() {
        Ok(args) => args,
        Err(error) => {
            if master {
                // If even this cannot be printed, only the exit status is left.
                let _ = error.print();
            }
            return ExitCode::from(u8::from(error.use_stderr()) * 2);
        }
    };
    match job(args) {
        Ok(last_words) => {
            if master {
                println!("{last_words}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            if master {
                eprintln!("error: {error:#}");
            }
            ExitCode::FAILURE
        }
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
