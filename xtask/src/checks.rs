//! `cargo xtask test`: every check, one step after another, up to the first that fails.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;

use crate::cargo_test;
use crate::examples;
use crate::hdf5::Hdf5;
use crate::hosts::Hosts;
use crate::launch::Toolbox;
use crate::memory;
use crate::mpi::Choice;
use crate::peers;
use crate::process::{output_of, run as run_program};
use crate::pshmem;
use crate::report::{say, seconds};
use crate::setup::{self, Machine, Need};
use crate::workspace::{Workspace, on_path};

/// The features of the library that do not come by themselves.
const FEATURES: &str =
    "mpisync/bytemuck,mpisync/cli,mpisync/futures,mpisync/half,mpisync/num-complex";

/// A check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// The code is formatted as rustfmt does it
    Fmt,
    /// Clippy has nothing to say about any crate, and rustdoc nothing about the published ones
    Clippy,
    /// Unit tests and doc tests of the library, with MPI and without, and of all that comes with it
    Unit,
    /// What needs no MPI, under AddressSanitizer and valgrind, where these are there
    Memory,
    /// The lock's protocols under the model checker
    Loom,
    /// What must not compile does not, and the compiler says why
    Ui,
    /// Integration tests on real ranks, with each MPI
    Ranks,
    /// The examples on 4 ranks, most on 1 to 8 too, and one that is killed and started again, with each MPI
    Examples,
    /// Integration tests on ranks over several hosts, with each MPI
    Hosts,
}

impl Step {
    /// The name on the command line.
    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// How often the step runs.
    const fn times(self) -> Times {
        match self {
            Self::Ranks | Self::Examples => Times::OnEachMpi,
            Self::Hosts => Times::OnHosts,
            _ => Times::Once,
        }
    }
}

/// How often a step runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    Once,
    OnEachMpi,
    /// With each MPI, over each number of hosts.
    OnHosts,
}

/// What was asked for.
pub struct Wanted {
    /// These steps, or all.
    pub only: Vec<Step>,
    /// Over so many hosts.
    pub hosts: Vec<u32>,
    /// Of the tests on ranks, only those whose names contain one of these.
    pub names: Vec<String>,
    /// How long the test programs of one step may take together, when they are built. Each MPI job in them has its own,
    /// shorter limit.
    pub step_limit: Duration,
}

/// Prints the steps.
pub fn list() {
    for step in Step::value_variants() {
        if let Some(value) = step.to_possible_value() {
            println!(
                "{:9} {}",
                value.get_name(),
                value
                    .get_help()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            );
        }
    }
}

/// Runs the steps that were asked for.
pub fn run(workspace: &Workspace, choice: &Choice, wanted: &Wanted, limit: Duration) -> Result<()> {
    let start = Instant::now();
    let machine = setup::prepare(workspace, choice, Need::Tests)?;
    let checks = Checks {
        workspace,
        machine: &machine,
        limit,
        names: &wanted.names,
        step_limit: wanted.step_limit,
    };
    let steps = |times: Times| {
        let all = Step::value_variants().iter().copied();
        all.filter(move |step| step.times() == times)
            .filter(|step| wanted.only.is_empty() || wanted.only.contains(step))
    };
    for step in steps(Times::Once) {
        checks.announced(step, &checks.tools(0))?;
    }
    for index in 0..machine.mpis.len() {
        for step in steps(Times::OnEachMpi) {
            checks.announced(step, &checks.tools(index))?;
        }
    }
    for _ in steps(Times::OnHosts) {
        for &count in &wanted.hosts {
            let hosts = Hosts::up(count, workspace)?.for_tests();
            for index in 0..machine.mpis.len() {
                checks.on_hosts(&hosts, &checks.tools(index).on(Some(&hosts)))?;
            }
        }
    }
    say(format!("all checks passed, {}", seconds(start.elapsed())));
    Ok(())
}

struct Checks<'a> {
    workspace: &'a Workspace,
    machine: &'a Machine,
    limit: Duration,
    names: &'a [String],
    step_limit: Duration,
}

impl Checks<'_> {
    fn tools(&self, index: usize) -> Toolbox<'_> {
        Toolbox::new(
            self.workspace,
            self.machine,
            &self.machine.mpis[index],
            self.limit,
        )
    }

    /// Runs a step, and says that it begins, how it ends and how to repeat it.
    fn announced(&self, step: Step, tools: &Toolbox<'_>) -> Result<()> {
        let title = if step.times() == Times::OnEachMpi {
            format!("{} with {}", step.name(), tools.mpi)
        } else {
            step.name()
        };
        say(format!("== {title}"));
        let start = Instant::now();
        let passed = self.step(step, tools).map_err(|error| {
            let mpi = tools.mpi.mpicc.display();
            anyhow!(
                "{title}: {error:#}\nTo repeat it: cargo xtask test --only {} --mpi {mpi}",
                step.name()
            )
        })?;
        let tests = if passed > 0 {
            format!("{passed} tests, ")
        } else {
            String::new()
        };
        say(format!(
            "== {title}: passed, {tests}{}",
            seconds(start.elapsed())
        ));
        Ok(())
    }

    /// Runs the rank tests that are about any number of nodes over these hosts: those on 4 ranks over 2 hosts, those on
    /// 3 over 3, one a host.
    fn on_hosts(&self, hosts: &Hosts, tools: &Toolbox<'_>) -> Result<()> {
        let title = format!("ranks with {} on {}", tools.mpi, hosts.describe(tools.mpi));
        if let Some(reason) = hosts.fault(tools.mpi) {
            say(format!(
                "== {title}: left out, it needs network namespaces ({reason})"
            ));
            return Ok(());
        }
        let ranks = if hosts.count() == 2 { 4 } else { hosts.count() };
        say(format!("== {title}, {ranks} ranks"));
        let start = Instant::now();
        let mut cargo = self.workspace.cargo();
        tools.equip_tests(&mut cargo, ranks)?;
        let without = self.equip_with_pshmem(&mut cargo);
        cargo
            .args(["test", "-p", "mpisync-tests", "--test", "*", "--"])
            .args(without)
            .args(self.names_with(&format!("on_{ranks}_ranks")))
            .args(["--skip", "one_node"]);
        let mpi = tools.mpi;
        if !mpi.family.survives_deaths_over_hosts(&mpi.version) {
            say(format!(
                "the deaths of ranks are left out: {mpi} ends the whole job then"
            ));
            cargo.args(["--skip", "dies", "--skip", "never_comes"]);
        }
        if hosts.are_pretended(mpi) {
            say(format!(
                "the deaths of ranks that send much are left out: {mpi} has the kernel read their memory, and ends who reads"
            ));
            cargo.args([
                "--skip",
                "publisher_of_a_region",
                "--skip",
                "root_of_a_region",
            ]);
        }
        let passed = self.tests(&mut cargo).with_context(|| title.clone())?;
        hosts.check_traffic(tools.mpi)?;
        let took = seconds(start.elapsed());
        say(format!("== {title}: passed, {passed} tests, {took}"));
        Ok(())
    }

    /// The Python for the tests that take one, or what leaves these tests out: where PyPI cannot be reached, say.
    fn equip_with_pshmem(&self, cargo: &mut Command) -> &'static [&'static str] {
        match pshmem::python(self.workspace) {
            Ok(python) => {
                cargo.env("MPISYNC_PSHMEM", python);
                &[]
            }
            Err(error) => {
                say(format!("the tests with pshmem are left out: {error:#}"));
                &["--skip", "pshmem_"]
            }
        }
    }

    /// The names of the tests to run that end like this: of themes, and of single tests.
    fn names_with(&self, ending: &str) -> Vec<String> {
        if self.names.is_empty() {
            return vec![ending.to_owned()];
        }
        let both = |name: &String| [format!("{name}::{ending}"), format!("{name}_{ending}")];
        self.names.iter().flat_map(both).collect()
    }

    /// Runs a step and counts its tests.
    fn step(&self, step: Step, tools: &Toolbox<'_>) -> Result<usize> {
        match step {
            Step::Fmt => {
                self.component("rustfmt", "fmt")?;
                run_program(self.workspace.cargo().args(["fmt", "--all", "--check"]))
                    .context("`cargo fmt --all` puts it right")?;
                Ok(0)
            }
            Step::Clippy => {
                self.component("clippy", "clippy")?;
                let mut clippy = tools.cargo();
                clippy
                    .args(["clippy", "--workspace", "--all-targets"])
                    .args(self.features());
                if let Ok(feature) = peers::feature(tools.mpi) {
                    clippy.args(["--features", &format!("mpisync-bench/{feature}")]);
                }
                run_program(clippy.args(["--", "-D", "warnings"]))?;
                let sets: [&[&str]; 4] = [
                    &[],
                    &["--features", FEATURES],
                    &["--no-default-features"],
                    &["--no-default-features", "--features", "mpisync/region"],
                ];
                for features in sets {
                    let mut doc = tools.cargo();
                    doc.env("RUSTDOCFLAGS", "-D warnings")
                        .args(["doc", "--no-deps", "-p", "mpisync", "-p", "mpisync-macros"])
                        .args(features);
                    run_program(&mut doc)?;
                }
                Ok(0)
            }
            Step::Unit => {
                let mut with_mpi = tools.cargo();
                with_mpi.arg("test").args(self.features());
                for package in [
                    "mpisync",
                    "mpisync-macros",
                    "mpisync-examples",
                    "mpisync-bench",
                ] {
                    with_mpi.args(["-p", package]);
                }
                let with_mpi = self.tests(&mut with_mpi)?;
                // The examples in the documentation start MPI, so here it is the tests alone.
                let without = self.tests(tools.cargo().args(memory::TESTS_WITHOUT_MPI))?;
                let own = ["test", "-p", "process-tree", "-p", "xtask"];
                let own = self.tests(self.workspace.cargo().args(own))?;
                Ok(with_mpi + without + own)
            }
            Step::Memory => memory::check(self.workspace, self.step_limit),
            Step::Loom => {
                let mut cargo = self.workspace.cargo();
                cargo
                    .env("CARGO_TARGET_DIR", self.workspace.target.join("loom"))
                    .env("RUSTFLAGS", "--cfg loom");
                cargo.args([
                    "test",
                    "--release",
                    "-p",
                    "mpisync",
                    "--no-default-features",
                    "--lib",
                    "loom",
                ]);
                self.tests(&mut cargo)
            }
            Step::Ui => self.tests(tools.cargo().args(["test", "-p", "mpisync-ui-tests"])),
            Step::Ranks => {
                let mut cargo = self.workspace.cargo();
                tools.equip_tests(&mut cargo, 1)?;
                let without = self.equip_with_pshmem(&mut cargo);
                cargo.args(["test", "-p", "mpisync-tests"]);
                if !self.names.is_empty() {
                    cargo.args(["--test", "*"]);
                }
                self.tests(cargo.arg("--").args(self.names).args(without))
            }
            // Once for each number of hosts.
            Step::Hosts => Ok(0),
            Step::Examples => {
                examples::check(self.workspace, tools, self.machine)?;
                Ok(0)
            }
        }
    }

    /// Runs `cargo test` and counts its tests.
    fn tests(&self, cargo: &mut Command) -> Result<usize> {
        cargo_test::tests(cargo, self.step_limit)
    }

    /// The features that a build of the whole workspace takes.
    fn features(&self) -> [String; 2] {
        let hdf5 = self.machine.hdf5.as_ref().and_then(Hdf5::feature);
        let mut features = vec![FEATURES.to_owned()];
        features.extend(hdf5.map(|feature| format!("mpisync-examples/{feature}")));
        ["--features".to_owned(), features.join(",")]
    }

    /// Installs a component of the Rust toolchain if it is not there.
    fn component(&self, name: &str, subcommand: &str) -> Result<()> {
        if output_of(self.workspace.cargo().args([subcommand, "--version"])).is_some() {
            return Ok(());
        }
        let Some(rustup) = on_path("rustup") else {
            bail!("the Rust toolchain has no {name}, and there is no rustup to install it with");
        };
        say(format!(
            "installing {name}, a component of the Rust toolchain"
        ));
        add_component(&rustup, name)
    }
}

fn add_component(rustup: &Path, name: &str) -> Result<()> {
    run_program(Command::new(rustup).args(["component", "add", name]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_are_in_the_order_from_quick_to_slow() {
        let names: Vec<String> = Step::value_variants()
            .iter()
            .map(|step| step.name())
            .collect();
        assert_eq!(
            names,
            [
                "fmt", "clippy", "unit", "memory", "loom", "ui", "ranks", "examples", "hosts"
            ]
        );
    }
}
