//! Tests that cargo builds and runs.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{run, run_tests};

/// A run of `cargo test`.
pub(super) struct Suite {
    /// Cargo with `test` and what selects the tests.
    cargo: Command,
    /// What follows `--`.
    options: Vec<String>,
    /// What these tests start, and cargo does not build with them.
    programs: Option<Command>,
}

impl Suite {
    /// `cargo test` with these arguments, which blanks separate.
    pub(super) fn new(mut cargo: Command, arguments: &str) -> Self {
        cargo.arg("test").args(arguments.split(' '));
        Self {
            cargo,
            options: Vec::new(),
            programs: None,
        }
    }

    /// Adds arguments for cargo.
    pub(super) fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.cargo.args(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds arguments for the test programs.
    pub(super) fn options<S: Into<String>>(mut self, options: impl IntoIterator<Item = S>) -> Self {
        self.options.extend(options.into_iter().map(Into::into));
        self
    }

    /// Leaves out the tests whose names contain one of these.
    pub(super) fn skip<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.options(names.into_iter().flat_map(|name| ["--skip", name]))
    }

    /// Sets a variable of the environment.
    pub(super) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.cargo.env(name, value);
        self
    }

    /// Builds these with `cargo`, too.
    pub(super) fn programs(mut self, build: Command) -> Self {
        self.programs = Some(build);
        self
    }

    /// What builds all that the tests take.
    pub(super) fn builds(&self) -> impl Iterator<Item = Command> {
        let mut build = copy(&self.cargo);
        build.arg("--no-run");
        let programs = self.programs.as_ref().map(copy);
        programs.into_iter().chain([build])
    }

    /// Builds and runs the tests, calls `begins` in between, and counts the tests that passed. No test at all is a failure. The
    /// limit begins when everything is built.
    pub(super) fn run(mut self, limit: Duration, begins: impl FnOnce()) -> Result<usize> {
        for mut build in self.builds() {
            run(&mut build).context("cannot build the tests")?;
        }
        begins();
        if !self.options.is_empty() {
            self.cargo.arg("--").args(self.options);
        }
        run_tests(&mut self.cargo, limit, passed_in)
    }
}

/// The same program with the same arguments, directory and environment.
pub(super) fn copy(command: &Command) -> Command {
    copy_as(Command::new(command.get_program()), command)
}

/// Adds the arguments, the directory and the environment of `command` to another one.
pub(super) fn copy_as(mut other: Command, command: &Command) -> Command {
    other.args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        other.current_dir(directory);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => other.env(name, value),
            None => other.env_remove(name),
        };
    }
    other
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

    #[test]
    fn what_builds_tests_selects_the_same_and_runs_nothing() {
        let mut cargo = Command::new("cargo");
        cargo.current_dir("/a").env("B", "c").env_remove("D");
        let suite = Suite::new(cargo, "-p x").args(["--lib"]).skip(["slow"]);
        let builds: Vec<_> = suite.builds().collect();
        let [build] = &builds[..] else {
            panic!("there is one: {builds:?}");
        };
        let arguments: Vec<_> = build.get_args().collect();
        assert_eq!(arguments, ["test", "-p", "x", "--lib", "--no-run"]);
        assert_eq!(build.get_current_dir(), Some("/a".as_ref()));
        let environment: Vec<_> = build.get_envs().collect();
        assert_eq!(
            environment,
            [("B".as_ref(), Some("c".as_ref())), ("D".as_ref(), None)]
        );
    }
}
