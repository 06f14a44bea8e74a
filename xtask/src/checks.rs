//! `cargo xtask test`: every check, one step after another, up to the first that fails.

use std::process::Command;
use std::ptr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use which::which;

use crate::hdf5::Hdf5;
use crate::hosts::Hosts;
use crate::launch::{Options, Toolbox};
use crate::peers;
use crate::process::{output_of, pass_on, run, run_job, say};
use crate::python;
use crate::setup::{self, Machine, Need};
use crate::steps::{self, describe, list};
use crate::wheels;
use crate::workspace::Workspace;

/// The features of the library that are not default ones.
const FEATURES: &str = "mpisync/bytemuck,mpisync/futures,mpisync/half,mpisync/inspect,mpisync/num-complex,mpisync/progress,mpisync/trace,mpisync/tracing";

/// The arguments of `cargo test` for the tests that need no MPI. The examples in the documentation start MPI, so they are left
/// out.
const WITHOUT_MPI: &str = "-p mpisync -p mpisync-cli --no-default-features --features \
     mpisync/futures,mpisync/inspect,mpisync/progress,mpisync/region,mpisync/trace,mpisync/tracing --lib --tests";

/// The packages whose tests never need MPI.
const OWN: &str = "-p mpisync-launcher -p mpisync-test-macros -p xtask";

/// The published packages for tests of users. They are documented apart from the library, whose features they fix.
const FOR_TESTS: &str = "-p mpisync-test -p mpisync-test-macros -p mpisync-launcher";

/// Leaves out the models of the lock: they take minutes, and once is enough.
const SKIP_MODELS: [&str; 3] = ["--", "--skip", "rwlock::tests::model"];

/// A check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Step {
    /// The code is formatted by rustfmt
    Fmt,
    /// Clippy has no warning about any crate, and rustdoc none about the published ones
    Clippy,
    /// Unit tests and doc tests of the library, with MPI and without, and of all that comes with it
    Unit,
    /// The tests that need no MPI, under AddressSanitizer and valgrind, where these are there
    Memory,
    /// The lock's protocols under the model checker
    Loom,
    /// Programs that must not compile, with the compiler's messages
    Ui,
    /// Integration tests on real ranks, with each MPI
    Ranks,
    /// What the others get when a rank fails: each fault in each situation, with each MPI
    Faults,
    /// Tests that were built with one MPI and run with another of the same binary interface, for each two of the MPIs
    Abi,
    /// The examples on 4 ranks, most on 1 to 8 too, one that is killed and started again, and programs in C and Fortran, with each
    /// MPI
    Examples,
    /// The package for Python, on 0 (without MPI) to 4 ranks
    Python,
    /// Integration tests on ranks over several hosts, with each MPI
    Hosts,
    /// A third of the faults over 2 hosts, in the leader of one, with each MPI that survives that
    HostFaults,
}

/// `cargo xtask test`
#[derive(Args)]
pub struct Test {
    #[command(flatten)]
    options: Options,
    /// Run this step only, with what takes long in it (may be given several times)
    #[arg(long, value_enum, value_name = "STEP", value_delimiter = ',')]
    only: Vec<Step>,
    /// Begin with this step, as after a failure in it
    #[arg(long, value_enum, value_name = "STEP", conflicts_with = "only")]
    from: Option<Step>,
    /// List the steps and stop
    #[arg(long)]
    list: bool,
    /// Also what takes long: each step as it is with `--only`, and three hosts
    #[arg(long)]
    thorough: bool,
    /// Over how many hosts, set up on this machine, the hosts step runs (may be given several times) [default: 2, and 3 with
    /// --thorough]
    #[arg(long, value_name = "N", value_delimiter = ',')]
    hosts: Vec<u32>,
    /// Kill the tests of a step that take longer than this when they are built
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    step_limit: u64,
    /// Of the ranks, faults and hosts steps, only tests whose names contain one of these, after `--`
    #[arg(last = true)]
    names: Vec<String>,
}

impl Test {
    /// Runs the steps that were asked for: first those that need one MPI, then those for each, then those over hosts.
    pub fn run(&self, workspace: &Workspace) -> Result<()> {
        if self.list {
            list::<Step>();
            return Ok(());
        }
        let start = Instant::now();
        let machine = setup::prepare(workspace, &self.options.mpi, Need::Tests)?;
        let limit = Duration::from_secs(self.options.timeout);
        let toolbox = |mpi| Toolbox::new(workspace, &machine, mpi, limit);
        let is_asked_for = |step: &Step| {
            let is_named = self.only.is_empty() || self.only.contains(step);
            is_named && self.from.is_none_or(|first| *step >= first)
        };
        let on_each_mpi = [Step::Ranks, Step::Faults, Step::Examples, Step::Python];
        let over_hosts = [Step::Hosts, Step::HostFaults];
        for step in Step::value_variants()
            .iter()
            .filter(|step| is_asked_for(step))
        {
            let is_of_its_own = !over_hosts.contains(step) && !on_each_mpi.contains(step);
            if is_of_its_own && *step != Step::Abi {
                let (name, _) = describe(step);
                self.announced(&name, *step, &toolbox(&machine.mpis[0]))?;
            }
        }
        for mpi in &machine.mpis {
            for step in on_each_mpi.iter().filter(|step| is_asked_for(step)) {
                let title = format!("{} with {mpi}", describe(step).0);
                self.announced(&title, *step, &toolbox(mpi))?;
            }
        }
        if is_asked_for(&Step::Abi) {
            let compatible = || machine.mpis.iter().filter(|mpi| mpi.has_mpich_abi());
            if self.only.contains(&Step::Abi) && compatible().count() < 2 {
                bail!("abi takes two MPIs of the MPICH ABI, such as --mpi mpich5 --mpi impi");
            }
            for built in compatible() {
                for other in compatible().filter(|other| other.mpicc != built.mpicc) {
                    let title = format!("ranks built with {built} and run with {other}");
                    let both = built.run_by(other);
                    let tools = Toolbox::new(workspace, &machine, &both, limit);
                    self.announced(&title, Step::Abi, &tools)?;
                }
            }
        }
        let counts: &[u32] = match (&self.hosts[..], self.thorough) {
            ([], false) => &[2],
            ([], true) => &[2, 3],
            (counts, _) => counts,
        };
        let on_hosts = |step: Step| counts.iter().map(move |&count| (step, count));
        let runs = over_hosts.into_iter().filter(is_asked_for);
        // The victim of a fault is alone on the second host.
        let runs = runs
            .flat_map(on_hosts)
            .filter(|(step, count)| *step == Step::Hosts || *count == 2);
        for (step, count) in runs {
            let hosts = Hosts::up(count)?.for_tests();
            for mpi in &machine.mpis {
                let what = if step == Step::Hosts {
                    "ranks"
                } else {
                    "faults"
                };
                let title = format!("{what} with {mpi} on {}", hosts.describe(mpi));
                if let Some(reason) = hosts.fault(mpi) {
                    say(format!(
                        "== {title}: left out, it needs network namespaces ({reason})"
                    ));
                    continue;
                }
                self.announced(&title, step, &toolbox(mpi).on(Some(&hosts)))?;
            }
        }
        say(format!(
            "all checks passed, {:.1} s",
            start.elapsed().as_secs_f64()
        ));
        Ok(())
    }

    /// Runs a step as [`steps::announced`] does.
    fn announced(&self, title: &str, step: Step, tools: &Toolbox<'_>) -> Result<()> {
        let (name, mpi) = (describe(&step).0, tools.mpi.mpicc.display());
        let other = (step == Step::Abi)
            .then(|| tools.mpi.mpiexec.parent())
            .flatten();
        let other = other.map(|dir| format!(" --mpi {}", dir.display()));
        let other = other.unwrap_or_default();
        let repeat = format!("test --only {name} --mpi {mpi}{other}");
        let tests = |passed: &usize| match passed {
            0 => String::new(),
            passed => format!("{passed} tests, "),
        };
        steps::announced(title, &repeat, || self.step(step, tools), tests)?;
        Ok(())
    }

    /// Runs a step and counts its tests.
    fn step(&self, step: Step, tools: &Toolbox<'_>) -> Result<usize> {
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
                // The tests of the examples and of mpisync-c are not among all targets, since they are not run by default.
                for targets in ["--all-targets", "--test examples --test programs"] {
                    let mut clippy = tools.cargo();
                    clippy
                        .args(["clippy", "--workspace"])
                        .args(targets.split(' '));
                    run(clippy.args(&options).args(["--", "-D", "warnings"]))?;
                }
                let sets: [&[&str]; 4] = [
                    &[],
                    &["--features", FEATURES],
                    &["--no-default-features"],
                    &["--no-default-features", "--features", "mpisync/region"],
                ];
                for features in sets {
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
                let packages = "-p mpisync -p mpisync-bindings -p mpisync-c -p mpisync-cli -p mpisync-macros -p mpisync-examples -p mpisync-bench";
                let with_mpi = self.tests(tools.cargo(), packages, &features(tools.machine))?;
                let models = SKIP_MODELS.map(String::from);
                let without = self.tests(tools.cargo(), WITHOUT_MPI, &models)?;
                let own = self.tests(workspace.cargo(), OWN, &[])?;
                Ok(with_mpi + without + own)
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
                if !self.is_whole(Step::Loom) {
                    // Each model has a bound of its own, which is mostly two: minutes in place of seconds.
                    cargo.env("LOOM_MAX_PREEMPTIONS", "1");
                }
                let arguments = "--release -p mpisync --no-default-features --lib loom";
                self.tests(cargo, arguments, &[])
            }
            Step::Ui => self.tests(tools.cargo(), "-p mpisync-ui-tests", &[]),
            Step::Ranks => {
                let options: &[&str] = match () {
                    () if self.is_whole(Step::Ranks) || !self.names.is_empty() => &[],
                    () if is_first(tools) => &["--own-jobs-once"],
                    () => &["--ranks", "4"],
                };
                // Names are those of the library's own tests.
                let of_users = match self.names.is_empty() {
                    true => self.tests(tools.cargo_for_ranks(1)?, "-p mpisync-test", &[])?,
                    false => 0,
                };
                Ok(self.ranks(tools, 1, options)? + of_users)
            }
            Step::Abi => self.ranks(tools, 1, &["--ranks", "4", "--shared-jobs"]),
            Step::Faults => {
                let arguments = "-p mpisync-tests --test faults --";
                self.tests(tools.cargo_for_ranks(1)?, arguments, &self.names)
            }
            Step::Examples => {
                let programs = "-p mpisync-c --test programs";
                let programs = self.tests(tools.cargo_for_ranks(1)?, programs, &[])?;
                let mut cargo = tools.cargo_for_ranks(1)?;
                cargo.env("RUST_TEST_THREADS", "1");
                let arguments = "--release -p mpisync-examples --test examples";
                let hdf5 = tools.machine.hdf5.as_ref().and_then(Hdf5::feature);
                let feature = hdf5.map(|feature| format!("--features={feature}"));
                Ok(programs + self.tests(cargo, arguments, feature.as_slice())?)
            }
            Step::Python if is_first(tools) || self.is_whole(Step::Python) => {
                python::test(tools, &[0, 1, 2, 4], &[])
            }
            Step::Python => {
                say("left out: without --thorough, only the first MPI runs it");
                Ok(0)
            }
            Step::Hosts => self.on_hosts(tools),
            Step::HostFaults => self.faults_on_hosts(tools),
        }
    }

    /// Whether a step runs with what takes long in it.
    fn is_whole(&self, step: Step) -> bool {
        self.thorough || self.only.contains(&step)
    }

    /// Runs the tests with ranks. Over hosts the launcher starts this number of `ranks`, and on one host any number.
    fn ranks(&self, tools: &Toolbox<'_>, ranks: u32, options: &[&str]) -> Result<usize> {
        let mut cargo = tools.cargo_for_ranks(ranks)?;
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
        self.tests(cargo, "-p mpisync-tests --test ranks --", &names)
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
            let dying = ["publisher_of_a_region", "root_of_a_region"];
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
        let passed = self.tests(cargo, "-p mpisync-tests --test faults --", &self.names)?;
        tools.check_traffic()?;
        Ok(passed)
    }

    /// Runs `cargo test` and counts the tests that passed. No test at all is a failure. The limit begins when everything is
    /// built.
    fn tests(&self, mut cargo: Command, arguments: &str, more: &[String]) -> Result<usize> {
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
        let mut passed = 0;
        run_job(&mut cargo, Duration::from_secs(self.step_limit), |line| {
            pass_on(line);
            passed += passed_in(line);
        })?;
        match passed {
            0 => bail!("there is no test"),
            _ => Ok(passed),
        }
    }

    /// AddressSanitizer is for nightly compilers only, and comes with them.
    fn under_sanitizer(&self, workspace: &Workspace) -> Result<usize> {
        let nightly = |program: &str| {
            let mut command = Command::new("rustup");
            command
                .args(["run", "nightly", program])
                .env_remove("RUSTUP_TOOLCHAIN");
            command
        };
        if output_of(nightly("rustc").arg("--version")).is_none() {
            say("no nightly compiler, so no AddressSanitizer");
            return Ok(0);
        }
        let mut cargo = nightly("cargo");
        cargo.current_dir(&workspace.root);
        cargo.env("CARGO_TARGET_DIR", workspace.target.join("sanitizer"));
        cargo.env("RUSTFLAGS", "-Zsanitizer=address");
        let mut options = vec!["--target".to_owned(), host(workspace)?];
        options.extend(SKIP_MODELS.map(String::from));
        self.tests(cargo, WITHOUT_MPI, &options)
            .context("AddressSanitizer")
    }

    fn under_valgrind(&self, workspace: &Workspace) -> Result<usize> {
        if which("valgrind").is_err() {
            say("no valgrind, so no memcheck");
            return Ok(0);
        }
        let host = host(workspace)?.replace('-', "_").to_uppercase();
        let runner = format!("CARGO_TARGET_{host}_RUNNER");
        let mut cargo = workspace.cargo();
        cargo
            .env("CARGO_TARGET_DIR", workspace.target.join("valgrind"))
            .env(runner, "valgrind --quiet --error-exitcode=9")
            // The imagined nodes take seconds for each seed here; elsewhere they run with all of them.
            .env("TEST_SEEDS", "10")
            // Optimized code may branch on a value before it looks whether there is one, where both ways lead to the same.
            .args(["--config", "profile.test.package.mpisync.opt-level=0"]);
        // Valgrind runs one thread at a time: it cannot show what cores see of each other, and takes very long.
        let skip = ["--", "--skip", "without_a_barrier"].map(String::from);
        self.tests(cargo, WITHOUT_MPI, &skip).context("valgrind")
    }
}

/// Whether the MPI in use is the first one of the machine.
fn is_first(tools: &Toolbox<'_>) -> bool {
    ptr::eq(tools.mpi, &raw const tools.machine.mpis[0])
}

/// The target that the compiler builds for by default.
fn host(workspace: &Workspace) -> Result<String> {
    let mut rustc = Command::new("rustc");
    let version = output_of(rustc.current_dir(&workspace.root).arg("-vV")).context("rustc -vV")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names a host")?.to_owned())
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
    fn the_steps_are_in_the_order_from_quick_to_slow() {
        let names = Step::value_variants().iter().map(|step| describe(step).0);
        let names: Vec<String> = names.collect();
        let expected =
            "fmt clippy unit memory loom ui ranks faults abi examples python hosts host-faults";
        assert_eq!(names.join(" "), expected);
    }

    #[test]
    fn passed_tests_are_counted() {
        let line = "test result: ok. 17 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(passed_in(line), 17);
        assert_eq!(passed_in(&line.replace("ok.", "FAILED.")), 0);
        assert_eq!(passed_in("test lock::tests::excludes ... ok"), 0);
    }
}
