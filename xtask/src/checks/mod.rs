//! `cargo xtask test`: every check, one step after another, up to the first that fails.

mod ahead;
mod memory;
mod step;
mod suite;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::hosts::Hosts;
use crate::launch::{Options, Toolbox};
use crate::process::say;
use crate::setup::{self, Need};
use crate::steps::{self, describe, list};
use crate::workspace::Workspace;

use self::ahead::Ahead;

/// A check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Step {
    /// The code is formatted by rustfmt
    Fmt,
    /// Clippy has no warning about any crate, and rustdoc none about the published ones
    Clippy,
    /// Unit tests and doc tests of the library, with MPI and without, and of all that comes with it
    Unit,
    /// The tests that need no MPI, under AddressSanitizer, ThreadSanitizer and valgrind, where these are there
    Memory,
    /// The lock's protocols under the model checker
    Loom,
    /// Programs that must not compile, with the compiler's messages
    Ui,
    /// Integration tests on real ranks, with each MPI
    Ranks,
    /// What the others get when a rank fails: each fault in each situation with the first MPI, and a third of them with the others
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
    #[arg(skip)]
    ahead: Ahead,
}

impl Test {
    /// Runs the steps that were asked for: first those that need one MPI, then those for each, then those over hosts.
    pub fn run(&self, workspace: &Workspace) -> Result<()> {
        if self.list {
            list::<Step>();
            return Ok(());
        }
        let outcome = self.run_steps(workspace);
        self.ahead.end();
        outcome
    }

    fn run_steps(&self, workspace: &Workspace) -> Result<()> {
        let start = Instant::now();
        let machine = setup::prepare(workspace, &self.options.mpi, Need::Tests)?;
        let limit = Duration::from_secs(self.options.timeout);
        let toolbox = |mpi| Toolbox::new(workspace, &machine, mpi, limit);
        let is_asked_for = |step: &Step| {
            let is_named = self.only.is_empty() || self.only.contains(step);
            is_named && self.from.is_none_or(|first| *step >= first)
        };
        let on_one_mpi = [
            Step::Fmt,
            Step::Clippy,
            Step::Unit,
            Step::Memory,
            Step::Loom,
            Step::Ui,
        ];
        let on_each_mpi = [Step::Ranks, Step::Faults, Step::Examples, Step::Python];
        let over_hosts = [Step::Hosts, Step::HostFaults];
        let on_first = on_one_mpi.map(|step| (step, &machine.mpis[0]));
        let on_each = (machine.mpis.iter()).flat_map(|mpi| on_each_mpi.map(|step| (step, mpi)));
        let first = on_first.into_iter().chain(on_each);
        let first: Vec<_> = first.filter(|(step, _)| is_asked_for(step)).collect();
        for (step, mpi) in &first {
            for suite in self.suites_of(*step, &toolbox(mpi))? {
                self.ahead.plan(suite.builds());
            }
        }
        for (step, mpi) in first {
            let mut title = describe(&step).0;
            if on_each_mpi.contains(&step) {
                title += &format!(" with {mpi}");
            }
            self.announced(&title, step, &toolbox(mpi))?;
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
}
