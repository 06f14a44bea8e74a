//! Installing what is missing with the system's package manager.

use std::process::Command;

use anyhow::{Result, bail};
use nix::unistd::geteuid;

use crate::family::Family;
use crate::process::{output_of, run_quietly};
use crate::report::typed;
use crate::setup::Missing;
use crate::workspace::on_path;

/// A package manager, and what the things that mpisync needs are called there.
#[derive(Debug, PartialEq, Eq)]
pub struct Manager {
    /// The program to run.
    program: &'static str,
    /// How its list of packages is brought up to date, where it does not do so by itself.
    refresh: Option<&'static [&'static str]>,
    install: &'static [&'static str],
    /// Homebrew refuses root, the others need it.
    needs_root: bool,
    compiler: &'static [&'static str],
    openmpi: &'static [&'static str],
    mpich: &'static [&'static str],
    libclang: &'static [&'static str],
    hdf5: &'static [&'static str],
    iproute: &'static [&'static str],
    pip: &'static [&'static str],
    debootstrap: &'static [&'static str],
}

const MANAGERS: [Manager; 5] = [
    Manager {
        program: "apt-get",
        refresh: Some(&["update"]),
        install: &["install", "-y", "--no-install-recommends"],
        needs_root: true,
        compiler: &["gcc", "libc6-dev"],
        openmpi: &["libopenmpi-dev", "openmpi-bin"],
        mpich: &["libmpich-dev", "mpich"],
        libclang: &["libclang-dev"],
        hdf5: &["libhdf5-dev", "hdf5-tools"],
        iproute: &["iproute2"],
        pip: &["python3-venv"],
        debootstrap: &["debootstrap"],
    },
    Manager {
        program: "dnf",
        refresh: None,
        install: &["install", "-y"],
        needs_root: true,
        compiler: &["gcc", "glibc-devel"],
        openmpi: &["openmpi-devel"],
        mpich: &["mpich-devel"],
        libclang: &["clang-devel"],
        hdf5: &["hdf5-devel"],
        iproute: &["iproute"],
        pip: &["python3-pip"],
        debootstrap: &["debootstrap"],
    },
    Manager {
        program: "zypper",
        refresh: None,
        install: &["--non-interactive", "install"],
        needs_root: true,
        compiler: &["gcc", "glibc-devel"],
        openmpi: &["openmpi4-devel"],
        mpich: &["mpich-devel"],
        libclang: &["clang-devel"],
        hdf5: &["hdf5-devel"],
        iproute: &["iproute2"],
        pip: &["python3-pip"],
        debootstrap: &["debootstrap"],
    },
    Manager {
        program: "pacman",
        refresh: None,
        install: &["-S", "--needed", "--noconfirm"],
        needs_root: true,
        compiler: &["gcc"],
        openmpi: &["openmpi"],
        mpich: &["mpich"],
        libclang: &["clang"],
        hdf5: &["hdf5"],
        iproute: &["iproute2"],
        pip: &["python-pip"],
        debootstrap: &["debootstrap"],
    },
    Manager {
        program: "brew",
        refresh: None,
        install: &["install"],
        needs_root: false,
        compiler: &["gcc"],
        openmpi: &["open-mpi"],
        mpich: &["mpich"],
        libclang: &["llvm"],
        hdf5: &["hdf5"],
        iproute: &["iproute2mac"],
        pip: &["python"],
        debootstrap: &[],
    },
];

impl Manager {
    /// The package manager of this system.
    pub fn find() -> Option<&'static Self> {
        MANAGERS
            .iter()
            .find(|manager| on_path(manager.program).is_some())
    }

    /// The packages that bring what is missing.
    fn packages(&self, missing: &[Missing]) -> Vec<&'static str> {
        let packages = missing.iter().flat_map(|thing| match thing {
            Missing::Compiler => self.compiler,
            Missing::Mpi(None | Some(Family::OpenMpi)) => self.openmpi,
            Missing::Mpi(Some(Family::Mpich)) => self.mpich,
            Missing::Libclang => self.libclang,
            Missing::Hdf5 => self.hdf5,
            Missing::Iproute => self.iproute,
            Missing::Pip => self.pip,
            Missing::Debootstrap => self.debootstrap,
        });
        packages.copied().collect()
    }

    /// The commands that install what is missing, as this user would have to run them.
    pub fn commands(&self, missing: &[Missing], privilege: Privilege) -> Vec<Command> {
        let packages = self.packages(missing);
        let install = self.install.iter().chain(&packages).copied().collect();
        let lines = self.refresh.map(<[_]>::to_vec).into_iter().chain([install]);
        lines
            .map(|arguments| privilege.command(self.program, &arguments))
            .collect()
    }

    /// How this user may install packages without being asked for a password, if at all.
    pub fn privilege(&self) -> Option<Privilege> {
        let root = geteuid().is_root();
        if root == self.needs_root {
            return Some(Privilege::Own);
        }
        let sudo = || output_of(Command::new("sudo").args(["-n", "true"])).is_some();
        (self.needs_root && on_path("sudo").is_some() && sudo()).then_some(Privilege::Sudo)
    }

    /// How this user would install packages if they were to type the commands.
    pub fn typed_privilege(&self) -> Privilege {
        if self.needs_root && !geteuid().is_root() {
            Privilege::Sudo
        } else {
            Privilege::Own
        }
    }

    /// Installs what is missing, with the commands of [`Manager::commands`].
    pub fn install(&self, missing: &[Missing], privilege: Privilege) -> Result<()> {
        for mut command in self.commands(missing, privilege) {
            if let Err(error) = run_quietly(&mut command) {
                bail!("`{}` {error:#}", typed(&command));
            }
        }
        Ok(())
    }
}

/// As whom packages are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// As the user who runs us.
    Own,
    /// Through sudo.
    Sudo,
}

impl Privilege {
    fn command(self, program: &str, arguments: &[&str]) -> Command {
        // Debian's tools ask questions otherwise, of nobody. sudo drops the environment, so it is set inside.
        let words = ["env", "DEBIAN_FRONTEND=noninteractive", program];
        let words = if program == "apt-get" {
            &words[..]
        } else {
            &words[2..]
        };
        let words = if self == Self::Sudo {
            [&["sudo"], words].concat()
        } else {
            words.to_vec()
        };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(arguments);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(program: &str) -> &'static Manager {
        MANAGERS
            .iter()
            .find(|manager| manager.program == program)
            .unwrap()
    }

    fn lines(program: &str, missing: &[Missing], privilege: Privilege) -> Vec<String> {
        manager(program)
            .commands(missing, privilege)
            .iter()
            .map(typed)
            .collect()
    }

    #[test]
    fn apt_is_brought_up_to_date_first_and_asks_nothing() {
        let missing = [Missing::Mpi(Some(Family::Mpich)), Missing::Libclang];
        let expected = [
            "env DEBIAN_FRONTEND=noninteractive apt-get update",
            "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends libmpich-dev mpich libclang-dev",
        ];
        assert_eq!(lines("apt-get", &missing, Privilege::Own), expected);
        let with_sudo = lines("apt-get", &missing, Privilege::Sudo);
        assert_eq!(with_sudo[0], format!("sudo {}", expected[0]));
    }

    #[test]
    fn the_others_need_one_command() {
        let missing = [Missing::Mpi(Some(Family::OpenMpi)), Missing::Hdf5];
        assert_eq!(
            lines("dnf", &missing, Privilege::Sudo),
            ["sudo dnf install -y openmpi-devel hdf5-devel"]
        );
        assert_eq!(
            lines("brew", &missing, Privilege::Own),
            ["brew install open-mpi hdf5"]
        );
        assert_eq!(
            lines("pacman", &missing, Privilege::Own),
            ["pacman -S --needed --noconfirm openmpi hdf5"]
        );
        assert_eq!(
            lines("zypper", &missing, Privilege::Own),
            ["zypper --non-interactive install openmpi4-devel hdf5-devel"]
        );
    }

    #[test]
    fn every_manager_has_a_package_for_everything() {
        let families = Family::ALL.map(|family| Missing::Mpi(Some(family)));
        for manager in &MANAGERS {
            for thing in families.into_iter().chain([
                Missing::Compiler,
                Missing::Libclang,
                Missing::Hdf5,
                Missing::Iproute,
            ]) {
                assert!(
                    !manager.packages(&[thing]).is_empty(),
                    "{} {thing:?}",
                    manager.program
                );
            }
        }
    }
}
