//! The tests that need no MPI, under tools that watch what a program does with its memory.

use std::process::Command;

use anyhow::{Context, Result};
use which::which;

use super::{IN_CHROMIUM, SKIP_REPEATED, Test, WITHOUT_MPI};
use crate::process::{output_of, say};
use crate::workspace::Workspace;

impl Test {
    /// AddressSanitizer is for nightly compilers only, and comes with them.
    pub(super) fn under_sanitizer(&self, workspace: &Workspace) -> Result<usize> {
        let nightly = |program: &str| {
            let mut command = Command::new("rustup");
            command
                .args(["run", "nightly", program])
                .env_remove("RUSTUP_TOOLCHAIN");
            command
        };
        if output_of(nightly("rustc").arg("--version")).is_none() {
            say("no nightly compiler, so no AddressSanitizer");
            return Ok(0);
        }
        let mut cargo = nightly("cargo");
        cargo.current_dir(&workspace.root);
        cargo.env("CARGO_TARGET_DIR", workspace.target.join("sanitizer"));
        cargo.env("RUSTFLAGS", "-Zsanitizer=address");
        let mut options = vec!["--target".to_owned(), host(workspace)?];
        options.extend(SKIP_REPEATED.map(String::from));
        self.tests(cargo, WITHOUT_MPI, &options)
            .context("AddressSanitizer")
    }

    pub(super) fn under_valgrind(&self, workspace: &Workspace) -> Result<usize> {
        if which("valgrind").is_err() {
            say("no valgrind, so no memcheck");
            return Ok(0);
        }
        let host = host(workspace)?.replace('-', "_").to_uppercase();
        let runner = format!("CARGO_TARGET_{host}_RUNNER");
        let mut cargo = workspace.cargo();
        cargo
            .env("CARGO_TARGET_DIR", workspace.target.join("valgrind"))
            .env(runner, "valgrind --quiet --error-exitcode=9")
            // The imagined nodes take seconds for each seed here; elsewhere they run with all of them.
            .env("TEST_SEEDS", "10")
            // Optimized code may branch on a value before it looks whether there is one, where both ways lead to the same.
            .args(["--config", "profile.test.package.mpisync.opt-level=0"]);
        // Valgrind runs one thread at a time: it cannot show what cores see of each other, and takes very long.
        let skip = ["--", "--skip", "without_a_barrier", "--skip", IN_CHROMIUM].map(String::from);
        self.tests(cargo, WITHOUT_MPI, &skip).context("valgrind")
    }
}

/// The target that the compiler builds for by default.
fn host(workspace: &Workspace) -> Result<String> {
    let mut rustc = Command::new("rustc");
    let version = output_of(rustc.current_dir(&workspace.root).arg("-vV")).context("rustc -vV")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc -vV names a host")?.to_owned())
}
