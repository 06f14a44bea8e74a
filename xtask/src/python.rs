//! The package for Python: built with an MPI into an environment of its own, and tested on ranks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::launch::{Options, Toolbox};
use crate::process::{pass_on, run, run_job};
use crate::setup::Need;
use crate::wheels::{self, NUMPY};
use crate::workspace::Workspace;

/// What builds the package.
const MATURIN: &str = "maturin>=1.9,<2";

/// How long all tests may take.
const LIMIT: Duration = Duration::from_secs(1800);

/// `cargo xtask python`
#[derive(Args)]
pub struct Python {
    #[command(flatten)]
    options: Options,
    /// On how many ranks; 0 is without MPI
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [0, 1, 2, 4])]
    ranks: Vec<u32>,
    /// Only tests whose names contain one of these, after `--`
    #[arg(last = true)]
    names: Vec<String>,
}

impl Python {
    /// Builds the package with each of the chosen MPIs and runs its tests.
    pub fn run(&self, workspace: &Workspace) -> Result<()> {
        self.options
            .with_each_mpi(workspace, Need::Tests, None, |tools| {
                test(&tools, &self.ranks, &self.names).map(drop)
            })
    }
}

/// Builds the package and runs its tests. Returns how many have passed.
pub fn test(tools: &Toolbox<'_>, ranks: &[u32], names: &[String]) -> Result<usize> {
    let dir = tools.target().join("python-package");
    wheels::add_mpi4py(&dir, |pip| {
        tools.equip(pip);
        // Compiling it takes most of the time of this step; tests need no fast one.
        pip.env("CFLAGS", "-O0");
    })?;
    wheels::add(&dir, &[NUMPY], &[], |_| ())?;
    install(tools, &dir, &["--profile", "dev"])?;
    let mut tests = Command::new(dir.join("bin/python3"));
    tools.equip_for_ranks(&mut tests, 1)?;
    let family = tools.mpi.family;
    let words = |words: &[&str]| words.join("\n");
    let ranks: Vec<String> = ranks.iter().map(ToString::to_string).collect();
    tests
        .env("TEST_SURVIVAL", words(family.recovery_options()))
        .env("TEST_SURVIVAL_WRAPPER", words(family.recovery_wrapper()))
        // Without files of compiled code beside the tests.
        .args(["-B", "tests/harness.py", "--ranks", &ranks.join(",")])
        .args(names)
        .current_dir(package(tools));
    let mut passed = 0;
    run_job(&mut tests, LIMIT, |line| {
        pass_on(line);
        passed += passed_in(line);
    })?;
    match passed {
        0 => bail!("there is no test"),
        _ => Ok(passed),
    }
}

/// The directory of the package.
fn package(tools: &Toolbox<'_>) -> PathBuf {
    tools.workspace.root.join("python")
}

/// Builds the package with these options of maturin, and installs it into the environment `dir`.
pub fn install(tools: &Toolbox<'_>, dir: &Path, options: &[&str]) -> Result<()> {
    wheels::add(dir, &[MATURIN], &[], |_| ())?;
    let wheels = dir.join("wheels");
    if wheels.exists() {
        fs::remove_dir_all(&wheels)?;
    }
    let mut maturin = Command::new(dir.join("bin/maturin"));
    tools.equip(&mut maturin);
    maturin.args(["build", "--quiet"]).args(options);
    maturin.arg("--out").arg(&wheels);
    maturin.env("VIRTUAL_ENV", dir).current_dir(package(tools));
    run(&mut maturin).context("maturin cannot build the package")?;
    let mut pip = Command::new(dir.join("bin/python3"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps"])
        .args(["--disable-pip-version-check", "--force-reinstall"]);
    for wheel in fs::read_dir(&wheels)? {
        pip.arg(wheel?.path());
    }
    run(&mut pip).context("pip cannot install the package")
}

/// N of `N tests passed, …`.
fn passed_in(line: &str) -> usize {
    let count = line.split_once(" tests passed, ").map(|(count, _)| count);
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_counted() {
        assert_eq!(passed_in("23 tests passed, 0 failed, 6.1 s"), 23);
        assert_eq!(passed_in("on 2 ranks: 28 tests passed"), 0);
    }
}
