//! Tests that need no MPI, under tools that find wrong accesses of memory.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use which::which;

use super::suite::Suite;
use crate::process::{output_of, say};
use crate::workspace::Workspace;

/// The arguments of `cargo test` for the tests that need no MPI. The examples in the documentation start MPI, so they are left
/// out.
const WITHOUT_MPI: &str = "-p mpisync --no-default-features --features futures,inspect,progress,region,trace,tracing --lib --tests";

/// The models of the lock, which take long, and once is enough.
const MODELS: &str = "rwlock::tests::model";

/// How many random worlds are tried here, where each takes long: elsewhere it is all of them.
const SEEDS: &str = "10";

/// Tells what is left out, if it is, when the step runs as a whole or not.
pub(super) fn tell(is_whole: bool) {
    if !has_nightly() {
        say("no nightly compiler, so no AddressSanitizer");
    }
    if is_whole && which("valgrind").is_err() {
        say("no valgrind, so no memcheck");
    }
    if is_whole && has_nightly() && !has_sources() {
        say("no ThreadSanitizer, which takes `rustup component add rust-src --toolchain nightly`");
    }
}

/// The tests that need no MPI, in a build without it.
pub(super) fn without_mpi(workspace: &Workspace) -> Suite {
    let mut cargo = workspace.cargo();
    cargo.env("CARGO_TARGET_DIR", workspace.target.join("without-mpi"));
    Suite::new(cargo, WITHOUT_MPI).skip([MODELS])
}

/// Those under AddressSanitizer, which comes with nightly compilers only, or plainly without one.
pub(super) fn under_sanitizer(workspace: &Workspace) -> Result<Suite> {
    if !has_nightly() {
        return Ok(without_mpi(workspace));
    }
    sanitized(workspace, "sanitizer", "address")
}

/// Those under ThreadSanitizer, with a standard library that is built for it, if its sources are there.
pub(super) fn under_thread_sanitizer(workspace: &Workspace) -> Result<Option<Suite>> {
    if !has_sources() {
        return Ok(None);
    }
    let suite = sanitized(workspace, "thread-sanitizer", "thread")?;
    Ok(Some(suite.args(["-Zbuild-std".to_owned()])))
}

/// Those under this sanitizer, built in this folder by the nightly compiler.
fn sanitized(workspace: &Workspace, folder: &str, sanitizer: &str) -> Result<Suite> {
    let mut cargo = nightly("cargo");
    cargo.current_dir(&workspace.root);
    cargo.env("CARGO_TARGET_DIR", workspace.target.join(folder));
    cargo.env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}"));
    let suite = Suite::new(cargo, WITHOUT_MPI).args(["--target".to_owned(), host(workspace)?]);
    Ok(suite.skip([MODELS]).env("TEST_SEEDS", SEEDS))
}

/// Those under valgrind, if it is there.
pub(super) fn under_valgrind(workspace: &Workspace) -> Result<Option<Suite>> {
    if which("valgrind").is_err() {
        return Ok(None);
    }
    let host = host(workspace)?.replace('-', "_").to_uppercase();
    let runner = format!("CARGO_TARGET_{host}_RUNNER");
    let mut cargo = workspace.cargo();
    cargo
        .env("CARGO_TARGET_DIR", workspace.target.join("valgrind"))
        .env(runner, "valgrind --quiet --error-exitcode=9")
        .env("TEST_SEEDS", SEEDS)
        // Optimized code may branch on a value before it looks whether there is one, where both ways lead to the same.
        .args(["--config", "profile.test.package.mpisync.opt-level=0"]);
    // Valgrind runs one thread at a time: it cannot show what cores see of each other, and takes very long.
    Ok(Some(
        Suite::new(cargo, WITHOUT_MPI).skip(["without_a_barrier"]),
    ))
}

/// A program of the nightly compiler.
fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command
        .args(["run", "nightly", program])
        .env_remove("RUSTUP_TOOLCHAIN");
    command
}

fn has_nightly() -> bool {
    output_of(nightly("rustc").arg("--version")).is_some()
}

/// Whether the nightly compiler has the sources of its standard library.
fn has_sources() -> bool {
    let sysroot = output_of(nightly("rustc").args(["--print", "sysroot"]));
    let library = "lib/rustlib/src/rust/library";
    sysroot.is_some_and(|sysroot| Path::new(sysroot.trim()).join(library).exists())
}

/// The target that the compiler builds for by default.
fn host(workspace: &Workspace) -> Result<String> {
    let mut rustc = Command::new("rustc");
    let version = output_of(rustc.current_dir(&workspace.root).arg("-vV")).context("rustc -vV")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names a host")?.to_owned())
}
