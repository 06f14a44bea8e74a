//! What programs need in their environment: to be built with an MPI, and to be started by its launcher.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use launcher::ENVIRONMENT;

use crate::hdf5::Hdf5;
use crate::hosts::Hosts;
use crate::mpi::{Choice, Mpi};
use crate::process::run_job;
use crate::setup::{self, Machine, Need};
use crate::workspace::Workspace;

/// How long the launcher has for ending a job itself before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Sockets below the temporary directory have names of at most 107 bytes; Open MPI adds up to about 60.
const LONGEST_TMPDIR: usize = 40;

/// How to run jobs.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    pub mpi: Choice,
    /// Kill an MPI job that takes longer than this
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
}

impl Options {
    /// Sets up what is needed and the hosts, if any, and calls `work` with each of the chosen MPIs.
    pub fn with_each_mpi(
        &self,
        workspace: &Workspace,
        need: Need,
        hosts: Option<u32>,
        mut work: impl FnMut(Toolbox<'_>) -> Result<()>,
    ) -> Result<()> {
        let hosts = hosts.map(Hosts::up).transpose()?;
        let mut choice = self.mpi.clone();
        if let Some(hosts) = &hosts {
            choice = hosts.choose(workspace, choice)?;
        }
        let machine = setup::prepare(workspace, &choice, need)?;
        for mpi in &machine.mpis {
            let limit = Duration::from_secs(self.timeout);
            work(Toolbox::new(workspace, &machine, mpi, limit).on(hosts.as_ref()))?;
        }
        Ok(())
    }
}

/// Everything that has to do with one MPI on this machine.
pub struct Toolbox<'a> {
    /// The workspace.
    pub workspace: &'a Workspace,
    /// The machine.
    pub machine: &'a Machine,
    /// The MPI.
    pub mpi: &'a Mpi,
    limit: Duration,
    /// Where jobs run; on this host if none.
    pub hosts: Option<&'a Hosts>,
}

impl<'a> Toolbox<'a> {
    /// For this MPI; `limit` is how long a job may take.
    pub const fn new(
        workspace: &'a Workspace,
        machine: &'a Machine,
        mpi: &'a Mpi,
        limit: Duration,
    ) -> Self {
        Self {
            workspace,
            machine,
            mpi,
            limit,
            hosts: None,
        }
    }

    /// The same, for jobs on these hosts.
    pub const fn on(mut self, hosts: Option<&'a Hosts>) -> Self {
        self.hosts = hosts;
        self
    }

    /// The launcher with its options, but for the number of ranks.
    fn launcher(&self, ranks: u32) -> Result<Vec<String>> {
        match self.hosts {
            Some(hosts) => hosts.launcher(self.mpi, ranks),
            None => Ok(vec![self.mpi.mpiexec.display().to_string()]),
        }
    }

    /// Where cargo puts what it builds with this MPI.
    pub fn target(&self) -> PathBuf {
        self.workspace.target.join(self.mpi.label())
    }

    /// Cargo, building with this MPI.
    pub fn cargo(&self) -> Command {
        let mut cargo = self.workspace.cargo();
        self.equip(&mut cargo);
        cargo
    }

    /// Adds what building and running with this MPI takes to the environment of `command`.
    pub fn equip(&self, command: &mut Command) {
        let Machine { libclang, hdf5, .. } = self.machine;
        let libclang = libclang.iter().flat_map(|libclang| libclang.environment());
        // Last on PATH: only what is found nowhere else is taken from there.
        let tools = hdf5.iter().filter_map(Hdf5::path).map(Path::to_owned);
        let loader = match cfg!(target_os = "macos") {
            true => "DYLD_LIBRARY_PATH",
            false => "LD_LIBRARY_PATH",
        };
        command
            .env("CARGO_TARGET_DIR", self.target())
            .env("MPICC", &self.mpi.mpicc)
            // The build scripts of the mpi crate prefer these to MPICC.
            .env_remove("MPI_PKG_CONFIG")
            .env_remove("CRAY_MPICH_DIR")
            .envs(libclang)
            .envs(hdf5.iter().flat_map(Hdf5::environment))
            .envs(ENVIRONMENT)
            .env("MPIEXEC_TIMEOUT", self.limit.as_secs().to_string())
            .env("PATH", joined(paths("PATH").into_iter().chain(tools)));
        let libraries = joined(self.mpi.libraries.iter().cloned().chain(paths(loader)));
        if !libraries.is_empty() {
            command.env(loader, libraries);
        }
        if let Some(hosts) = self.hosts {
            command.envs(hosts.environment(self.mpi));
        }
        if env::temp_dir().as_os_str().len() > LONGEST_TMPDIR {
            command.env("TMPDIR", "/tmp");
        }
    }

    /// Cargo, for a test program that starts its ranks itself.
    pub fn cargo_for_ranks(&self, ranks: u32) -> Result<Command> {
        let mut cargo = self.workspace.cargo();
        self.equip_for_ranks(&mut cargo, ranks)?;
        Ok(cargo)
    }

    /// [`equip`](Self::equip) for a test program that starts its ranks itself: names the launcher for `ranks` ranks, a word a
    /// line, and its family.
    pub fn equip_for_ranks(&self, command: &mut Command, ranks: u32) -> Result<()> {
        let launcher = self.launcher(ranks)?;
        self.equip(command);
        command
            .env("TEST_MPIEXEC", launcher.join("\n") + "\n")
            .env("TEST_MPI", self.mpi.family.name());
        Ok(())
    }

    /// A program on `ranks` ranks.
    pub fn job(&self, ranks: u32, program: &Path, args: &[OsString]) -> Result<Command> {
        let launcher = self.launcher(ranks)?;
        let mut command = Command::new(&launcher[0]);
        command
            .args(&launcher[1..])
            .args(["-n", &ranks.to_string()]);
        self.equip(command.arg(program).args(args));
        Ok(command)
    }

    /// Runs a job and passes the lines that it prints to `line`.
    pub fn launch(&self, job: &mut Command, line: impl FnMut(&str)) -> Result<()> {
        let start = Instant::now();
        run_job(job, self.limit + GRACE, line).with_context(|| {
            // The launchers report it by an exit code only, each by another.
            let seconds = self.limit.as_secs();
            match start.elapsed() >= self.limit {
                true => format!("the job, which may take {seconds} s (--timeout)"),
                false => String::from("the job"),
            }
        })
    }

    /// Checks that the hosts, if there are any, have sent messages to each other: a program of this workspace that uses them
    /// all must have used the network.
    pub fn check_traffic(&self) -> Result<()> {
        let check = |hosts: &Hosts| hosts.check_traffic(self.mpi);
        self.hosts.map_or(Ok(()), check)
    }
}

fn paths(variable: &str) -> Vec<PathBuf> {
    let value = env::var_os(variable).unwrap_or_default();
    env::split_paths(&value).collect()
}

fn joined(paths: impl Iterator<Item = PathBuf>) -> OsString {
    // A directory with a colon in its name cannot be in such a list at all.
    env::join_paths(paths.filter(|path| !path.as_os_str().is_empty())).unwrap_or_default()
}
