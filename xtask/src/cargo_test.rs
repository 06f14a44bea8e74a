//! Running `cargo test` within a limit, which counts from when everything is built.

use std::collections::HashMap;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Late, output_of, pass_on, run, run_job};

/// Runs `cargo test` and counts the tests that passed. None at all is a failure: a check that checks nothing.
pub fn tests(cargo: &mut Command, limit: Duration) -> Result<usize> {
    run(&mut with(cargo, "--no-run", Place::Cargo)).context("cannot build the tests")?;
    let mut passed = 0;
    let mut ended = Vec::new();
    let outcome = run_job(cargo, limit, |line| {
        pass_on(line);
        passed += passed_in(line);
        ended.extend(ended_in(line).map(str::to_owned));
    });
    match outcome {
        Err(error) if error.is::<Late>() => {
            let list = output_of(&mut with(cargo, "--list", Place::Tests)).unwrap_or_default();
            let threads = thread::available_parallelism().map_or(1, usize::from);
            let open = match open(&list, &ended, threads).join(", ") {
                none if none.is_empty() => none,
                names => format!("; open were: {names}"),
            };
            Err(error).context(format!("the tests took too long (--step-limit){open}"))
        }
        outcome => {
            outcome?;
            if passed == 0 {
                bail!("there is not one test in it");
            }
            Ok(passed)
        }
    }
}

/// Whom an argument is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Cargo,
    Tests,
}

/// The same `cargo test` with one more argument.
fn with(cargo: &Command, argument: &str, place: Place) -> Command {
    let mut command = Command::new(cargo.get_program());
    if let Some(dir) = cargo.get_current_dir() {
        command.current_dir(dir);
    }
    for (name, value) in cargo.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let arguments: Vec<_> = cargo.get_args().collect();
    let end = arguments.iter().position(|argument| *argument == "--");
    let (for_cargo, for_tests) = arguments.split_at(end.unwrap_or(arguments.len()));
    command.args(for_cargo);
    if place == Place::Cargo {
        command.arg(argument);
    }
    command.args(for_tests);
    if place == Place::Tests {
        if end.is_none() {
            command.arg("--");
        }
        command.arg(argument);
    }
    command
}

/// N of `test result: ok. N passed; …`.
fn passed_in(line: &str) -> usize {
    let count = line
        .strip_prefix("test result: ok. ")
        .and_then(|rest| rest.split_once(" passed"));
    count.and_then(|(count, _)| count.parse().ok()).unwrap_or(0)
}

/// NAME of `test NAME ... ok`, or of another outcome.
fn ended_in(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some(name)
}

/// The tests that were running: tests begin in the order of the list, as many at a time as there are threads, so that the
/// first ones that have not ended are those. Programs run one after the other, and a name may be in several.
fn open(list: &str, ended: &[String], threads: usize) -> Vec<String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for name in ended {
        *counts.entry(name).or_default() += 1;
    }
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    let has_not_ended = |name: &&str| match counts.get_mut(*name) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    let open = names.filter(has_not_ended).take(threads);
    open.map(str::to_owned).collect()
}

#[cfg(test)]
mod counting {
    use super::*;

    #[test]
    fn passed_tests_are_counted() {
        let line = "test result: ok. 17 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(passed_in(line), 17);
        assert_eq!(
            passed_in("test result: FAILED. 17 passed; 1 failed; 0 ignored"),
            0
        );
        assert_eq!(passed_in("test lock::tests::excludes ... ok"), 0);
    }

    #[test]
    fn tests_that_have_not_ended_are_named() {
        let list = "a: test\nb: test\nc: test\n\n3 tests, 0 benchmarks\na: test\nd: test\n";
        let lines = [
            "test a ... ok",
            "test c ... FAILED",
            "test b has been running",
        ];
        let ended: Vec<String> = lines
            .iter()
            .filter_map(|line| ended_in(line).map(str::to_owned))
            .collect();
        assert_eq!(ended, ["a", "c"]);
        assert_eq!(open(list, &ended, 1), ["b"]);
        assert_eq!(open(list, &ended, 2), ["b", "a"]);
    }

    #[test]
    fn an_argument_is_put_where_it_belongs() {
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "-p", "a", "--", "name"]).env("A", "1");
        let words = |command: &Command| -> Vec<String> {
            let words = command.get_args();
            words
                .map(|word| word.to_string_lossy().into_owned())
                .collect()
        };
        let build = with(&cargo, "--no-run", Place::Cargo);
        assert_eq!(words(&build), ["test", "-p", "a", "--no-run", "--", "name"]);
        assert_eq!(build.get_envs().count(), 1);
        let list = with(&cargo, "--list", Place::Tests);
        assert_eq!(words(&list), ["test", "-p", "a", "--", "name", "--list"]);
        let mut plain = Command::new("cargo");
        let list = with(plain.arg("test"), "--list", Place::Tests);
        assert_eq!(words(&list), ["test", "--", "--list"]);
    }
}
