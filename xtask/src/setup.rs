//! Setting a machine up: uses what is there and installs what is missing, with the system's package manager where that is
//! allowed, else from PyPI. If neither works, it prints the commands to type.
//!
//! Nothing is kept between two runs: each looks at the machine anew.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Error, Result, bail};
use which::which;

use crate::hdf5::Hdf5;
use crate::libclang::Libclang;
use crate::mpi::{self, Choice, Mpi};
use crate::packages::{Manager, Missing, list};
use crate::process::{output_of, say};
use crate::wheels;
use crate::workspace::Workspace;

/// What is needed: the examples take HDF5, the benchmarks do not, and the tests take a Python, a Fortran
/// compiler and Chromium as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// MPI alone.
    Mpi,
    /// MPI and HDF5.
    MpiAndHdf5,
    /// These, pip, a Fortran compiler and Chromium.
    Tests,
}

/// What is there: once it is [prepared](prepare), all that is needed.
#[derive(Debug)]
pub struct Machine {
    /// The MPIs to use.
    pub mpis: Vec<Mpi>,
    /// For bindgen.
    pub libclang: Option<Libclang>,
    /// For the examples.
    pub hdf5: Option<Hdf5>,
    /// For the tests of the timeline's page.
    pub chromium: Option<PathBuf>,
}

impl Machine {
    /// What is there and what is missing. An HDF5 that has to be built counts if it `may_be_built`.
    fn look(
        workspace: &Workspace,
        choice: &Choice,
        need: Need,
        may_be_built: bool,
    ) -> Result<(Self, Vec<Missing>)> {
        let (mpis, missing_mpis) = choice.find(workspace)?;
        let takes_pip = need == Need::Tests || choice.names_pypi();
        let libclang = Libclang::find(workspace)?;
        let hdf5 = (need >= Need::MpiAndHdf5)
            .then(|| Hdf5::find(workspace, may_be_built))
            .flatten();
        let chromium = (need == Need::Tests).then(chromium).flatten();
        let mut missing: Vec<Missing> = missing_mpis.into_iter().map(Missing::Mpi).collect();
        for (thing, is_missing) in [
            (Missing::Compiler, !has_compiler()),
            (Missing::Libclang, libclang.is_none()),
            (Missing::Hdf5, hdf5.is_none() && need >= Need::MpiAndHdf5),
            (
                Missing::Pip,
                (takes_pip && !wheels::has_pip())
                    || (need == Need::Tests && !wheels::has_headers()),
            ),
            (
                Missing::Fortran,
                need == Need::Tests && which("gfortran").is_err(),
            ),
            (Missing::Chromium, need == Need::Tests && chromium.is_none()),
        ] {
            missing.extend(is_missing.then_some(thing));
        }
        Ok((
            Self {
                mpis,
                libclang,
                hdf5,
                chromium,
            },
            missing,
        ))
    }
}

/// Looks at the machine and installs what is missing.
pub fn prepare(workspace: &Workspace, choice: &Choice, need: Need) -> Result<Machine> {
    let look = |may_be_built| Machine::look(workspace, choice, need, may_be_built);
    let (mut machine, mut missing) = look(false)?;
    let mut failures = Vec::new();
    if !missing.is_empty() {
        say(format!("not on this machine: {}", list(&missing)));
        if let Some(manager) = Manager::usable() {
            say("installing it with the system's package manager:");
            // Some systems, such as Ubuntu, have no package of Chromium. The others are installed then, too.
            let (chromium, others): (Vec<_>, Vec<_>) = missing
                .iter()
                .partition(|thing| **thing == Missing::Chromium);
            for things in [others, chromium] {
                if !things.is_empty() {
                    failures.extend(manager.install(&things).err());
                }
            }
        }
        (machine, missing) = look(true)?;
    }
    if !missing.is_empty() && !missing.contains(&Missing::Compiler) && wheels::has_pip() {
        failures.extend(wheels::install(workspace, &missing).err());
        (machine, missing) = look(true)?;
    }
    // The tests that need these are left out then, with a message.
    let is_needed = |thing: &Missing| match thing {
        Missing::Pip => choice.names_pypi() && !wheels::has_pip(),
        thing => ![Missing::Fortran, Missing::Chromium].contains(thing),
    };
    missing.retain(is_needed);
    if !missing.is_empty() {
        bail!("{}", advice(&missing, Manager::find(), &failures));
    }
    for failure in failures {
        say(format!("{failure:#}"));
    }
    Ok(machine)
}

/// Sets everything up and prints what will be used.
pub fn show(workspace: &Workspace, choice: &Choice) -> Result<()> {
    let machine = prepare(workspace, choice, Need::MpiAndHdf5)?;
    for mpi in &machine.mpis {
        println!("MPI       {mpi}, launched by {}", mpi.mpiexec.display());
    }
    if let Some(libclang) = &machine.libclang {
        println!("libclang  in {}", libclang.dir.display());
    }
    if let Some(hdf5) = &machine.hdf5 {
        println!("HDF5      {hdf5}");
    }
    Ok(())
}

/// Whether there is a C compiler that finds the C library's headers.
pub fn has_compiler() -> bool {
    output_of(Command::new("cc").args(["-E", "-include", "stdio.h", "-x", "c", "/dev/null"]))
        .is_some()
}

/// Chromium, or a browser that is made of it.
fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    names.iter().find_map(|name| which(name).ok())
}

/// What to type where nothing may be installed.
fn advice(missing: &[Missing], manager: Option<Manager>, failures: &[Error]) -> String {
    let mut text = format!("still missing: {}. ", list(missing));
    for failure in failures {
        text += &format!("{failure:#}\n\n");
    }
    match manager {
        Some(manager) => text += &format!("Please type:\n\n    {}", manager.line(missing)),
        None => {
            text += "There is no package manager here that xtask knows (apt, dnf, zypper, pacman, brew).\n\
                     Please install by hand: a C compiler, Open MPI or MPICH with its compiler wrapper mpicc on PATH\n\
                     (or named by MPICC), libclang, and HDF5 with its headers (or cmake and make, to build it).";
        }
    }
    if !wheels::has_pip() && !missing.contains(&Missing::Compiler) {
        text += "\n\nOr install pip for Python 3 (python3-pip): with it everything can be fetched from PyPI, without root.";
    }
    let is_mpi = |thing: &Missing| matches!(thing, Missing::Mpi(_));
    if mpi::named_wrapper().is_none() && missing.iter().any(is_mpi) {
        text += "\n\nAn MPI that is not on PATH can be named: --mpi PATH.";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_names_what_is_missing_and_ways_to_get_it() {
        let missing = [Missing::Compiler, Missing::Mpi(None), Missing::Hdf5];
        let failures = [anyhow::anyhow!("E: no package x").context("cannot install an MPI")];
        let text = advice(&missing, None, &failures);
        let start =
            "still missing: a C compiler, an MPI, HDF5. cannot install an MPI: E: no package x\n";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains("Please install by hand"), "{text}");
    }
}
