//! Building one of the workspace's programs and running it on ranks: `cargo xtask run` and `cargo xtask bench`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::hdf5::Hdf5;
use crate::hosts::Hosts;
use crate::launch::Toolbox;
use crate::mpi::{Choice, Mpi};
use crate::peers::Peers;
use crate::process::{pass_on, run as run_program, run_job};
use crate::report::say;
use crate::setup::{self, Machine, Need};
use crate::workspace::Workspace;

/// A program of the workspace, to be built and run.
pub struct Job {
    /// The package it is in.
    pub package: &'static str,
    /// Its name.
    pub program: String,
    /// How it is built.
    pub build: Build,
    /// On how many ranks it runs.
    pub ranks: u32,
    /// On how many hosts, if not on this one.
    pub hosts: Option<u32>,
    /// Its arguments.
    pub args: Vec<String>,
}

/// Cargo's profiles, as far as they are used here.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// Quick to build.
    Debug,
    /// Quick to run.
    Release,
}

/// Runs an example on each of the chosen MPIs.
pub fn run(workspace: &Workspace, choice: &Choice, job: &Job, limit: Duration) -> Result<()> {
    check_name(workspace, "examples", &job.program)?;
    let (hosts, choice) = up(workspace, job.hosts, choice)?;
    let machine = setup::prepare(workspace, &choice, Need::MpiAndHdf5)?;
    for mpi in &machine.mpis {
        let tools = Toolbox::new(workspace, &machine, mpi, limit).on(hosts.as_ref());
        let program = build(&tools, &machine, job.package, &job.program, job.build)?;
        let args: Vec<OsString> = job.args.iter().map(OsString::from).collect();
        tools.launch(job.ranks, &program, &args, pass_on)?;
    }
    Ok(())
}

/// Runs a benchmark on each of the chosen MPIs.
pub fn bench(
    workspace: &Workspace,
    choice: &Choice,
    job: &Job,
    json: Option<&Path>,
    limit: Duration,
) -> Result<()> {
    check_name(workspace, "bench", &job.program)?;
    let (hosts, choice) = up(workspace, job.hosts, choice)?;
    let machine = setup::prepare(workspace, &choice, Need::Mpi)?;
    for mpi in &machine.mpis {
        let tools = Toolbox::new(workspace, &machine, mpi, limit).on(hosts.as_ref());
        let peers = Peers {
            workspace,
            tools: &tools,
            job,
        };
        let (program, figures) = peers.measure()?;
        let mut args: Vec<OsString> = job.args.iter().map(OsString::from).collect();
        args.extend(figures);
        if let Some(json) = json {
            let several = machine.mpis.len() > 1;
            let file = if several {
                named_after(json, mpi)
            } else {
                json.to_owned()
            };
            args.extend([
                OsString::from("--json"),
                std::path::absolute(file)?.into_os_string(),
            ]);
        }
        launch_until_complete(tools, job, &program, &args)?;
    }
    Ok(())
}

/// Runs a benchmark, and again without a subject that stood still: a job in which one does cannot go on. The benchmark
/// keeps a record of what it has measured, and of what stood still.
fn launch_until_complete(
    tools: Toolbox<'_>,
    job: &Job,
    program: &Path,
    args: &[OsString],
) -> Result<()> {
    let record = tools.target().join(format!("{}-record.json", job.program));
    if record.exists() {
        fs::remove_file(&record)?;
    }
    let tools = tools.with("MPISYNC_BENCH_RECORD", &record);
    let mut still = 0;
    while let Err(error) = tools.launch(job.ranks, program, args, pass_on) {
        let now = stood_still(&fs::read_to_string(&record).unwrap_or_default());
        if now <= still {
            return Err(error);
        }
        still = now;
        say("the benchmark goes on without what stood still");
    }
    if record.exists() {
        fs::remove_file(&record)?;
    }
    // A job that only prints its help does not measure, and does not talk.
    if job.args.iter().any(|argument| argument == "--help") {
        return Ok(());
    }
    tools.check_traffic()
}

/// How many subjects stood still, in the record of a benchmark.
fn stood_still(record: &str) -> usize {
    let outcomes = serde_json::from_str(record);
    let outcomes: Vec<serde_json::Value> = outcomes.unwrap_or_default();
    let had_no_end = |outcome: &&serde_json::Value| !outcome["no_end_in"].is_null();
    outcomes.iter().filter(had_no_end).count()
}

/// Runs the simulation, which is one process and starts no MPI.
pub fn simulate(workspace: &Workspace, choice: &Choice, args: &[OsString]) -> Result<()> {
    let machine = setup::prepare(workspace, choice, Need::Mpi)?;
    let tools = Toolbox::new(workspace, &machine, &machine.mpis[0], Duration::ZERO);
    let program = build(
        &tools,
        &machine,
        "mpisync-bench",
        "simulate",
        Build::Release,
    )?;
    let mut command = Command::new(program);
    command.args(args);
    tools.equip(&mut command);
    run_program(&mut command)
}

/// Runs the tests' soak for so many seconds.
pub fn soak(
    workspace: &Workspace,
    choice: &Choice,
    seconds: u64,
    ranks: u32,
    hosts: Option<u32>,
) -> Result<()> {
    const START_AND_END: u64 = 60;
    let (hosts, choice) = up(workspace, hosts, choice)?;
    let machine = setup::prepare(workspace, &choice, Need::Mpi)?;
    let limit = Duration::from_secs(seconds + START_AND_END);
    for mpi in &machine.mpis {
        let tools = Toolbox::new(workspace, &machine, mpi, limit).on(hosts.as_ref());
        let program = build(&tools, &machine, "mpisync-tests", "ranks", Build::Release)?;
        // Not in /dev/shm, of which every host has its own.
        let directory = workspace.target.join("soak");
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("seconds"), seconds.to_string())?;
        let arguments = [directory.into_os_string(), "soak".into()];
        tools.launch(ranks, &program, &arguments, pass_on)?;
        tools.check_traffic()?;
    }
    Ok(())
}

/// Sets up so many hosts, if any, and says which MPIs to use on them: before anything is installed or built.
fn up(
    workspace: &Workspace,
    hosts: Option<u32>,
    choice: &Choice,
) -> Result<(Option<Hosts>, Choice)> {
    let Some(count) = hosts else {
        return Ok((None, choice.clone()));
    };
    let hosts = Hosts::up(count, workspace)?;
    let choice = hosts.choose(workspace, choice.clone())?;
    Ok((Some(hosts), choice))
}

/// Runs any program over hosts, with each of the chosen MPIs.
pub fn cluster(
    workspace: &Workspace,
    choice: &Choice,
    hosts: u32,
    ranks: u32,
    command: &[OsString],
    limit: Duration,
) -> Result<()> {
    let (hosts, choice) = up(workspace, Some(hosts), choice)?;
    let machine = setup::prepare(workspace, &choice, Need::Mpi)?;
    for mpi in &machine.mpis {
        let tools = Toolbox::new(workspace, &machine, mpi, limit).on(hosts.as_ref());
        tools.launch(ranks, Path::new(&command[0]), &command[1..], pass_on)?;
    }
    Ok(())
}

/// Builds a program and says where it is.
pub fn build(
    tools: &Toolbox<'_>,
    machine: &Machine,
    package: &str,
    program: &str,
    build: Build,
) -> Result<PathBuf> {
    let hdf5 = machine.hdf5.as_ref().and_then(Hdf5::feature);
    let features = hdf5.filter(|_| package == "mpisync-examples");
    build_with(tools, package, program, build, features.as_slice())
}

/// Builds a program with features of its package, and says where it is.
pub fn build_with(
    tools: &Toolbox<'_>,
    package: &str,
    program: &str,
    build: Build,
    features: &[&str],
) -> Result<PathBuf> {
    let mut cargo = tools.cargo();
    cargo.args(["build", "--package", package, "--bin", program]);
    if build == Build::Release {
        cargo.arg("--release");
    }
    if !features.is_empty() {
        cargo.args(["--features", &features.join(",")]);
    }
    // Cargo says where it puts the program: the configuration of the user, or `CARGO_BUILD_TARGET`, may move it.
    cargo.arg("--message-format=json-render-diagnostics");
    let mut built = None;
    run_job(&mut cargo, Duration::MAX, |line| {
        built = built.take().or_else(|| executable(line, program));
    })
    .with_context(|| format!("cannot build {program}"))?;
    built.with_context(|| format!("cargo does not say where {program} is"))
}

/// The path in a message of cargo's that says that the program of this name is built.
fn executable(message: &str, program: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    (message["target"]["name"] == program).then_some(())?;
    Some(PathBuf::from(message["executable"].as_str()?))
}

/// The programs of the package in this directory of the workspace.
fn names(workspace: &Workspace, dir: &str) -> Result<Vec<String>> {
    let bin = workspace.root.join(dir).join("src/bin");
    let entries = fs::read_dir(&bin).with_context(|| format!("cannot read {}", bin.display()))?;
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "rs")
                || path.join("main.rs").is_file()
        })
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort_unstable();
    Ok(names)
}

fn check_name(workspace: &Workspace, dir: &str, name: &str) -> Result<()> {
    let names = names(workspace, dir)?;
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    bail!("there is no `{name}`; there are: {}", names.join(", "))
}

/// `figures.json` becomes `figures.openmpi-4.1.4.json`.
fn named_after(file: &Path, mpi: &Mpi) -> PathBuf {
    let mut extension = OsString::from(format!("{}-{}", mpi.family.name(), mpi.version));
    if let Some(last) = file.extension() {
        extension.push(".");
        extension.push(last);
    }
    file.with_extension(extension)
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
    fn subjects_that_stood_still_are_counted() {
        let record =
            r#"[{"subject":"a","no_end_in":20},{"subject":"b","no_end_in":null},{"subject":"c"}]"#;
        assert_eq!(stood_still(record), 1);
        assert_eq!(stood_still(""), 0);
    }

    #[test]
    fn programs_are_found_by_what_is_in_the_workspace() {
        let workspace = Workspace::find().unwrap();
        assert!(
            names(&workspace, "bench")
                .unwrap()
                .contains(&String::from("lock"))
        );
        let error = check_name(&workspace, "bench", "no_such_bench")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`no_such_bench`") && error.contains("lock"),
            "{error}"
        );
    }
}
