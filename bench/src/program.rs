//! The common parts of the programs in `src/bin`: their command lines, and how they end.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, ValueEnum};
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use crate::report::{self, Outcome, Setting};

/// The options of every benchmark.
#[derive(Args)]
pub struct Selection<Case: Choice, Name: Choice> {
    /// Also write the figures to FILE as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Rounds of each subject in each case; the benchmark's page gives their length
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Only these cases
    #[arg(long, value_delimiter = ',', value_name = "CASE,…")]
    cases: Vec<Case>,
    /// Only these subjects
    #[arg(long, value_delimiter = ',', value_name = "SUBJECT,…")]
    subjects: Vec<Name>,
    /// Add the figures that another job has written by `--apart`
    #[arg(long, value_name = "FILE")]
    pub with: Vec<PathBuf>,
}

/// A case or a subject by its name on the command line.
pub trait Choice: ValueEnum + Send + Sync + 'static {}

impl<T: ValueEnum + Send + Sync + 'static> Choice for T {}

impl<Case: Choice, Name: Choice> Selection<Case, Name> {
    /// The cases to measure: the named ones, or all.
    pub fn cases(&self) -> Vec<Case> {
        chosen(&self.cases)
    }

    /// The subjects to measure for which `is_fit` holds.
    pub fn subjects(&self, is_fit: impl FnMut(&Name) -> bool) -> Vec<Name> {
        chosen(&self.subjects).into_iter().filter(is_fit).collect()
    }

    /// Prints the figures together with those of other jobs, and stores them if a file is named.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn conclude(&self, mut outcomes: Vec<Outcome>, setting: &Setting) -> anyhow::Result<()> {
        for path in &self.with {
            let rounds = report::read_rounds(path);
            outcomes.extend(rounds.with_context(|| format!("cannot read {}", path.display()))?);
        }
        let outcomes = in_order::<Case, Name>(&outcomes);
        print!("{}", report::table(setting, &outcomes, "mpisync"));
        if let Some(path) = &self.json {
            report::write_json(path, setting, &outcomes)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// The environment of a benchmark.
///
/// # Errors
/// If MPI does not report its version.
pub fn setting(world: &SimpleCommunicator, hosts: usize) -> anyhow::Result<Setting> {
    Ok(Setting {
        mpi: report::short_version(&mpi::environment::library_version()?),
        ranks: world.size() as usize,
        hosts,
        cores: report::cores(),
    })
}

/// The `main` of a program: initializes MPI, reads the command line, and runs the benchmark on
/// every rank.
///
/// MPI is initialized for several threads only if the ranks are on several hosts or the options ask
/// for it, because that makes many MPIs slower.
pub fn main<O: Parser>(
    asks_for_threads: impl FnOnce(&O) -> bool,
    run: impl FnOnce(&O, &SimpleCommunicator) -> anyhow::Result<()>,
) -> ExitCode {
    let options = O::try_parse();
    let name = O::command().get_name().to_owned();
    let threads =
        std::env::var_os("XTASK_HOSTS").is_some() || options.as_ref().is_ok_and(asks_for_threads);
    let for_threads = threads.then(mpisync::initialize).flatten();
    let for_one_thread = (!threads).then(mpi::initialize).flatten();
    if for_threads.is_none() && for_one_thread.is_none() {
        eprintln!("{name}: MPI is initialized already");
        return ExitCode::FAILURE;
    }
    let world = SimpleCommunicator::world();
    abort_the_job_on_panic();
    let options = match options {
        Ok(options) => options,
        Err(message) => {
            // Every rank has the same arguments; one of them reports the error.
            if world.rank() == 0 {
                // If standard error is closed, there is nothing else to report to.
                let _ = message.print();
            }
            return ExitCode::from(message.exit_code() as u8);
        }
    };
    match run(&options, &world) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if world.rank() == 0 {
                eprintln!("{name}: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

/// The requested ones, or all if none was requested.
fn chosen<T: ValueEnum>(asked: &[T]) -> Vec<T> {
    let all = if asked.is_empty() {
        T::value_variants()
    } else {
        asked
    };
    all.to_vec()
}

/// The name of a value on the command line.
pub fn spelling(value: impl ValueEnum) -> String {
    let value = value.to_possible_value().expect("no value is hidden");
    value.get_name().to_owned()
}

/// The outcomes by case, and by subject within a case, in the order of the command line's list.
fn in_order<Case: ValueEnum, Name: ValueEnum>(outcomes: &[Outcome]) -> Vec<Outcome> {
    let mut sorted = Vec::new();
    for case in Case::value_variants() {
        for subject in Name::value_variants() {
            let (case, subject) = (spelling(case.clone()), spelling(subject.clone()));
            let this = |outcome: &&Outcome| outcome.case == case && outcome.subject == subject;
            sorted.extend(outcomes.iter().find(this).cloned());
        }
    }
    sorted
}

/// A rank that panics ends the job; otherwise the other ranks would wait for it.
fn abort_the_job_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        SimpleCommunicator::world().abort(1);
    }));
}
