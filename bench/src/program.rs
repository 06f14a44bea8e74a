//! What the programs in `src/bin` have in common: their command lines, and how they end.

use clap::ValueEnum;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

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

/// A rank that panics ends the job, so that the others do not wait for it.
pub fn abort_the_job_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        SimpleCommunicator::world().abort(1);
    }));
}
