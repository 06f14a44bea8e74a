//! `cargo xtask`: sets a machine up for mpisync and runs the demo, the examples, the checks and the benchmarks.

mod bare;
mod cargo_test;
mod checks;
mod examples;
mod family;
mod hdf5;
mod hosts;
mod launch;
mod libclang;
mod memory;
mod mpi;
mod namespaces;
mod packages;
mod peers;
mod process;
mod programs;
mod pshmem;
mod report;
mod setup;
mod wheels;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::checks::Step;
use crate::mpi::{Choice, Wanted};
use crate::programs::{Build, Job};
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
    Demo {
        #[command(flatten)]
        mpi: MpiArgs,
        #[command(flatten)]
        limit: LimitArgs,
    },
    /// Set everything up, then run every check
    Test {
        #[command(flatten)]
        mpi: MpiArgs,
        /// Run this step only (may be given several times)
        #[arg(long, value_enum, value_name = "STEP", value_delimiter = ',')]
        only: Vec<Step>,
        /// List the steps and stop
        #[arg(long)]
        list: bool,
        /// Over how many hosts, set up on this machine, the hosts step runs (may be given several times)
        #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [2, 3])]
        hosts: Vec<u32>,
        /// Kill the tests of a step that take longer than this when they are built
        #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
        step_limit: u64,
        #[command(flatten)]
        limit: LimitArgs,
        /// Of the ranks and hosts steps, only tests whose names contain one of these, after `--`
        #[arg(last = true)]
        names: Vec<String>,
    },
    /// Set everything up, then run a benchmark
    Bench {
        /// Which benchmark: `lock`, `channel`, `region`, `sync` or `batch`
        bench: String,
        /// How many ranks to start
        #[arg(long, value_name = "N", default_value_t = 2)]
        ranks: u32,
        #[command(flatten)]
        hosts: HostsArgs,
        /// Also write the figures to this file; with several MPIs the MPI's name is put before the extension
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        #[command(flatten)]
        mpi: MpiArgs,
        #[command(flatten)]
        limit: LimitArgs,
        /// Arguments for the benchmark, after `--`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Set everything up, then run one of the examples
    Run {
        /// How many ranks to start
        #[arg(short = 'n', value_name = "N", default_value_t = 4)]
        ranks: u32,
        #[command(flatten)]
        hosts: HostsArgs,
        /// Build without optimisation
        #[arg(long)]
        debug: bool,
        #[command(flatten)]
        mpi: MpiArgs,
        #[command(flatten)]
        limit: LimitArgs,
        /// Which example; a wrong name lists those that exist
        example: String,
        /// Arguments for the example
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run any program under mpiexec over several hosts that are set up on this machine and taken down afterwards
    Cluster {
        /// How many hosts
        #[arg(long, value_name = "N", default_value_t = 2)]
        hosts: u32,
        /// How many ranks to start; one a host if not said
        #[arg(short = 'n', value_name = "N")]
        ranks: Option<u32>,
        #[command(flatten)]
        mpi: MpiArgs,
        #[command(flatten)]
        limit: LimitArgs,
        /// The program and its arguments, after `--`
        #[arg(last = true, required = true)]
        command: Vec<std::ffi::OsString>,
    },
    /// Simulate the lock on up to 4,096 nodes: its own protocol over a modelled network
    Simulate {
        #[command(flatten)]
        mpi: MpiArgs,
        /// Arguments for the simulation, after `--`; `-- --help` lists them
        #[arg(last = true)]
        args: Vec<std::ffi::OsString>,
    },
    /// Take locks at random for a long time, and check that nothing is lost and no memory either
    Soak {
        /// How long, in seconds
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        seconds: u64,
        /// How many ranks to start
        #[arg(short = 'n', value_name = "N", default_value_t = 4)]
        ranks: u32,
        #[command(flatten)]
        hosts: HostsArgs,
        #[command(flatten)]
        mpi: MpiArgs,
    },
    /// Run `demo` and `test` in a bare Debian that has only Rust, in a directory; needs root and debootstrap
    Bare {
        /// Which release of Debian
        #[arg(long, value_name = "NAME", default_value = "bookworm")]
        suite: String,
        /// Where its packages come from
        #[arg(
            long,
            value_name = "URL",
            default_value = "http://deb.debian.org/debian"
        )]
        mirror: String,
        /// Run this command of the task runner (may be given several times), such as "test --only fmt"
        #[arg(long = "run", value_name = "COMMAND", default_values = ["demo", "test"])]
        commands: Vec<String>,
    },
    /// Only set everything up, and say what will be used
    Setup {
        #[command(flatten)]
        mpi: MpiArgs,
    },
}

/// Which MPI to use.
#[derive(Args)]
struct MpiArgs {
    /// Which MPI to use: `openmpi`, `mpich`, or the path of an installation or of its mpicc. May be given several
    /// times. A named one that is not there is installed. Default: $MPICC, or the first that is found
    #[arg(long, value_name = "MPI", value_delimiter = ',')]
    mpi: Vec<Wanted>,
    /// Use every MPI that is there
    #[arg(long, conflicts_with = "mpi")]
    all_mpi: bool,
}

impl MpiArgs {
    fn choice(self) -> Choice {
        if self.all_mpi {
            Choice::All
        } else if self.mpi.is_empty() {
            Choice::First
        } else {
            Choice::These(self.mpi)
        }
    }
}

/// On how many hosts to run.
#[derive(Args)]
struct HostsArgs {
    /// Run over so many hosts, set up on this machine: network namespaces with root, MPICH's pretended hosts without
    #[arg(long, value_name = "N")]
    hosts: Option<u32>,
}

/// How long a job may take.
#[derive(Args)]
struct LimitArgs {
    /// Kill an MPI job that takes longer than this
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

impl LimitArgs {
    fn duration(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

fn main() -> ExitCode {
    /// What a shell says of a program that Ctrl-C has ended.
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
        Task::Demo { mpi, limit } => examples::demo(&workspace, &mpi.choice(), limit.duration()),
        Task::Test { list: true, .. } => {
            checks::list();
            Ok(())
        }
        Task::Test {
            mpi,
            only,
            hosts,
            step_limit,
            limit,
            names,
            ..
        } => {
            let wanted = checks::Wanted {
                only,
                hosts,
                names,
                step_limit: Duration::from_secs(step_limit),
            };
            checks::run(&workspace, &mpi.choice(), &wanted, limit.duration())
        }
        Task::Bench {
            bench,
            ranks,
            hosts,
            json,
            mpi,
            limit,
            args,
        } => {
            let job = Job {
                package: "mpisync-bench",
                program: bench,
                build: Build::Release,
                ranks,
                hosts: hosts.hosts,
                args,
            };
            programs::bench(
                &workspace,
                &mpi.choice(),
                &job,
                json.as_deref(),
                limit.duration(),
            )
        }
        Task::Run {
            ranks,
            hosts,
            debug,
            mpi,
            limit,
            example,
            args,
        } => {
            let build = if debug { Build::Debug } else { Build::Release };
            let job = Job {
                package: "mpisync-examples",
                program: example,
                build,
                ranks,
                hosts: hosts.hosts,
                args,
            };
            programs::run(&workspace, &mpi.choice(), &job, limit.duration())
        }
        Task::Cluster {
            hosts,
            ranks,
            mpi,
            limit,
            command,
        } => {
            let ranks = ranks.unwrap_or(hosts);
            let choice = mpi.choice();
            programs::cluster(
                &workspace,
                &choice,
                hosts,
                ranks,
                &command,
                limit.duration(),
            )
        }
        Task::Simulate { mpi, args } => programs::simulate(&workspace, &mpi.choice(), &args),
        Task::Soak {
            seconds,
            ranks,
            hosts,
            mpi,
        } => programs::soak(&workspace, &mpi.choice(), seconds, ranks, hosts.hosts),
        Task::Bare {
            suite,
            mirror,
            commands,
        } => {
            let wanted = bare::Wanted {
                suite,
                mirror,
                commands,
            };
            bare::check(&workspace, &wanted)
        }
        Task::Setup { mpi } => setup::show(&workspace, &mpi.choice()),
    }
}
