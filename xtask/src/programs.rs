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
use crate::process::{pass_on, run as run_program};
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
    let machine = setup::prepare(workspace, choice, Need::MpiAndHdf5)?;
    let hosts = up(workspace, job.hosts)?;
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
    let machine = setup::prepare(workspace, choice, Need::Mpi)?;
    let hosts = up(workspace, job.hosts)?;
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
        tools.launch(job.ranks, &program, &args, pass_on)?;
    }
    Ok(())
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
    let machine = setup::prepare(workspace, choice, Need::Mpi)?;
    let hosts = up(workspace, hosts)?;
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
    }
    Ok(())
}

/// Sets up so many hosts, if any.
fn up(workspace: &Workspace, hosts: Option<u32>) -> Result<Option<Hosts>> {
    hosts
        .map(|count| Hosts::up(count, &workspace.target))
        .transpose()
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
    let machine = setup::prepare(workspace, choice, Need::Mpi)?;
    let hosts = Hosts::up(hosts, &workspace.target)?;
    for mpi in &machine.mpis {
        let tools = Toolbox::new(workspace, &machine, mpi, limit).on(Some(&hosts));
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
    run_program(&mut cargo).with_context(|| format!("cannot build {program}"))?;
    let profile = if build == Build::Release {
        "release"
    } else {
        "debug"
    };
    Ok(tools.target().join(profile).join(program))
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
