//! Without root: MPI, libclang and the tools that build HDF5 as wheels from PyPI, below the target directory.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::family::Family;
use crate::process::{output_of, run};
use crate::setup::Missing;
use crate::workspace::{Workspace, on_path};

/// The Python of this machine, with a pip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pip {
    /// Python can give a virtual environment a pip of its own.
    Bundled,
    /// Python has a pip, which installs into others too.
    Installed,
}

impl Pip {
    /// The pip of this machine.
    pub fn find() -> Option<Self> {
        on_path("python3")?;
        let python = Path::new("python3");
        match () {
            () if imports(python, "venv, ensurepip") => Some(Self::Bundled),
            () if imports(python, "venv, pip") => Some(Self::Installed),
            () => None,
        }
    }

    /// A virtual environment. Its own directories are the reason for it: `pip --target` leaves a wheel's `lib` out,
    /// `pip --prefix` puts it elsewhere on Debian, and a system's Python may refuse to have anything installed.
    pub fn make_environment(self, dir: &Path) -> Result<()> {
        let mut command = Command::new("python3");
        command.args(["-m", "venv"]);
        if self == Self::Installed {
            command.args(["--without-pip", "--system-site-packages"]);
        }
        run(command.arg(dir)).context("python3 cannot make a virtual environment")
    }

    /// `pip install` in the virtual environment `dir`; what to install is left to add.
    pub fn install_into(dir: &Path) -> Command {
        let python = dir.join("bin/python3");
        // An environment that was made from another one, which is active now, sees the packages of the system's Python and
        // not those of that one. If pip is among the latter only, it is told whom it works for.
        let mut command = if imports(&python, "pip") {
            let mut own = Command::new(python);
            own.args(["-m", "pip"]);
            own
        } else {
            let mut other = Command::new("python3");
            other.args(["-m", "pip", "--python"]).arg(python);
            other
        };
        // What the system's Python already has would otherwise not be put here, where we look for it.
        command.args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--ignore-installed",
        ]);
        command
    }
}

/// Whether a Python has these modules.
fn imports(python: &Path, modules: &str) -> bool {
    let line = format!("import {modules}");
    output_of(Command::new(python).args(["-c", &line])).is_some()
}

/// The wheels for what is missing: the environment they go to and their names. There is no C compiler among them.
pub fn wanted(missing: &[Missing]) -> Vec<(&'static str, Vec<&'static str>)> {
    environments(missing, on_path("make").is_some())
}

fn environments(missing: &[Missing], has_make: bool) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut environments = Vec::new();
    let mut tools = Vec::new();
    for thing in missing {
        match thing {
            Missing::Compiler | Missing::Iproute | Missing::Pip | Missing::Debootstrap => {}
            // Each MPI has its own: both want to be `bin/mpicc`.
            Missing::Mpi(family) => {
                let name = family.unwrap_or(Family::Mpich).name();
                environments.push((name, vec![name]));
            }
            Missing::Libclang => tools.push("libclang"),
            Missing::Hdf5 => {
                tools.push("cmake");
                if !has_make {
                    tools.push("ninja");
                }
            }
        }
    }
    if !tools.is_empty() {
        environments.push(("tools", tools));
    }
    environments
}

/// Fetches the wheels for what is missing.
pub fn install(workspace: &Workspace, missing: &[Missing], pip: Pip) -> Result<()> {
    for (environment, wheels) in wanted(missing) {
        let dir = workspace.wheels().join(environment);
        fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        pip.make_environment(&dir)?;
        let mut command = Pip::install_into(&dir);
        run(command.args(&wheels))
            .with_context(|| format!("pip cannot install {}", wheels.join(", ")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mpi_has_its_own_environment() {
        let missing = [
            Missing::Mpi(Some(Family::OpenMpi)),
            Missing::Mpi(Some(Family::Mpich)),
            Missing::Libclang,
        ];
        let expected = [
            ("openmpi", vec!["openmpi"]),
            ("mpich", vec!["mpich"]),
            ("tools", vec!["libclang"]),
        ];
        assert_eq!(environments(&missing, true), expected);
    }

    #[test]
    fn hdf5_takes_ninja_where_there_is_no_make() {
        assert_eq!(
            environments(&[Missing::Hdf5], true),
            [("tools", vec!["cmake"])]
        );
        assert_eq!(
            environments(&[Missing::Hdf5], false),
            [("tools", vec!["cmake", "ninja"])]
        );
        assert!(environments(&[Missing::Compiler], true).is_empty());
    }
}
