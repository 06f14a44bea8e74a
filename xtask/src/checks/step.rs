//! What each step runs.

use std::process::Command;
use std::ptr;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Step, Test};
use crate::hdf5::Hdf5;
use crate::launch::Toolbox;
use crate::peers;
use crate::process::{run, run_tests, say};
use crate::python::Package;
use crate::setup::Machine;
use crate::wheels;

/// The features of the library that are not default ones.
const FEATURES: &str = "mpisync/bytemuck,mpisync/futures,mpisync/half,mpisync/inspect,mpisync/num-complex,mpisync/progress,mpisync/trace,mpisync/tracing";

/// What each step selects of the workspace. Cargo unites the features of what is selected, so with a smaller selection it would
/// build the library and its dependencies once more.
const ALL: &str = "--workspace";

/// The test targets with `test = false`, which cargo does not count among all targets.
const BY_NAME_ONLY: &str = "--test attribute --test examples --test faults --test programs --test ranks --test reports --test ui";

/// Models of three ranks that take half a minute or longer each, with one preemption.
const LONG_MODELS: [&str; 3] = [
    "loom::an_impatient_reader_and_an_impatient_writer",
    "loom::bias::a_reader_and_two_writers",
    "loom::bias::two_readers_and_a_writer",
];

/// The published packages for tests of users. They are documented apart from the library, whose features they fix.
const FOR_TESTS: &str = "-p mpisync-test -p mpisync-test-macros -p mpisync-launcher";

impl Test {
    /// Runs a step and counts its tests.
    pub(super) fn step(&self, step: Step, tools: &Toolbox<'_>) -> Result<usize> {
        let workspace = tools.workspace;
        match step {
            Step::Fmt => {
                workspace.add_component("rustfmt", "fmt")?;
                run(workspace.cargo().args(["fmt", "--all", "--check"]))
                    .context("`cargo fmt --all` puts it right")?;
                Ok(0)
            }
            Step::Clippy => {
                workspace.add_component("clippy", "clippy")?;
                let mut options = features(tools.machine);
                if let Ok(feature) = peers::feature(tools.mpi) {
                    options.push(format!("--features=mpisync-bench/{feature}"));
                }
                for targets in ["--all-targets", BY_NAME_ONLY] {
                    let mut clippy = tools.cargo();
                    clippy
                        .args(["clippy", "--workspace"])
                        .args(targets.split(' '));
                    run(clippy.args(&options).args(["--", "-D", "warnings"]))?;
                }
                let sets: [&[&str]; 4] = [
                    &["--features", FEATURES],
                    &["--no-default-features"],
                    &[],
                    &["--no-default-features", "--features", "mpisync/region"],
                ];
                let sets = &sets[..if self.is_whole(step) { 4 } else { 2 }];
                for &features in sets {
                    let mut doc = tools.cargo();
                    doc.env("RUSTDOCFLAGS", "-D warnings");
                    doc.args(["doc", "--no-deps", "-p", "mpisync", "-p", "mpisync-macros"]);
                    run(doc.args(features))?;
                }
                for packages in ["-p mpisync-cli", FOR_TESTS] {
                    let mut doc = tools.cargo();
                    doc.env("RUSTDOCFLAGS", "-D warnings");
                    run(doc.args(["doc", "--no-deps"]).args(packages.split(' ')))?;
                }
                Ok(0)
            }
            Step::Unit => {
                let (mut cargo, mut skip) = (tools.cargo(), Vec::new());
                if let Some(chromium) = &tools.machine.chromium {
                    cargo.env("TEST_CHROMIUM", chromium);
                } else {
                    say("the tests of the timeline's page are left out: there is no Chromium");
                    skip.extend(["--skip", "in_chromium"].map(String::from));
                }
                let with_mpi = self.targets(cargo, tools, &[], &skip)?;
                let is_whole = self.is_whole(Step::Unit);
                let without = is_whole.then(|| self.without_mpi(workspace));
                Ok(with_mpi + without.transpose()?.unwrap_or(0))
            }
            Step::Memory => {
                let sanitizer = self.under_sanitizer(workspace)?;
                let is_whole = self.is_whole(Step::Memory);
                let valgrind = is_whole.then(|| self.under_valgrind(workspace));
                Ok(sanitizer + valgrind.transpose()?.unwrap_or(0))
            }
            Step::Loom => {
                let mut cargo = workspace.cargo();
                cargo.env("CARGO_TARGET_DIR", workspace.target.join("loom"));
                cargo.env("RUSTFLAGS", "--cfg loom");
                let mut skip = Vec::new();
                if !self.is_whole(Step::Loom) {
                    // Each model has a bound of its own, which is mostly two: minutes in place of seconds.
                    cargo.env("LOOM_MAX_PREEMPTIONS", "1");
                    skip.push("--".to_owned());
                    skip.extend(
                        LONG_MODELS
                            .iter()
                            .flat_map(|name| ["--skip", name])
                            .map(String::from),
                    );
                }
                let arguments = "--release -p mpisync --no-default-features --lib loom";
                self.tests(cargo, arguments, &skip)
            }
            Step::Ui => self.targets(tools.cargo(), tools, &["ui"], &[]),
            Step::Ranks => {
                let options: &[&str] = match () {
                    () if self.is_whole(Step::Ranks) || !self.names.is_empty() => &[],
                    () if is_first(tools) => &["--own-jobs-once"],
                    () => &["--ranks", "4"],
                };
                // Names are those of the library's own tests.
                let of_users = match self.names.is_empty() {
                    true => {
                        let cargo = tools.cargo_for_ranks(1)?;
                        self.targets(cargo, tools, &["attribute", "reports"], &[])?
                    }
                    false => 0,
                };
                Ok(self.ranks(tools, 1, options)? + of_users)
            }
            Step::Abi => self.ranks(tools, 1, &["--ranks", "4", "--shared-jobs"]),
            Step::Faults => {
                let cargo = tools.cargo_for_ranks(1)?;
                self.targets(cargo, tools, &["faults"], &self.names)
            }
            Step::Examples => {
                let programs = tools.cargo_for_ranks(1)?;
                let programs = self.targets(programs, tools, &["programs"], &[])?;
                let mut examples = tools.cargo_for_ranks(1)?;
                examples.env("RUST_TEST_THREADS", "1");
                if !is_first(tools) && !self.is_whole(Step::Examples) {
                    examples.env("TEST_RANKS", "4");
                }
                Ok(programs + self.targets(examples, tools, &["examples"], &[])?)
            }
            Step::Python if !(wheels::has_pip() && wheels::has_headers()) => {
                say("left out: Python 3 has no pip, or no headers to build mpi4py with");
                Ok(0)
            }
            Step::Python if self.is_whole(Step::Python) => Package::install(tools)?.test_all(),
            Step::Python if is_first(tools) => Package::install(tools)?.test_briefly(),
            Step::Python => {
                say("left out: without --thorough, only the first MPI runs it");
                Ok(0)
            }
            Step::Hosts => self.on_hosts(tools),
            Step::HostFaults => self.faults_on_hosts(tools),
        }
    }

    /// Whether a step runs with what takes long in it.
    pub(super) fn is_whole(&self, step: Step) -> bool {
        self.thorough || self.only.contains(&step)
    }

    /// Runs the tests with ranks. Over hosts the launcher starts this number of `ranks`, and on one host any number.
    fn ranks(&self, tools: &Toolbox<'_>, ranks: u32, options: &[&str]) -> Result<usize> {
        // With its own tests, cargo builds the programs that ranks start. `cargo build` would unite other features.
        let mut programs = tools.cargo();
        programs.args(["test", ALL, "--no-run", "--test", "cli"]);
        run(programs.args(features(tools.machine)))?;
        let mut cargo = tools.cargo_for_ranks(ranks)?;
        cargo.env("TEST_PROGRAMS", "built");
        let mut names = self.names.clone();
        names.extend(options.iter().map(|&option| option.to_owned()));
        match wheels::python_with_pshmem(tools.workspace) {
            Ok(python) => {
                cargo.env("TEST_PSHMEM", python);
            }
            Err(error) => {
                say(format!("the tests with pshmem are left out: {error:#}"));
                names.extend(["--skip", "pshmem::runs"].map(String::from));
            }
        }
        self.targets(cargo, tools, &["ranks"], &names)
    }

    /// Runs the rank tests that are about any number of nodes: those on 4 ranks over 2 hosts, or one a host.
    fn on_hosts(&self, tools: &Toolbox<'_>) -> Result<usize> {
        let hosts = tools.hosts.context("a step over hosts has some")?;
        let mpi = tools.mpi;
        let ranks = if hosts.count() == 2 { 4 } else { hosts.count() };
        let number = ranks.to_string();
        let mut options = vec!["--ranks-over-hosts", &number];
        if !self.is_whole(Step::Hosts) && !is_first(tools) && self.names.is_empty() {
            options.push("--shared-jobs");
        }
        if !mpi.family.survives_deaths_over_hosts(mpi.major()) {
            say(format!(
                "the deaths of ranks are left out: {mpi} ends the whole job then"
            ));
            options.extend(["--skip", "dies", "--skip", "never_comes"]);
        }
        if hosts.are_pretended(mpi) {
            say(format!(
                "the deaths of ranks that send much are left out: {mpi} lets the kernel read their memory, and ends the reader"
            ));
            let dying = [
                "publisher_of_a_region",
                "root_of_a_region",
                "publisher_of_a_part",
            ];
            options.extend(dying.iter().flat_map(|name| ["--skip", name]));
        }
        let passed = self.ranks(tools, ranks, &options)?;
        tools.check_traffic()?;
        Ok(passed)
    }

    /// Runs the faults of a rank that is the leader of its host, and alone on it.
    fn faults_on_hosts(&self, tools: &Toolbox<'_>) -> Result<usize> {
        let hosts = tools.hosts.context("a step over hosts has some")?;
        let mpi = tools.mpi;
        if !is_first(tools) && !self.is_whole(Step::HostFaults) {
            say("left out: without --thorough, only the first MPI runs it");
            return Ok(0);
        }
        if hosts.are_pretended(mpi) || !mpi.family.survives_deaths_over_hosts(mpi.major()) {
            say(format!(
                "left out: {mpi} does not let the others live, or only pretends to have hosts"
            ));
            return Ok(0);
        }
        // A launcher that has room for three ranks on each host starts the first three of four on the first one.
        let cargo = tools.cargo_for_ranks(6)?;
        let passed = self.targets(cargo, tools, &["faults"], &self.names)?;
        tools.check_traffic()?;
        Ok(passed)
    }

    /// Runs these test targets of the workspace, or those that need no ranks, with the arguments that follow `--`.
    fn targets(
        &self,
        cargo: Command,
        tools: &Toolbox<'_>,
        targets: &[&str],
        arguments: &[String],
    ) -> Result<usize> {
        let mut more = features(tools.machine);
        let targets = targets.iter().flat_map(|&target| ["--test", target]);
        more.extend(targets.map(String::from));
        more.push("--".to_owned());
        more.extend_from_slice(arguments);
        self.tests(cargo, ALL, &more)
    }

    /// Runs `cargo test` and counts the tests that passed. No test at all is a failure. The limit begins when everything is
    /// built.
    pub(super) fn tests(
        &self,
        mut cargo: Command,
        arguments: &str,
        more: &[String],
    ) -> Result<usize> {
        cargo.arg("test").args(arguments.split(' ')).args(more);
        let mut build = Command::new(cargo.get_program());
        let arguments = cargo.get_args().take_while(|argument| *argument != "--");
        build.args(arguments).arg("--no-run");
        build.current_dir(cargo.get_current_dir().context("cargo has a directory")?);
        for (name, value) in cargo.get_envs() {
            match value {
                Some(value) => build.env(name, value),
                None => build.env_remove(name),
            };
        }
        run(&mut build).context("cannot build the tests")?;
        let limit = Duration::from_secs(self.step_limit);
        run_tests(&mut cargo, limit, passed_in)
    }
}

/// Whether the MPI in use is the first one of the machine.
fn is_first(tools: &Toolbox<'_>) -> bool {
    ptr::eq(tools.mpi, &raw const tools.machine.mpis[0])
}

/// The features of a build of the whole workspace.
fn features(machine: &Machine) -> Vec<String> {
    let hdf5 = machine.hdf5.as_ref().and_then(Hdf5::feature);
    let features = [FEATURES].into_iter().chain(hdf5);
    features
        .map(|feature| format!("--features={feature}"))
        .collect()
}

/// N of `test result: ok. N passed; …`.
fn passed_in(line: &str) -> usize {
    let rest = line.strip_prefix("test result: ok. ").unwrap_or_default();
    let count = rest.split_once(" passed").map(|(count, _)| count);
    count.and_then(|count| count.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passed_tests_are_counted() {
        let line = "test result: ok. 17 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(passed_in(line), 17);
        assert_eq!(passed_in(&line.replace("ok.", "FAILED.")), 0);
        assert_eq!(passed_in("test lock::tests::excludes ... ok"), 0);
    }
}
