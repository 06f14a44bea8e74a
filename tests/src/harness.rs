//! The test harness: makes a test of each registered case on each number of ranks, as `cargo test`
//! shows them.
//!
//! Starting a job costs as much as most cases, so cases run one after the other in one job if
//! possible. A case that fails ends its job, and the next one starts another. Jobs of a single case
//! sleep most of the time, and run side by side.

use std::env;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use launcher::processes;
use libtest_mimic::{Arguments, Failed, Trial};

use crate::cases::{Attribute, REGISTERED, Work};
use crate::job;
use crate::launch::{LIMIT, Launch, Running};

/// How many jobs of a single case run at the same time.
const JOBS: usize = 4;

/// Runs the tests that the command line names, or, as a rank of a job, the cases.
pub fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some(job::OPTION) {
        return job::run(env::args().skip(2));
    }
    processes::adopt_orphans().expect("Linux has subreapers");
    let (selection, options) = Selection::from_arguments(env::args().skip(1));
    let mut arguments = Arguments::from_iter([String::new()].into_iter().chain(options));
    let (in_turn, side_by_side) = trials(&selection);
    // The ranks of one job share few cores already, and sessions follow the order of the tests.
    arguments.test_threads = Some(1);
    let first = libtest_mimic::run(&arguments, in_turn);
    arguments.test_threads = Some(JOBS);
    let second = libtest_mimic::run(&arguments, side_by_side);
    if first.has_failed() {
        first.exit_code()
    } else {
        second.exit_code()
    }
}

/// The selection of tests.
#[derive(Default)]
struct Selection {
    /// Those whose names contain one of these, or all.
    names: Vec<String>,
    /// Without those whose names contain one of these.
    skip: Vec<String>,
    /// Only those with this number of ranks, or all.
    ranks: Option<usize>,
    /// Only those with this number of ranks that also run over several hosts, or all.
    hosts: Option<usize>,
    /// Only those that share their jobs, which take the least time.
    shared_jobs: bool,
    /// Of those that share their jobs, none with this number of ranks.
    shared_jobs_not_on: Option<usize>,
    /// Of each case with a job of its own, only the test on the number of ranks nearest to four.
    once: bool,
}

impl Selection {
    /// The selection, and the options for libtest. libtest-mimic itself accepts only one name.
    fn from_arguments(arguments: impl Iterator<Item = String>) -> (Self, Vec<String>) {
        let (mut selection, mut options) = (Self::default(), Vec::new());
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().expect("the option has a value");
            match argument.as_str() {
                "--skip" => selection.skip.push(value()),
                "--ranks" => selection.ranks = value().parse().ok(),
                "--ranks-over-hosts" => selection.hosts = value().parse().ok(),
                "--shared-jobs" => selection.shared_jobs = true,
                "--shared-jobs-not-on" => selection.shared_jobs_not_on = value().parse().ok(),
                "--own-jobs-once" => selection.once = true,
                "--format" | "--color" | "--logfile" | "--test-threads" => {
                    options.extend([argument, value()]);
                }
                option if option.starts_with('-') => options.push(argument),
                _ => selection.names.push(argument),
            }
        }
        (selection, options)
    }

    fn takes(&self, test: &Test) -> bool {
        let has = |part: &String| test.name.contains(part.as_str());
        let fits = |ranks| ranks == test.ranks && !test.is(Attribute::OneNode);
        let is_for_hosts = test.is(Attribute::SeveralNodes);
        (self.names.is_empty() || self.names.iter().any(has))
            && !self.skip.iter().any(has)
            && self.ranks.is_none_or(|ranks| ranks == test.ranks)
            && self.hosts.map_or(!is_for_hosts, fits)
            && (test.shares_its_job() || !self.shared_jobs)
            && !(test.shares_its_job() && self.shared_jobs_not_on == Some(test.ranks))
            && (test.shares_its_job() || !self.once || test.is_nearest_to_four)
    }
}

/// A case on a number of ranks.
struct Test {
    name: String,
    case: String,
    work: Work,
    ranks: usize,
    /// Whether no other test of the case has a number of ranks that is nearer to four.
    is_nearest_to_four: bool,
    attributes: &'static [Attribute],
}

impl Test {
    fn all() -> impl Iterator<Item = Self> {
        REGISTERED.iter().flat_map(|cases| {
            let (ranks, attributes) = (cases.ranks, cases.attributes);
            let nearest = ranks.iter().min_by_key(|ranks| ranks.abs_diff(4));
            cases.named().flat_map(move |(case, work)| {
                let test = move |&ranks: &usize| Self {
                    name: match ranks {
                        1 => format!("{case}::on_1_rank"),
                        _ => format!("{case}::on_{ranks}_ranks"),
                    },
                    case: case.clone(),
                    work,
                    ranks,
                    is_nearest_to_four: nearest == Some(&ranks),
                    attributes,
                };
                ranks.iter().map(test)
            })
        })
    }

    fn is(&self, attribute: Attribute) -> bool {
        self.attributes.contains(&attribute)
    }

    fn environment(&self) -> &'static [(&'static str, &'static str)] {
        let variables = self
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                Attribute::Environment(variables) => Some(*variables),
                _ => None,
            });
        variables.unwrap_or_default()
    }

    /// Whether the test starts jobs itself, which may not run beside others.
    fn runs_alone(&self) -> bool {
        matches!(self.work, Work::Test(_)) && !self.is(Attribute::BesideOthers)
    }

    fn shares_its_job(&self) -> bool {
        matches!(self.work, Work::Job(_))
            && !self.is(Attribute::OwnJob)
            && !self.is(Attribute::LastRankDies)
    }

    /// Tests with equal keys share a job.
    fn key(&self) -> (usize, bool, &'static [(&'static str, &'static str)]) {
        (self.ranks, !self.shares_its_job(), self.environment())
    }

    fn launch(&self) -> Launch<'_> {
        Launch::new(self.ranks, [&self.case]).envs(self.environment())
    }

    /// Runs a test that has a job of its own.
    fn run(&self) -> Result<(), Failed> {
        match self.work {
            Work::Test(run) => {
                run(self.ranks);
                Ok(())
            }
            Work::Job(_) if self.is(Attribute::LastRankDies) => self.survive(),
            Work::Job(_) | Work::Process(_) | Work::Program(_) => {
                let ended = self.launch().beside_others().run();
                let ok = format!("ok {}", self.case);
                let passed = ended.output.lines().filter(|line| *line == ok).count();
                let all = match self.work {
                    Work::Process(_) => self.ranks,
                    _ => 1,
                };
                expect(ended.succeeded() && passed == all, || ended.report())
            }
        }
    }

    /// Runs a case whose last rank dies. All others have to survive.
    fn survive(&self) -> Result<(), Failed> {
        const LIMIT: Duration = Duration::from_secs(30);
        let launch = self.launch().survive_deaths().beside_others();
        let ended = launch.limit(LIMIT).run();
        let verdicts: Vec<&str> = ended
            .verdicts
            .iter()
            .flatten()
            .map(String::as_str)
            .collect();
        let good = verdicts == vec!["survived"; self.ranks - 1];
        expect(good, || format!("{verdicts:?}, {}", ended.report()))
    }
}

fn expect(good: bool, words: impl FnOnce() -> String) -> Result<(), Failed> {
    if good { Ok(()) } else { Err(words().into()) }
}

/// The tests that run one after the other, in this order, and those that run side by side.
fn trials(selection: &Selection) -> (Vec<Trial>, Vec<Trial>) {
    let mut tests: Vec<Test> = Test::all().filter(|test| selection.takes(test)).collect();
    tests.sort_by(|a, b| (a.key(), module(a)).cmp(&(b.key(), module(b))));
    let mut in_turn = Vec::new();
    for group in tests.chunk_by(|a, b| a.key() == b.key()) {
        let first = &group[0];
        let session = Arc::new(Session {
            ranks: first.ranks,
            environment: first.environment(),
            cases: group.iter().map(|test| test.case.clone()).collect(),
            job: Mutex::new(None),
        });
        in_turn.extend(
            (0..group.len())
                .map(|index| {
                    let session = Arc::clone(&session);
                    move || session.check(index)
                })
                .zip(group)
                .filter(|(_, test)| test.shares_its_job())
                .map(|(check, test)| Trial::test(test.name.clone(), check)),
        );
    }
    let mut side_by_side = Vec::new();
    for test in tests.into_iter().filter(|test| !test.shares_its_job()) {
        let group = match test.runs_alone() {
            true => &mut in_turn,
            false => &mut side_by_side,
        };
        group.push(Trial::test(test.name.clone(), move || test.run()));
    }
    (in_turn, side_by_side)
}

/// The file of a test's case.
fn module(test: &Test) -> &str {
    test.case.rsplit_once("::").map_or("", |(module, _)| module)
}

/// Cases that run in one job, one after the other.
struct Session {
    ranks: usize,
    environment: &'static [(&'static str, &'static str)],
    cases: Vec<String>,
    job: Mutex<Option<Running>>,
}

impl Session {
    /// Waits until the job has passed this case. Starts a job if none runs.
    fn check(&self, index: usize) -> Result<(), Failed> {
        let mut job = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = job.take().unwrap_or_else(|| {
            let launch = Launch::new(self.ranks, &self.cases[index..]);
            launch.envs(self.environment).start()
        });
        let case = &self.cases[index];
        let passed = running.wait_for_line(&format!("ok {case}"), LIMIT);
        let is_last = index + 1 == self.cases.len();
        if passed && !is_last {
            *job = Some(running);
            return Ok(());
        }
        let hangs = !passed && !running.is_over();
        let ended = running.finish(if hangs { Duration::ZERO } else { LIMIT });
        expect(passed, || format!("case {case}: {}", ended.report()))?;
        expect(ended.succeeded(), || {
            let report = ended.report();
            format!("all cases passed, but not the end of the job: {report}")
        })
    }
}
