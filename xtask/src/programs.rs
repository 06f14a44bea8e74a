//! Building one of the workspace's programs and running it on ranks: `cargo xtask demo`, `run`, `cluster`,
//! `simulate`, `soak`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::hdf5::Hdf5;
use crate::launch::{Options, Toolbox};
use crate::process::{pass_on, run, run_job, say};
use crate::setup::Need;
use crate::workspace::Workspace;

/// The packages of programs.
pub const EXAMPLES: &str = "mpisync-examples";
pub const BENCH: &str = "mpisync-bench";

/// `cargo xtask demo`, the main job: 4 ranks write one ordinary HDF5 file, and it is verified.
pub fn demo(workspace: &Workspace, options: &Options) -> Result<()> {
    const RANKS: u32 = 4;
    options.with_each_mpi(workspace, Need::MpiAndHdf5, None, |tools| {
        let program = tools.build(EXAMPLES, "hdf5_results", &["--release"])?;
        let dir = workspace.target.join("demo");
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let file = dir.join("results.h5");
        if file.exists() {
            fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
        let mut last = String::new();
        let mut job = tools.job(RANKS, &program, &[file.clone().into()])?;
        tools.launch(&mut job, |line| {
            pass_on(line);
            line.clone_into(&mut last);
        })?;
        let count = verified(&last).with_context(|| {
            format!("the last line is not `verified: N datasets in PATH` but `{last}`")
        })?;
        say(format!(
            "shown with {}: {RANKS} ranks wrote {count} datasets into one ordinary HDF5 file ({}), one rank at a time, \
             and every dataset is there and right, as another rank than its writer has checked",
            tools.mpi,
            file.display()
        ));
        Ok(())
    })
}

/// N of `verified: N datasets in PATH`.
fn verified(line: &str) -> Option<usize> {
    let (count, _) = line
        .strip_prefix("verified: ")?
        .split_once(" datasets in ")?;
    count.parse().ok()
}

/// On how many hosts to run.
#[derive(Args)]
pub struct HostsArgs {
    /// Run over this number of hosts, set up on this machine: network namespaces with root, MPICH's pretended hosts without
    #[arg(long, value_name = "N")]
    pub hosts: Option<u32>,
}

/// `cargo xtask run`
#[derive(Args)]
pub struct Run {
    /// How many ranks to start
    #[arg(short = 'n', value_name = "N", default_value_t = 4)]
    ranks: u32,
    #[command(flatten)]
    hosts: HostsArgs,
    /// Build without optimisation
    #[arg(long)]
    debug: bool,
    #[command(flatten)]
    options: Options,
    /// Which example
    #[arg(value_parser = programs_in("examples"))]
    example: String,
    /// Arguments for the example
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<OsString>,
}

impl Run {
    /// Runs an example on each of the chosen MPIs.
    pub fn run(&self, workspace: &Workspace) -> Result<()> {
        let options: &[&str] = if self.debug { &[] } else { &["--release"] };
        let hosts = self.hosts.hosts;
        self.options
            .with_each_mpi(workspace, Need::MpiAndHdf5, hosts, |tools| {
                let program = tools.build(EXAMPLES, &self.example, options)?;
                let mut job = tools.job(self.ranks, &program, &self.args)?;
                tools.launch(&mut job, pass_on)
            })
    }
}

/// `cargo xtask cluster`
#[derive(Args)]
pub struct Cluster {
    /// How many hosts
    #[arg(long, value_name = "N", default_value_t = 2)]
    hosts: u32,
    /// How many ranks to start; by default one a host
    #[arg(short = 'n', value_name = "N")]
    ranks: Option<u32>,
    #[command(flatten)]
    options: Options,
    /// The program and its arguments, after `--`
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Cluster {
    /// Runs any program over hosts, with each of the chosen MPIs.
    pub fn run(&self, workspace: &Workspace) -> Result<()> {
        let ranks = self.ranks.unwrap_or(self.hosts);
        let (program, args) = (Path::new(&self.command[0]), &self.command[1..]);
        let hosts = Some(self.hosts);
        self.options
            .with_each_mpi(workspace, Need::Mpi, hosts, |tools| {
                tools.launch(&mut tools.job(ranks, program, args)?, pass_on)
            })
    }
}

/// `cargo xtask simulate`
#[derive(Args)]
pub struct Simulate {
    /// Draw the figures into this directory, as simulate.svg or simulate-PAPER.svg
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
    /// Arguments for the simulation, after `--`; `-- --help` lists them
    #[arg(last = true)]
    args: Vec<OsString>,
}

impl Simulate {
    /// Runs the simulation, which is one process and starts no MPI.
    pub fn run(&self, workspace: &Workspace) -> Result<()> {
        self.options
            .with_each_mpi(workspace, Need::Mpi, None, |tools| {
                let mut command = Command::new(tools.build(BENCH, "simulate", &["--release"])?);
                // After `compare`, whose option it is then.
                command.args(&self.args);
                if let Some(directory) = &self.plot {
                    command.arg("--plot").arg(directory);
                }
                tools.equip(&mut command);
                run(&mut command)
            })
    }
}

/// `cargo xtask soak`
#[derive(Args)]
pub struct Soak {
    /// How long, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// How many ranks to start
    #[arg(short = 'n', value_name = "N", default_value_t = 4)]
    ranks: u32,
    /// In each round use all objects on six ranks, one of which is killed at a random instant
    #[arg(long, conflicts_with_all = ["seconds", "ranks", "hosts"])]
    kills: bool,
    /// How many such rounds; without --kills no rank is killed in them [default with --kills: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(conflicts_with_all = ["seconds", "ranks", "hosts"])]
    rounds: Option<u64>,
    /// The seed of the first such round, as a failure reports it; each round has the next one [default: the time]
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seconds", "ranks", "hosts"])]
    seed: Option<u64>,
    #[command(flatten)]
    hosts: HostsArgs,
    #[command(flatten)]
    mpi: crate::mpi::Choice,
}

impl Soak {
    /// Runs the tests' soak.
    pub fn run(self, workspace: &Workspace) -> Result<()> {
        match self.kills || self.rounds.is_some() {
            true => self.run_rounds(workspace),
            false => self.run_for_a_time(workspace),
        }
    }

    /// Rounds that are jobs of their own.
    fn run_rounds(self, workspace: &Workspace) -> Result<()> {
        const ROUNDS: u64 = 100;
        // Also on a busy machine.
        const LONGEST_ROUND: u64 = 20;
        const BUILD: u64 = 1_800;
        let rounds = self.rounds.unwrap_or(ROUNDS);
        let timeout = BUILD + rounds * LONGEST_ROUND;
        let options = Options {
            mpi: self.mpi,
            timeout,
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seed = self.seed.unwrap_or(now.map_or(1, |now| now.as_secs()));
        let case = match self.kills {
            true => "kills::random_kills",
            false => "kills::quiet_rounds",
        };
        options.with_each_mpi(workspace, Need::Mpi, None, |tools| {
            say(format!("seeds {seed} to {}", seed + rounds - 1));
            let mut cargo = tools.cargo_for_ranks(1)?;
            cargo
                .env("TEST_ROUNDS", rounds.to_string())
                .env("TEST_SEED", seed.to_string())
                .args(["test", "--release", "--package", "mpisync-tests"])
                .args(["--test", "ranks", "--", case]);
            run_job(&mut cargo, Duration::from_secs(timeout), pass_on)
        })
    }

    /// One job for some time.
    fn run_for_a_time(self, workspace: &Workspace) -> Result<()> {
        const START_AND_END: u64 = 60;
        let options = Options {
            mpi: self.mpi,
            timeout: self.seconds + START_AND_END,
        };
        // Not in /dev/shm, of which every host has its own.
        let directory = workspace.target.join("soak");
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("seconds"), self.seconds.to_string())?;
        let args = [
            "--job".into(),
            directory.into_os_string(),
            "soak::soak".into(),
        ];
        options.with_each_mpi(workspace, Need::Mpi, self.hosts.hosts, |tools| {
            let mut cargo = tools.cargo();
            cargo.args([
                "test",
                "--no-run",
                "--release",
                "--package",
                "mpisync-tests",
            ]);
            let program = built(cargo.args(["--test", "ranks"]), "ranks")?;
            tools.launch(&mut tools.job(self.ranks, &program, &args)?, pass_on)?;
            tools.check_traffic()
        })
    }
}

/// The programs in a folder of the workspace that are chosen by name, each with the first line of its documentation.
pub fn programs_in(folder: &str) -> PossibleValuesParser {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(folder);
    let files = fs::read_dir(root.join("src/bin"));
    let files = files.into_iter().flatten().flatten();
    let mut programs: Vec<(String, String)> = files
        .filter_map(|file| {
            let path = file.path();
            let name = path.file_stem()?.to_str()?.to_owned();
            let main = if path.is_dir() {
                path.join("main.rs")
            } else {
                path
            };
            let text = fs::read_to_string(main).ok()?;
            Some((name, summary(&text)))
        })
        // They are no benchmarks: a command of its own, and a part of `bench`.
        .filter(|(name, _)| name != "simulate" && name != "plot")
        .collect();
    programs.sort();
    let values = programs
        .into_iter()
        .map(|(name, summary)| PossibleValue::new(name).help(summary));
    values.collect::<Vec<_>>().into()
}

/// The first sentence of the documentation of a file, without its full stop.
fn summary(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let text = words.join(" ");
    let end = text
        .find(". ")
        .or_else(|| text.strip_suffix('.').map(str::len));
    let sentence = &text[..end.unwrap_or(text.len())];
    sentence.split(": ").next().unwrap_or_default().to_owned()
}

impl Toolbox<'_> {
    /// Builds a program with these options of cargo, and returns its path.
    pub fn build(&self, package: &str, program: &str, options: &[&str]) -> Result<PathBuf> {
        let mut cargo = self.cargo();
        cargo
            .args(["build", "--package", package, "--bin", program])
            .args(options);
        let hdf5 = self.machine.hdf5.as_ref().and_then(Hdf5::feature);
        if let Some(feature) = hdf5.filter(|_| package == EXAMPLES) {
            cargo.args(["--features", feature]);
        }
        built(&mut cargo, program)
    }
}

/// Builds a program and returns its path, which cargo reports: the configuration of the user, or `CARGO_BUILD_TARGET`,
/// may move it.
fn built(cargo: &mut Command, program: &str) -> Result<PathBuf> {
    cargo.arg("--message-format=json-render-diagnostics");
    let mut path = None;
    run_job(cargo, Duration::MAX, |line| {
        path = path.take().or_else(|| executable(line, program));
    })
    .with_context(|| format!("cannot build {program}"))?;
    path.with_context(|| format!("cargo does not report the path of {program}"))
}

/// The path in a message of cargo's which reports that the program of this name is built.
fn executable(message: &str, program: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    (message["target"]["name"] == program).then_some(())?;
    Some(PathBuf::from(message["executable"].as_str()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_program_is_in_the_messages_of_cargo() {
        let message = r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"heat"},"executable":"/t/x/heat"}"#;
        assert_eq!(executable(message, "heat"), Some("/t/x/heat".into()));
        assert_eq!(executable(message, "lock"), None);
        assert_eq!(executable("not JSON", "heat"), None);
    }

    #[test]
    fn a_program_is_chosen_by_name_and_a_wrong_name_lists_all() {
        #[derive(clap::Parser, Debug)]
        struct Names {
            #[arg(value_parser = programs_in("examples"))]
            _example: String,
            #[arg(value_parser = programs_in("bench"))]
            _bench: String,
        }
        use clap::Parser;
        assert!(Names::try_parse_from(["xtask", "heat", "lock"]).is_ok());
        let error = Names::try_parse_from(["xtask", "heat", "simulate"]).unwrap_err();
        let error = error.to_string();
        let all = "[possible values: batch, channel, lock, python, region, sync]";
        assert!(error.contains(all), "{error}");
        let error = Names::try_parse_from(["xtask", "wrong", "lock"]).unwrap_err();
        assert!(error.to_string().contains("quickstart"), "{error}");
    }

    #[test]
    fn the_summary_of_a_program_is_the_first_sentence_of_its_documentation() {
        let text = "//! Heat spreads over a\n//! plate. Each step\n//! reads it.\n\nuse std::fs;\n";
        assert_eq!(summary(text), "Heat spreads over a plate");
        assert_eq!(summary("//! Counts words: one reads.\n"), "Counts words");
        assert_eq!(summary("use std::fs;"), "");
    }

    #[test]
    fn the_last_line_tells_how_many_datasets_there_are() {
        let line = "verified: 32 datasets in /tmp/results.h5";
        assert_eq!(verified(line), Some(32));
        assert_eq!(verified(&line.replace("32", "some")), None);
        assert_eq!(verified(&line.replace("verified", "error")), None);
    }
}
