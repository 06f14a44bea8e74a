//! Installing what is missing with the system's package manager.

use std::process::Command;

use anyhow::{Context, Result, bail};
use launcher::Family;
use nix::unistd::geteuid;

use crate::process::{output_of, run_quietly, say, typed};
use crate::setup::Missing;
use crate::workspace::on_path;

/// A package manager.
#[derive(Debug, PartialEq, Eq)]
pub struct Manager {
    /// The program to run.
    program: &'static str,
    /// The arguments that install packages.
    install: &'static [&'static str],
    /// Its place in the table of packages.
    column: usize,
}

const MANAGERS: [Manager; 5] = [
    manager(0, "apt-get", &["install", "-y", "--no-install-recommends"]),
    manager(1, "dnf", &["install", "-y"]),
    manager(2, "zypper", &["--non-interactive", "install"]),
    manager(3, "pacman", &["-S", "--needed", "--noconfirm"]),
    manager(4, "brew", &["install"]),
];

const fn manager(
    column: usize,
    program: &'static str,
    install: &'static [&'static str],
) -> Manager {
    Manager {
        program,
        install,
        column,
    }
}

/// The packages of each manager that bring a thing, in the order of the managers.
#[rustfmt::skip] // a table
const fn packages(thing: Missing) -> [&'static str; 5] {
    match thing {
        Missing::Compiler => ["gcc libc6-dev", "gcc glibc-devel", "gcc glibc-devel", "gcc", "gcc"],
        Missing::Mpi(None | Some(Family::OpenMpi)) =>
            ["libopenmpi-dev openmpi-bin", "openmpi-devel", "openmpi4-devel", "openmpi", "open-mpi"],
        Missing::Mpi(Some(Family::Mpich)) =>
            ["libmpich-dev mpich", "mpich-devel", "mpich-devel", "mpich", "mpich"],
        Missing::Libclang => ["libclang-dev", "clang-devel", "clang-devel", "clang", "llvm"],
        Missing::Hdf5 => ["libhdf5-dev hdf5-tools", "hdf5-devel", "hdf5-devel", "hdf5", "hdf5"],
        Missing::Iproute => ["iproute2", "iproute", "iproute2", "iproute2", "iproute2mac"],
        Missing::Pip => ["python3-venv", "python3-pip", "python3-pip", "python-pip", "python"],
    }
}

impl Manager {
    /// The package manager of this system.
    pub fn find() -> Option<&'static Self> {
        let mut managers = MANAGERS.iter();
        managers.find(|manager| on_path(manager.program).is_some())
    }

    /// The commands that install what is missing, as this user would have to run them.
    pub fn commands(&self, missing: &[Missing], privilege: Privilege) -> Vec<Command> {
        let packages = missing
            .iter()
            .flat_map(|thing| packages(*thing)[self.column].split(' '));
        let install = self.install.iter().copied().chain(packages).collect();
        let is_apt = self.program == "apt-get";
        // The others bring their list of packages up to date themselves.
        let update = is_apt.then(|| vec!["update"]);
        let lines = update.into_iter().chain([install]);
        let mut words = Vec::new();
        if privilege == Privilege::Sudo {
            words.push("sudo");
        }
        if is_apt {
            // Debian's tools ask questions otherwise. sudo drops the environment, so the variable is set inside.
            words.extend(["env", "DEBIAN_FRONTEND=noninteractive"]);
        }
        words.push(self.program);
        let command = |arguments: Vec<&str>| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).args(arguments);
            command
        };
        lines.map(command).collect()
    }

    /// Homebrew refuses root, the others need it.
    fn needs_root(&self) -> bool {
        self.program != "brew"
    }

    /// How this user may install packages without a password, if at all.
    pub fn privilege(&self) -> Option<Privilege> {
        if geteuid().is_root() == self.needs_root() {
            return Some(Privilege::Own);
        }
        let sudo = || output_of(Command::new("sudo").args(["-n", "true"])).is_some();
        (self.needs_root() && on_path("sudo").is_some() && sudo()).then_some(Privilege::Sudo)
    }

    /// How this user would install packages if they were to type the commands.
    pub fn typed_privilege(&self) -> Privilege {
        match self.needs_root() && !geteuid().is_root() {
            true => Privilege::Sudo,
            false => Privilege::Own,
        }
    }

    /// Installs what is missing, with the commands of [`Manager::commands`], which it prints.
    pub fn install(&self, missing: &[Missing], privilege: Privilege) -> Result<()> {
        let mut commands = self.commands(missing, privilege);
        for command in &commands {
            say(format!("    {}", typed(command)));
        }
        for command in &mut commands {
            if let Err(error) = run_quietly(command) {
                bail!("`{}` {error:#}", typed(command));
            }
        }
        Ok(())
    }
}

/// Installs a program of the system that a task needs.
pub fn install(thing: Missing) -> Result<()> {
    let manager =
        Manager::find().with_context(|| format!("there is no {thing}, nor a package manager"))?;
    let privilege = manager
        .privilege()
        .with_context(|| format!("{thing} is missing"))?;
    say(format!("installing {thing}:"));
    manager.install(&[thing], privilege)
}

/// Whose rights packages are installed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// Those of this user.
    Own,
    /// Those of root, through sudo.
    Sudo,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(program: &str, missing: &[Missing], privilege: Privilege) -> Vec<String> {
        let manager = MANAGERS.iter().find(|manager| manager.program == program);
        let commands = manager.unwrap().commands(missing, privilege);
        commands.iter().map(typed).collect()
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
        for (program, privilege, line) in [
            (
                "dnf",
                Privilege::Sudo,
                "sudo dnf install -y openmpi-devel hdf5-devel",
            ),
            ("brew", Privilege::Own, "brew install open-mpi hdf5"),
            (
                "pacman",
                Privilege::Own,
                "pacman -S --needed --noconfirm openmpi hdf5",
            ),
            (
                "zypper",
                Privilege::Own,
                "zypper --non-interactive install openmpi4-devel hdf5-devel",
            ),
        ] {
            assert_eq!(lines(program, &missing, privilege), [line]);
        }
    }

    #[test]
    fn the_table_has_a_column_for_each_manager() {
        for (column, manager) in MANAGERS.iter().enumerate() {
            assert_eq!(manager.column, column);
        }
    }
}
