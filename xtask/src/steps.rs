//! The steps of a task: how they are listed, and what is printed of each.

use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::ValueEnum;

use crate::process::say;

/// The name of a step on the command line, and the line that explains it.
pub fn describe(step: &impl ValueEnum) -> (String, String) {
    let value = step.to_possible_value().expect("no step is skipped");
    let help = value.get_help().map(ToString::to_string);
    (value.get_name().to_owned(), help.unwrap_or_default())
}

/// Prints all steps.
pub fn list<S: ValueEnum>() {
    for (name, help) in S::value_variants().iter().map(describe) {
        println!("{name:11} {help}");
    }
}

/// Runs a step, and prints that it begins, how it ends, and how to repeat it if it fails: by `cargo xtask` with `repeat`.
/// `passed` returns what is printed of the outcome before the seconds.
pub fn announced<T>(
    title: &str,
    repeat: &str,
    work: impl FnOnce() -> Result<T>,
    passed: impl FnOnce(&T) -> String,
) -> Result<T> {
    say(format!("== {title}"));
    let start = Instant::now();
    let outcome = work()
        .map_err(|error| anyhow!("{title}: {error:#}\nTo repeat it: cargo xtask {repeat}"))?;
    let (passed, seconds) = (passed(&outcome), start.elapsed().as_secs_f64());
    say(format!("== {title}: passed, {passed}{seconds:.1} s"));
    Ok(outcome)
}
