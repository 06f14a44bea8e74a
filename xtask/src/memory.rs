//! The tests that need no MPI, under tools that see what a test does not: AddressSanitizer and valgrind's memcheck.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cargo_test::tests;
use crate::process::output_of;
use crate::report::say;
use crate::workspace::{Workspace, on_path};

/// What cargo is told to run the tests that need no MPI.
pub const TESTS_WITHOUT_MPI: [&str; 8] = [
    "test",
    "-p",
    "mpisync",
    "--no-default-features",
    "--features",
    "cli,futures,region",
    "--lib",
    "--tests",
];

/// Runs the tests under each tool that is there, and says which is not; counts the tests.
pub fn check(workspace: &Workspace, limit: Duration) -> Result<usize> {
    let host = host(workspace)?;
    Ok(under_sanitizer(workspace, &host, limit)? + under_valgrind(workspace, &host, limit)?)
}

/// AddressSanitizer is for nightly compilers only, and comes with them.
fn under_sanitizer(workspace: &Workspace, host: &str, limit: Duration) -> Result<usize> {
    let nightly = |program: &str| {
        let mut command = Command::new("rustup");
        command
            .args(["run", "nightly", program])
            .env_remove("RUSTUP_TOOLCHAIN");
        command
    };
    if on_path("rustup").is_none() || output_of(nightly("rustc").arg("--version")).is_none() {
        say("no nightly compiler, so no AddressSanitizer");
        return Ok(0);
    }
    let mut cargo = nightly("cargo");
    cargo
        .current_dir(&workspace.root)
        .env("CARGO_TARGET_DIR", workspace.target.join("sanitizer"))
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .args(TESTS_WITHOUT_MPI)
        .args(["--target", host]);
    tests(&mut cargo, limit).context("AddressSanitizer")
}

fn under_valgrind(workspace: &Workspace, host: &str, limit: Duration) -> Result<usize> {
    if on_path("valgrind").is_none() {
        say("no valgrind, so no memcheck");
        return Ok(0);
    }
    let runner = format!(
        "CARGO_TARGET_{}_RUNNER",
        host.replace('-', "_").to_uppercase()
    );
    let mut cargo = workspace.cargo();
    cargo
        .env("CARGO_TARGET_DIR", workspace.target.join("valgrind"))
        .env(runner, "valgrind --quiet --error-exitcode=9")
        .args(TESTS_WITHOUT_MPI)
        // Optimized code may branch on a value before it looks whether there is one, where both ways lead to the same.
        .args(["--config", "profile.test.package.mpisync.opt-level=0"])
        // Valgrind runs one thread at a time, so that what cores see of each other does not show there, and takes very long.
        .args(["--", "--skip", "without_a_barrier"]);
    tests(&mut cargo, limit).context("valgrind")
}

/// The target that the compiler builds for when it is not told.
fn host(workspace: &Workspace) -> Result<String> {
    let mut rustc = Command::new("rustc");
    let version = output_of(rustc.current_dir(&workspace.root).arg("-vV")).context("rustc -vV")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names a host")?.to_owned())
}
