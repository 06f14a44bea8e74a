//! What the programs in `src/bin` have in common: their command lines, and how they end.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use crate::report::Outcome;

/// What a program's `main` does: initializes MPI, reads the command line, and has every rank run the benchmark.
///
/// MPI is initialized for several threads, which makes many MPIs slower, only where the ranks are on several hosts or the
/// options ask for it.
pub fn main<O: Parser>(
    asks_for_threads: impl FnOnce(&O) -> bool,
    run: impl FnOnce(&O, &SimpleCommunicator) -> anyhow::Result<()>,
) -> ExitCode {
    let options = O::try_parse();
    let name = O::command().get_name().to_owned();
    let threads =
        std::env::var_os("MPISYNC_HOSTS").is_some() || options.as_ref().is_ok_and(asks_for_threads);
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
            // Every rank has the same arguments; one of them says what is wrong.
            if world.rank() == 0 {
                // Nobody is left to be told that standard error is closed.
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

/// Those that were asked for, or all when none was.
pub fn chosen<T: ValueEnum>(asked: &[T]) -> Vec<T> {
    let all = if asked.is_empty() {
        T::value_variants()
    } else {
        asked
    };
    all.to_vec()
}

/// A value as it is written on the command line.
pub fn spelling(value: impl ValueEnum) -> String {
    let value = value.to_possible_value().expect("no value is hidden");
    value.get_name().to_owned()
}

/// The outcomes by case, and by subject within a case, as they are listed on the command line.
pub fn in_order<Case: ValueEnum, Name: ValueEnum>(outcomes: &[Outcome]) -> Vec<Outcome> {
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

/// A rank that panics ends the job, so that the others do not wait for it.
fn abort_the_job_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        SimpleCommunicator::world().abort(1);
    }));
}
