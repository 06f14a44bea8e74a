//! `cargo xtask release-check`: what a release needs beside the tests, one step after another, up to the first that fails.

mod contents;
mod copy;
mod published;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use which::which;

use crate::launch::Toolbox;
use crate::mpi::Choice;
use crate::process::{output_of, run, say};
use crate::release::copy::Copy;
use crate::release::published::{Package, published};
use crate::setup::{self, Need};
use crate::steps::{self, describe, list};
use crate::workspace::Workspace;

/// A check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// What the packages contain, and whether they build from that: a publication that stops before it uploads
    Package,
    /// Licences, advisories, bans and sources of the dependencies, by cargo-deny
    Deny,
    /// The packages compile with the oldest Rust that they promise
    Msrv,
    /// The packages compile with the oldest versions of their dependencies that they allow
    Minimal,
    /// The packages compile without warnings with each feature, and with each two of them, by cargo-hack
    Features,
    /// What has changed in the interface since the last release asks for no larger version, by cargo-semver-checks
    Api,
}

/// `cargo xtask release-check`
#[derive(Args)]
pub struct ReleaseCheck {
    #[command(flatten)]
    mpi: Choice,
    /// Run this step only (may be given several times)
    #[arg(long, value_enum, value_name = "STEP", value_delimiter = ',')]
    only: Vec<Step>,
    /// List the steps and stop
    #[arg(long)]
    list: bool,
}

/// What a step did not look at, and why.
type LeftOut = Option<String>;

impl ReleaseCheck {
    /// Runs the steps that were asked for, with the first of the chosen MPIs.
    pub fn run(&self, workspace: &Workspace) -> Result<()> {
        if self.list {
            list::<Step>();
            return Ok(());
        }
        let start = Instant::now();
        let machine = setup::prepare(workspace, &self.mpi, Need::Mpi)?;
        let tools = Toolbox::new(workspace, &machine, &machine.mpis[0], Duration::MAX);
        let packages = published(workspace)?;
        let check = Check { tools, packages };
        let mut left_out = Vec::new();
        for step in Step::value_variants() {
            if self.only.is_empty() || self.only.contains(step) {
                left_out.extend(check.announced(*step)?);
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        say(format!("all release checks passed, {seconds:.1} s"));
        for reason in left_out {
            say(format!("not checked: {reason}"));
        }
        Ok(())
    }
}

/// The packages, and what they are built with.
struct Check<'a> {
    tools: Toolbox<'a>,
    packages: Vec<Package>,
}

impl Check<'_> {
    /// Runs a step as [`steps::announced`] does.
    fn announced(&self, step: Step) -> Result<LeftOut> {
        let (name, _) = describe(&step);
        let mpi = self.tools.mpi.mpicc.display();
        let repeat = format!("release-check --only {name} --mpi {mpi}");
        let work = || match step {
            Step::Package => self.package(),
            Step::Deny => self.deny(),
            Step::Msrv => self.msrv(),
            Step::Minimal => self.minimal(),
            Step::Features => self.features(),
            Step::Api => self.api(),
        };
        steps::announced(&name, &repeat, work, |_| String::new())
    }

    /// The options of cargo that select these packages.
    fn selected<'p>(packages: impl IntoIterator<Item = &'p Package>) -> Vec<String> {
        let options = packages
            .into_iter()
            .flat_map(|package| ["--package", &package.name]);
        options.map(str::to_owned).collect()
    }

    fn package(&self) -> Result<LeftOut> {
        for package in &self.packages {
            let mut list = self.tools.workspace.cargo();
            list.args(["package", "--list", "--quiet", "--package", &package.name]);
            let files = output_of(&mut list).with_context(|| {
                format!(
                    "`cargo package --list --package {}` fails; it needs a work tree without changes",
                    package.name
                )
            })?;
            let wrong = contents::wrong(files.lines());
            ensure!(
                wrong.is_empty(),
                "{}: {}; correct `include` in its Cargo.toml",
                package.name,
                wrong.join(", ")
            );
            let readme = fs::read_to_string(&package.readme)?;
            let broken = contents::broken_links(&readme, &self.tools.workspace.root);
            ensure!(
                broken.is_empty(),
                "{} has links that the registry cannot follow: {}",
                package.readme.display(),
                broken.join(", ")
            );
        }
        let mut publish = self.tools.cargo();
        publish.args(["publish", "--dry-run"]);
        run(publish.args(Self::selected(&self.packages)))?;
        Ok(None)
    }

    fn deny(&self) -> Result<LeftOut> {
        let mut deny = self.tool("cargo-deny")?;
        if run(deny.args(["deny", "fetch", "db"])).is_ok() {
            run(self.tool("cargo-deny")?.args(["deny", "check"]))?;
            return Ok(None);
        }
        run(self
            .tool("cargo-deny")?
            .args(["deny", "check", "licenses", "bans", "sources"]))?;
        let reason = "advisories, because their database cannot be fetched";
        Ok(Some(reason.to_owned()))
    }

    fn msrv(&self) -> Result<LeftOut> {
        let mut versions: Vec<&str> = Vec::new();
        for package in &self.packages {
            let version = package.rust_version.as_deref();
            let version = version.with_context(|| {
                format!("{} has no `rust-version` in its Cargo.toml", package.name)
            })?;
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
        for version in versions {
            let of_version = |package: &&Package| package.rust_version.as_deref() == Some(version);
            let packages = self.packages.iter().filter(of_version);
            let mut check = self.cargo_of(version, &self.tools.workspace.root)?;
            check.args(["check", "--locked", "--all-features"]);
            run(check.args(Self::selected(packages)))?;
        }
        Ok(None)
    }

    fn minimal(&self) -> Result<LeftOut> {
        let copy = self.copy("minimal")?;
        let mut update = self.cargo_of("nightly", &copy.root)?;
        run(update.args(["update", "-Z", "direct-minimal-versions"]))?;
        let mut check = self.tools.cargo();
        check.current_dir(&copy.root);
        run(check.args(["check", "--workspace", "--all-features"])).context(
            "the packages do not compile with the least versions of dependencies that their Cargo.toml allow",
        )?;
        Ok(None)
    }

    fn features(&self) -> Result<LeftOut> {
        let copy = self.copy("features")?;
        let mut hack = self.tool("cargo-hack")?;
        hack.current_dir(&copy.root).env("RUSTFLAGS", "-D warnings");
        // All 256 sets of the library's features take hours. Code that is compiled under a condition names one or two of them.
        hack.args(["hack", "check", "--workspace", "--feature-powerset"])
            .args(["--depth", "2", "--exclude-features", "default"]);
        run(&mut hack)?;
        Ok(None)
    }

    fn api(&self) -> Result<LeftOut> {
        let mut describe = Command::new("git");
        describe.current_dir(&self.tools.workspace.root);
        describe.args(["describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"]);
        let Some(tag) = output_of(&mut describe) else {
            let reason = "changes of the interface, because there is no tag of an earlier release";
            return Ok(Some(reason.to_owned()));
        };
        let mut check = self.tool("cargo-semver-checks")?;
        check.args(["semver-checks", "check-release", "--baseline-rev"]);
        let libraries = self.packages.iter().filter(|package| package.is_library);
        run(check.arg(tag.trim()).args(Self::selected(libraries)))?;
        Ok(None)
    }

    /// A copy of the workspace that has nothing but the published packages, without the dependencies of their tests.
    fn copy(&self, name: &str) -> Result<Copy> {
        let copy = Copy::new(self.tools.workspace, name, &self.packages)?;
        let mut hack = self.tool("cargo-hack")?;
        hack.current_dir(&copy.root);
        run(hack.args(["hack", "--remove-dev-deps", "--workspace"]))?;
        Ok(copy)
    }

    /// A tool that cargo can install. If it is not on this machine, it is installed below the target directory.
    fn tool(&self, name: &str) -> Result<Command> {
        let workspace = self.tools.workspace;
        let own = workspace.target.join("tools");
        let program = match which(name) {
            Ok(program) => program,
            Err(_) => own.join("bin").join(name),
        };
        if !program.exists() {
            say(format!("installing {name} below {}", own.display()));
            let mut install = workspace.cargo();
            install.args(["install", "--locked", "--root"]).arg(&own);
            run(install.arg(name)).with_context(|| format!("cannot install {name}"))?;
        }
        let mut command = Command::new(program);
        command.current_dir(&workspace.root);
        self.tools.equip(&mut command);
        Ok(command)
    }

    /// Cargo of this toolchain, which rustup installs if it is not on this machine.
    fn cargo_of(&self, toolchain: &str, dir: &Path) -> Result<Command> {
        let mut version = Command::new("rustup");
        version.args(["run", toolchain, "rustc", "--version"]);
        if output_of(&mut version).is_none() {
            say(format!("installing the Rust toolchain {toolchain}"));
            let mut install = Command::new("rustup");
            install.args(["toolchain", "install", toolchain, "--profile", "minimal"]);
            run(install.arg("--no-self-update")).with_context(|| {
                format!(
                    "this step needs the Rust toolchain {toolchain}, which rustup cannot install"
                )
            })?;
        }
        let mut cargo = Command::new("rustup");
        self.tools.equip(cargo.args(["run", toolchain, "cargo"]));
        cargo.current_dir(dir).env_remove("RUSTUP_TOOLCHAIN");
        Ok(cargo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_explained() {
        let steps: Vec<_> = Step::value_variants().iter().map(describe).collect();
        let names: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.join(" "), "package deny msrv minimal features api");
        assert!(steps.iter().all(|(_, help)| !help.is_empty()));
    }
}
