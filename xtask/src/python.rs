//! The package for Python: built with an MPI into an environment of its own, and tested on ranks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::launch::{Options, Toolbox};
use crate::process::{run, run_tests};
use crate::setup::Need;
use crate::wheels::{self, NUMPY};
use crate::workspace::Workspace;

/// What builds the package.
const MATURIN: &str = "maturin>=1.9,<2";

/// How long all tests may take.
const LIMIT: Duration = Duration::from_secs(3600);

/// On how many ranks the package's own tests run, also those of the drop-in modules over nodes, and those of the originals.
const RANKS: [u32; 4] = [0, 1, 2, 4];
const RANKS_ON_NODES: [u32; 2] = [2, 4];
const RANKS_OF_ORIGINALS: [u32; 6] = [1, 2, 3, 4, 5, 7];

/// What the names of the tests of drop-in modules begin with.
const DROP_IN: &str = "compat";

/// `cargo xtask python`
#[derive(Args)]
pub struct Python {
    #[command(flatten)]
    options: Options,
    /// On how many ranks; 0 is without MPI [default: 0,1,2,4; with --nodes 2,4; with --originals 1,2,3,4,5,7]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    ranks: Vec<u32>,
    /// Run the tests of the packages that the drop-in modules replace, which are fetched from PyPI, and not the package's own
    #[arg(long)]
    originals: bool,
    /// Run the tests of the drop-in modules, with each rank as a node of its own
    #[arg(long, conflicts_with = "originals")]
    nodes: bool,
    /// Only tests whose names contain one of these, or with --originals only these packages, after `--`
    #[arg(last = true)]
    names: Vec<String>,
}

impl Python {
    /// Builds the package with each of the chosen MPIs and runs its tests.
    pub fn run(&self, workspace: &Workspace) -> Result<()> {
        let names: Vec<&str> = match &*self.names {
            [] if self.nodes => vec![DROP_IN],
            names => names.iter().map(String::as_str).collect(),
        };
        let chosen = |default: &[u32]| match &*self.ranks {
            [] => default.to_owned(),
            ranks => ranks.to_owned(),
        };
        self.options
            .with_each_mpi(workspace, Need::Tests, None, |tools| {
                let package = Package::install(&tools)?;
                let passed = match (self.originals, self.nodes) {
                    (true, _) => package.test_originals(&chosen(&RANKS_OF_ORIGINALS), &names),
                    (_, true) => package.test_on_nodes(&chosen(&RANKS_ON_NODES), &names),
                    _ => package.test(&chosen(&RANKS), &names),
                };
                passed.map(drop)
            })
    }
}

/// The package, built with an MPI and installed into an environment of its own.
pub struct Package<'a> {
    tools: &'a Toolbox<'a>,
    environment: PathBuf,
}

impl<'a> Package<'a> {
    /// Builds and installs it.
    pub fn install(tools: &'a Toolbox<'a>) -> Result<Self> {
        let environment = tools.target().join("python-package");
        wheels::add_mpi4py(&environment, |pip| {
            tools.equip(pip);
            // Compiling it takes most of the time; tests need no fast one.
            pip.env("CFLAGS", "-O0");
        })?;
        wheels::add(&environment, &[NUMPY], &[], |_| ())?;
        install(tools, &environment, &["--profile", "dev"])?;
        Ok(Self { tools, environment })
    }

    /// Runs all of its tests, and those of the originals.
    pub fn test_all(&self) -> Result<usize> {
        let own = self.test(&RANKS, &[])?;
        let on_nodes = self.test_on_nodes(&RANKS_ON_NODES, &[DROP_IN])?;
        Ok(own + on_nodes + self.test_originals(&RANKS_OF_ORIGINALS, &[])?)
    }

    /// Runs its tests, and of those of the originals what takes seconds.
    pub fn test_briefly(&self) -> Result<usize> {
        Ok(self.test(&RANKS, &[])? + self.test_originals(&[2], &["mpi4py.util.sync"])?)
    }

    /// Runs its tests. Returns how many have passed.
    fn test(&self, ranks: &[u32], names: &[&str]) -> Result<usize> {
        self.run(self.own_tests()?, ranks, names)
    }

    /// Runs its tests with each rank as a node of its own.
    fn test_on_nodes(&self, ranks: &[u32], names: &[&str]) -> Result<usize> {
        let mut tests = self.own_tests()?;
        // A rank that has died is a host that does not answer, as the others find after this time.
        tests
            .env("MPISYNC_NODE", "rank")
            .env("MPISYNC_SILENCE", "5");
        self.run(tests, ranks, names)
    }

    /// Runs the tests of the packages that the drop-in modules replace, or of those that are named.
    fn test_originals(&self, ranks: &[u32], packages: &[&str]) -> Result<usize> {
        let mut tests = self.tests("tests/compat/originals.py")?;
        // They are the same for each MPI.
        tests
            .arg("--dir")
            .arg(self.tools.workspace.target.join("originals"));
        self.run(tests, ranks, packages)
    }

    fn own_tests(&self) -> Result<Command> {
        let mut tests = self.tests("tests/harness.py")?;
        let family = self.tools.mpi.family;
        let words = |words: &[&str]| words.join("\n");
        tests
            .env("TEST_SURVIVAL", words(family.recovery_options()))
            .env("TEST_SURVIVAL_WRAPPER", words(family.recovery_wrapper()));
        Ok(tests)
    }

    /// A program that runs tests on ranks.
    fn tests(&self, program: &str) -> Result<Command> {
        let mut tests = Command::new(self.environment.join("bin/python3"));
        self.tools.equip_for_ranks(&mut tests, 1)?;
        // Without files of compiled code beside the tests.
        tests.args(["-B", program]).current_dir(source(self.tools));
        Ok(tests)
    }

    fn run(&self, mut tests: Command, ranks: &[u32], names: &[&str]) -> Result<usize> {
        let ranks: Vec<String> = ranks.iter().map(ToString::to_string).collect();
        tests.args(["--ranks", &ranks.join(",")]).args(names);
        run_tests(&mut tests, LIMIT, passed_in)
    }
}

/// The directory with the package's source.
fn source(tools: &Toolbox<'_>) -> PathBuf {
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
    maturin.env("VIRTUAL_ENV", dir).current_dir(source(tools));
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
