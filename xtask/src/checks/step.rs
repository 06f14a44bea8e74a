//! What each step runs.

use std::process::Command;
use std::ptr;
use std::time::Duration;

use anyhow::{Context, Result};

use super::suite::Suite;
use super::{Step, Test, memory};
use crate::hdf5::Hdf5;
use crate::launch::Toolbox;
use crate::peers;
use crate::process::{run, say};
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

/// Models of the lock across nodes with more than a million states, two thirds of those of all.
const LARGE_MODELS: [&str; 2] = [
    "model::three_nodes_of_one_rank",
    "model::two_nodes_of_two_ranks_write",
];

/// What is documented: all libraries of the workspace, with the features of which clippy has checked all dependencies, and the
/// programs that are published.
const DOCUMENTED: &str =
    "--workspace --lib --bin mpisync-batch --bin mpisync-top --bin mpisync-trace";

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
            Step::Clippy => self.lint(tools),
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
            Step::Hosts | Step::HostFaults => self.on_hosts(step, tools),
            Step::Unit | Step::Memory | Step::Loom | Step::Ui => self.suites(step, tools),
            Step::Ranks | Step::Abi | Step::Faults | Step::Examples => self.suites(step, tools),
        }
    }

    /// Clippy has no warning, and rustdoc none about what is published.
    fn lint(&self, tools: &Toolbox<'_>) -> Result<usize> {
        tools.workspace.add_component("clippy", "clippy")?;
        let mut options = features(tools.machine);
        let mut documented = options.clone();
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
        documented.extend(DOCUMENTED.split(' ').map(String::from));
        let sets: [&[&str]; 4] = [
            &["--no-default-features", "-p", "mpisync"],
            &["-p", "mpisync"],
            &[
                "--no-default-features",
                "--features",
                "region",
                "-p",
                "mpisync",
            ],
            &["-p", "mpisync-test", "-p", "mpisync-launcher"],
        ];
        let sets = match self.is_whole(Step::Clippy) {
            true => &sets[..],
            false => &[],
        };
        let sets = sets
            .iter()
            .map(|set| set.iter().map(|&word| word.to_owned()).collect());
        for features in [documented].into_iter().chain(sets) {
            let mut doc = tools.cargo();
            doc.env("RUSTDOCFLAGS", "-D warnings");
            run(doc.args(["doc", "--no-deps"]).args(features))?;
        }
        Ok(0)
    }

    /// The tests of a step.
    pub(super) fn suites_of(&self, step: Step, tools: &Toolbox<'_>) -> Result<Vec<Suite>> {
        let workspace = tools.workspace;
        let is_whole = self.is_whole(step);
        let suites = match step {
            Step::Fmt | Step::Clippy | Step::Python => Vec::new(),
            Step::Unit => {
                let mut unit = suite(tools.cargo(), tools, &[]);
                unit = match &tools.machine.chromium {
                    Some(chromium) => unit.env("TEST_CHROMIUM", chromium),
                    None => unit.skip(["in_chromium"]),
                };
                if !is_whole {
                    unit = unit.skip(LARGE_MODELS);
                }
                let without_mpi = is_whole.then(|| memory::without_mpi(workspace));
                [unit].into_iter().chain(without_mpi).collect()
            }
            Step::Memory => {
                let sanitizer = memory::under_sanitizer(workspace)?;
                let valgrind = is_whole.then(|| memory::under_valgrind(workspace));
                let valgrind = valgrind.transpose()?.flatten();
                let threads = is_whole.then(|| memory::under_thread_sanitizer(workspace));
                let threads = threads.transpose()?.flatten();
                let whole = threads.into_iter().chain(valgrind);
                [sanitizer].into_iter().chain(whole).collect()
            }
            Step::Loom => {
                let mut cargo = workspace.cargo();
                cargo.env("CARGO_TARGET_DIR", workspace.target.join("loom"));
                cargo.env("RUSTFLAGS", "--cfg loom");
                let arguments = "--release -p mpisync --no-default-features --lib loom";
                let models = Suite::new(cargo, arguments);
                vec![match is_whole {
                    // Its assertions are for debug builds, as users make them.
                    true => models.env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true"),
                    // Each model has a bound of its own, which is mostly two: minutes in place of seconds.
                    false => models.env("LOOM_MAX_PREEMPTIONS", "1").skip(LONG_MODELS),
                }]
            }
            Step::Ui => vec![suite(tools.cargo(), tools, &["ui"])],
            Step::Ranks => {
                let options: &[&str] = match () {
                    () if is_whole || !self.names.is_empty() => &[],
                    () if !is_first(tools) => &["--ranks", "4"],
                    () if tools.machine.mpis.len() > 1 => {
                        &["--own-jobs-once", "--shared-jobs-not-on", "4"]
                    }
                    () => &["--own-jobs-once"],
                };
                let ranks = self.ranks(tools, 1)?.options(options.iter().copied());
                // Names are those of the library's own tests.
                let of_users = self.names.is_empty().then(|| {
                    let cargo = tools.cargo_for_ranks(1)?;
                    anyhow::Ok(suite(cargo, tools, &["attribute", "reports"]))
                });
                of_users.transpose()?.into_iter().chain([ranks]).collect()
            }
            Step::Abi => {
                let ranks = self.ranks(tools, 1)?;
                vec![ranks.options(["--ranks", "4", "--shared-jobs"])]
            }
            Step::Faults => {
                let mut faults = suite(tools.cargo_for_ranks(1)?, tools, &["faults"]);
                if !is_first(tools) && !is_whole && self.names.is_empty() {
                    faults = faults.options(["--third"]);
                }
                vec![faults.options(&self.names)]
            }
            Step::Examples => {
                let programs = suite(tools.cargo_for_ranks(1)?, tools, &["programs"]);
                let mut examples = suite(tools.cargo_for_ranks(1)?, tools, &["examples"]);
                examples = examples.env("RUST_TEST_THREADS", "1");
                if !is_first(tools) && !is_whole {
                    examples = examples.env("TEST_RANKS", "4");
                }
                vec![programs, examples]
            }
            Step::Hosts => vec![self.ranks_on_hosts(tools)?],
            Step::HostFaults => {
                // A launcher that has room for three ranks on each host starts the first three of four on the first one.
                let faults = suite(tools.cargo_for_ranks(6)?, tools, &["faults"]);
                vec![faults.options(&self.names)]
            }
        };
        Ok(suites)
    }

    /// Runs the tests of a step, and tells what is left out.
    fn suites(&self, step: Step, tools: &Toolbox<'_>) -> Result<usize> {
        let mut skip: &[&str] = &[];
        match step {
            Step::Unit if tools.machine.chromium.is_none() => {
                say("the tests of the timeline's page are left out: there is no Chromium");
            }
            Step::Memory => memory::tell(self.is_whole(step)),
            Step::Ranks | Step::Abi | Step::Hosts => {
                if let Err(error) = wheels::add_pshmem(tools.workspace) {
                    say(format!("the tests with pshmem are left out: {error:#}"));
                    skip = &["pshmem::runs"];
                }
            }
            _ => {}
        }
        let mut passed = 0;
        let limit = Duration::from_secs(self.step_limit);
        for suite in self.suites_of(step, tools)? {
            let suite = suite.skip(skip.iter().copied());
            passed += suite.run(limit, || self.ahead.begin())?;
        }
        Ok(passed)
    }

    /// Whether a step runs with what takes long in it.
    pub(super) fn is_whole(&self, step: Step) -> bool {
        self.thorough || self.only.contains(&step)
    }

    /// The tests with ranks. Over hosts the launcher starts this number of `ranks`, and on one host any number.
    fn ranks(&self, tools: &Toolbox<'_>, ranks: u32) -> Result<Suite> {
        // With its own tests, cargo builds the programs that ranks start. `cargo build` would unite other features.
        let mut programs = tools.cargo();
        programs.args(["test", ALL, "--no-run", "--test", "cli"]);
        programs.args(features(tools.machine));
        let suite = suite(tools.cargo_for_ranks(ranks)?, tools, &["ranks"])
            .env("TEST_PROGRAMS", "built")
            .env("TEST_PSHMEM", wheels::python_with_pshmem(tools.workspace))
            .options(&self.names);
        Ok(suite.programs(programs))
    }

    /// The rank tests that are about any number of nodes: those on 4 ranks over 2 hosts, or one a host.
    fn ranks_on_hosts(&self, tools: &Toolbox<'_>) -> Result<Suite> {
        let hosts = tools.hosts.context("a step over hosts has some")?;
        let mpi = tools.mpi;
        let ranks = if hosts.count() == 2 { 4 } else { hosts.count() };
        let mut suite = self.ranks(tools, ranks)?;
        suite = suite.options(["--ranks-over-hosts".to_owned(), ranks.to_string()]);
        if !self.is_whole(Step::Hosts) && !is_first(tools) && self.names.is_empty() {
            suite = suite.options(["--shared-jobs"]);
        }
        if !mpi.family.survives_deaths_over_hosts(mpi.major()) {
            say(format!(
                "the deaths of ranks are left out: {mpi} ends the whole job then"
            ));
            suite = suite.skip(["dies", "never_comes"]);
        }
        if hosts.are_pretended(mpi) {
            say(format!(
                "the deaths of ranks that send much are left out: {mpi} lets the kernel read their memory, and ends the reader"
            ));
            suite = suite.skip([
                "publisher_of_a_region",
                "root_of_a_region",
                "publisher_of_a_part",
            ]);
        }
        Ok(suite)
    }

    /// Runs a step over hosts. A fault there is one of a rank that is the leader of its host, and alone on it.
    fn on_hosts(&self, step: Step, tools: &Toolbox<'_>) -> Result<usize> {
        let hosts = tools.hosts.context("a step over hosts has some")?;
        let mpi = tools.mpi;
        if step == Step::HostFaults {
            if !is_first(tools) && !self.is_whole(step) {
                say("left out: without --thorough, only the first MPI runs it");
                return Ok(0);
            }
            if hosts.are_pretended(mpi) || !mpi.family.survives_deaths_over_hosts(mpi.major()) {
                say(format!(
                    "left out: {mpi} does not let the others live, or only pretends to have hosts"
                ));
                return Ok(0);
            }
        }
        let passed = self.suites(step, tools)?;
        tools.check_traffic()?;
        Ok(passed)
    }
}

/// These test targets of the workspace, or those that need no ranks.
fn suite(cargo: Command, tools: &Toolbox<'_>, targets: &[&str]) -> Suite {
    let targets = targets.iter().flat_map(|&target| ["--test", target]);
    Suite::new(cargo, ALL)
        .args(features(tools.machine))
        .args(targets)
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
