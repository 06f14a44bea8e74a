//! `cargo xtask`: sets a machine up for mpisync and runs the demo, the examples, the checks and the
//! benchmarks.

mod alternatives;
mod bench;
mod checks;
mod hdf5;
mod hosts;
mod launch;
mod libclang;
mod mpi;
mod namespaces;
mod packages;
mod peers;
mod process;
mod programs;
mod python;
mod release;
mod setup;
mod steps;
mod wheels;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Sets this machine up for mpisync and runs its demo, examples, checks and benchmarks.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Set everything up, then let 4 ranks write and verify one HDF5 file
    Demo(launch::Options),
    /// Set everything up, then run every check
    Test(checks::Test),
    /// Set everything up, then run a benchmark; with --plot, draw its figures
    Bench(bench::Bench),
    /// Set everything up, then run one of the examples
    Run(programs::Run),
    /// Run any program under mpiexec over several hosts that are set up on this machine and taken down afterwards
    Cluster(programs::Cluster),
    /// Simulate the lock on up to 4,096 nodes: its own protocol over a modelled network
    Simulate(programs::Simulate),
    /// Take locks at random for a long time, and check that no write and no memory is lost
    Soak(programs::Soak),
    /// Let a rank fail in Python packages as in `docs/faults.md`, and write `docs/faults-of-peers.md`
    Peers(peers::PeerFaults),
    /// Build the package for Python with an MPI, and run its tests on ranks
    Python(python::Python),
    /// Check what a release needs beside the tests: packages, licences, oldest versions, features, interface
    ReleaseCheck(release::ReleaseCheck),
    /// Only set everything up, and print what will be used
    Setup(mpi::Choice),
}

fn main() -> ExitCode {
    /// The exit code of a shell for a program that Ctrl-C has ended.
    const INTERRUPTED: u8 = 130;
    let task = Cli::parse().task;
    let outcome = process::watch_for_signals().and_then(|()| run(task));
    process::reap_orphans();
    match outcome {
        _ if process::was_interrupted() => {
            eprintln!("interrupted");
            ExitCode::from(INTERRUPTED)
        }
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    let workspace = Workspace::find()?;
    match task {
        Task::Demo(options) => programs::demo(&workspace, &options),
        Task::Test(test) => test.run(&workspace),
        Task::Bench(bench) => bench.run(&workspace),
        Task::Run(run) => run.run(&workspace),
        Task::Cluster(cluster) => cluster.run(&workspace),
        Task::Simulate(simulate) => simulate.run(&workspace),
        Task::Soak(soak) => soak.run(&workspace),
        Task::Peers(faults) => faults.run(&workspace),
        Task::Python(python) => python.run(&workspace),
        Task::ReleaseCheck(check) => check.run(&workspace),
        Task::Setup(choice) => setup::show(&workspace, &choice),
    }
}
