//! Setting a machine up: uses what is there and installs what is missing, with the system's package manager where that is
//! allowed, else from PyPI. If neither works, it prints the commands to type.
//!
//! Nothing is kept between two runs: each looks at the machine anew.

use std::fmt;
use std::process::Command;

use anyhow::{Result, bail};
use launcher::Family;

use crate::hdf5::Hdf5;
use crate::libclang::Libclang;
use crate::mpi::{self, Choice, Mpi};
use crate::packages::Manager;
use crate::process::{output_of, say, typed};
use crate::wheels::{self, Pip};
use crate::workspace::Workspace;

/// Something that mpisync needs and this machine lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A C compiler with the C library's headers.
    Compiler,
    /// An MPI, of this family if one was asked for.
    Mpi(Option<Family>),
    /// libclang.
    Libclang,
    /// HDF5, or what it takes to build it.
    Hdf5,
    /// `ip`, which sets hosts up.
    Iproute,
    /// pip for Python 3.
    Pip,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compiler => "a C compiler",
            Self::Mpi(None) => "an MPI",
            Self::Mpi(Some(family)) => return family.fmt(f),
            Self::Libclang => "libclang",
            Self::Hdf5 => "HDF5",
            Self::Iproute => "iproute2",
            Self::Pip => "pip for Python 3",
        })
    }
}

/// What is needed: the examples take HDF5, the benchmarks do not, and the tests take a Python as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// MPI alone.
    Mpi,
    /// MPI and HDF5.
    MpiAndHdf5,
    /// These and pip.
    Tests,
}

/// A machine on which everything that is needed is there.
#[derive(Debug)]
pub struct Machine {
    /// The MPIs to use, at least one.
    pub mpis: Vec<Mpi>,
    /// For bindgen.
    pub libclang: Libclang,
    /// For the examples.
    pub hdf5: Option<Hdf5>,
}

/// What is there.
struct Found {
    compiler: bool,
    mpis: Vec<Mpi>,
    missing_mpis: Vec<Option<Family>>,
    libclang: Option<Libclang>,
    hdf5: Option<Hdf5>,
    pip: bool,
    need: Need,
}

impl Found {
    fn look(workspace: &Workspace, choice: &Choice, need: Need) -> Result<Self> {
        let (mpis, missing_mpis) = choice.find(workspace)?;
        let installed = || Hdf5::installed().or_else(|| Hdf5::from_wheels(workspace));
        Ok(Self {
            compiler: has_compiler(),
            mpis,
            missing_mpis,
            libclang: Libclang::find(workspace),
            hdf5: (need >= Need::MpiAndHdf5).then(installed).flatten(),
            pip: Pip::find().is_some(),
            need,
        })
    }

    fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        if !self.compiler {
            missing.push(Missing::Compiler);
        }
        missing.extend(self.missing_mpis.iter().map(|family| Missing::Mpi(*family)));
        if self.libclang.is_none() {
            missing.push(Missing::Libclang);
        }
        if self.hdf5.is_none() && self.need >= Need::MpiAndHdf5 {
            missing.push(Missing::Hdf5);
        }
        if !self.pip && self.need == Need::Tests {
            missing.push(Missing::Pip);
        }
        missing
    }
}

/// Looks at the machine and installs what is missing.
pub fn prepare(workspace: &Workspace, choice: &Choice, need: Need) -> Result<Machine> {
    let mut found = Found::look(workspace, choice, need)?;
    let manager = Manager::find();
    if !found.missing().is_empty() {
        say(format!("not on this machine: {}", list(&found.missing())));
        if let Some(manager) = manager
            && let Some(privilege) = manager.privilege()
        {
            say("installing it with the system's package manager:");
            if let Err(error) = manager.install(&found.missing(), privilege) {
                say(format!("{error:#}"));
            }
            found = Found::look(workspace, choice, need)?;
        }
    }
    if found.hdf5.is_none() && need >= Need::MpiAndHdf5 {
        found.hdf5 = Hdf5::from_path();
    }
    if !found.missing().is_empty()
        && found.compiler
        && let Some(pip) = Pip::find()
    {
        if let Err(error) = wheels::install(workspace, &found.missing(), pip) {
            say(format!("{error:#}"));
        }
        found = Found::look(workspace, choice, need)?;
    }
    let mut missing = found.missing();
    // The tests that need it are left out then, with a message.
    missing.retain(|thing| *thing != Missing::Pip);
    match found.libclang {
        Some(libclang) if missing.is_empty() => Ok(Machine {
            mpis: found.mpis,
            libclang,
            hdf5: found.hdf5,
        }),
        _ => bail!("{}", advice(&missing, manager)),
    }
}

/// Sets everything up and prints what will be used.
pub fn show(workspace: &Workspace, choice: &Choice) -> Result<()> {
    let machine = prepare(workspace, choice, Need::MpiAndHdf5)?;
    for mpi in &machine.mpis {
        println!("MPI       {mpi}, launched by {}", mpi.mpiexec.display());
    }
    println!("libclang  in {}", machine.libclang.dir.display());
    if let Some(hdf5) = &machine.hdf5 {
        println!("HDF5      {hdf5}");
    }
    Ok(())
}

/// Whether there is a C compiler that finds the C library's headers.
fn has_compiler() -> bool {
    output_of(Command::new("cc").args(["-E", "-include", "stdio.h", "-x", "c", "/dev/null"]))
        .is_some()
}

/// What to type where nothing may be installed.
fn advice(missing: &[Missing], manager: Option<&Manager>) -> String {
    let mut text = format!("still missing: {}. ", list(missing));
    match manager {
        Some(manager) => {
            text += "Please type:\n";
            for command in manager.commands(missing, manager.typed_privilege()) {
                text += &format!("\n    {}", typed(&command));
            }
        }
        None => {
            text += "There is no package manager here that xtask knows (apt, dnf, zypper, pacman, brew).\n\
                     Please install by hand: a C compiler, Open MPI or MPICH with its compiler wrapper mpicc on PATH\n\
                     (or named by MPICC), libclang, and HDF5 with its headers (or cmake and make, to build it).";
        }
    }
    if Pip::find().is_none() && !missing.contains(&Missing::Compiler) {
        text += "\n\nOr install pip for Python 3 (python3-pip): with it everything can be fetched from PyPI, without root.";
    }
    let is_mpi = |thing: &Missing| matches!(thing, Missing::Mpi(_));
    if mpi::named_wrapper().is_none() && missing.iter().any(is_mpi) {
        text += "\n\nAn MPI that is not on PATH can be named: --mpi PATH.";
    }
    text
}

fn list(missing: &[Missing]) -> String {
    let names: Vec<String> = missing.iter().map(ToString::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_advice_names_what_is_missing_and_ways_to_get_it() {
        let text = advice(
            &[Missing::Compiler, Missing::Mpi(None), Missing::Hdf5],
            None,
        );
        assert!(
            text.starts_with("still missing: a C compiler, an MPI, HDF5. "),
            "{text}"
        );
        assert!(text.contains("Please install by hand"), "{text}");
    }
}
