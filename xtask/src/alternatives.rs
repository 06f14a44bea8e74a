//! Debian's alternatives: which of several MPIs `mpicc` and `mpiexec` are. The installation of a further MPI may switch them.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use nix::unistd::geteuid;

use crate::process::{output_of, run, say};

/// The alternatives of a system; those of other systems are empty.
#[derive(Clone)]
pub struct Alternatives {
    /// The options of `update-alternatives` that name its directories.
    options: Vec<OsString>,
    /// Whether only root may change them.
    are_the_systems: bool,
}

/// What the names of MPI stood for at some time.
pub struct Selection {
    alternatives: Alternatives,
    /// Pairs of a name and its value.
    values: Vec<(String, String)>,
}

impl Alternatives {
    /// Those of this system.
    pub const fn of_the_system() -> Self {
        Self {
            options: Vec::new(),
            are_the_systems: true,
        }
    }

    fn command(&self) -> Command {
        let is_root = !self.are_the_systems || geteuid().is_root();
        let mut command = if is_root {
            Command::new("update-alternatives")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "update-alternatives"]);
            sudo
        };
        command.args(&self.options);
        command
    }

    /// What the names of MPI stand for.
    pub fn selection(&self) -> Selection {
        // It is not on the PATH of every user.
        let has_them = Path::new("/usr/bin/update-alternatives").exists();
        let mut query = Command::new("update-alternatives");
        query.args(&self.options).arg("--get-selections");
        let text = has_them.then(|| output_of(&mut query)).flatten();
        let values = text.as_deref().unwrap_or_default().lines();
        Selection {
            alternatives: self.clone(),
            values: values.filter_map(of_mpi).collect(),
        }
    }
}

impl Selection {
    /// Lets the names stand for the same again, and says which ones something has changed.
    pub fn restore(&self) -> Result<()> {
        let now = self.alternatives.selection();
        for (name, value) in &self.values {
            let changed = now
                .values
                .iter()
                .find(|(other, now)| name == other && value != now);
            let Some((_, now)) = changed.filter(|_| Path::new(value).exists()) else {
                continue;
            };
            say(format!(
                "the installation has made {now} the `{name}` of this system; it is set back to {value} \
                 (`update-alternatives --auto {name}` lets the system choose)"
            ));
            let mut set = self.alternatives.command();
            run(set.args(["--set", name, value]))
                .with_context(|| format!("`{name}` is now {now} and was {value}"))?;
        }
        Ok(())
    }
}

/// The name and the value in a line of `update-alternatives --get-selections`, if it is one of MPI. The headers are `mpi` with
/// the name of the architecture.
fn of_mpi(line: &str) -> Option<(String, String)> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let is_of_mpi = ["mpi", "mpirun"].contains(&name) || name.starts_with("mpi-");
    let value = words.nth(1).filter(|_| is_of_mpi)?;
    Some((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::alone;
    use std::fs;

    #[test]
    fn the_selections_of_mpi_are_found() {
        let line = "mpi-x86_64-linux-gnu           auto     /usr/lib/x/openmpi/include";
        let expected = ("mpi-x86_64-linux-gnu", "/usr/lib/x/openmpi/include");
        let expected = Some((expected.0.to_owned(), expected.1.to_owned()));
        assert_eq!(of_mpi(line), expected);
        assert_eq!(of_mpi("mplayer auto /usr/bin/mplayer"), None);
        assert_eq!(of_mpi(""), None);
    }

    #[test]
    fn a_second_mpi_does_not_become_the_default() {
        if !Path::new("/usr/bin/update-alternatives").exists() {
            eprintln!("left out: this system has no update-alternatives");
            return;
        }
        let _alone = alone();
        let dir = std::env::temp_dir().join(format!("xtask-alternatives-{}", std::process::id()));
        for name in ["etc", "admin", "bin"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        let option = |name: &str, path: &str| [name.into(), dir.join(path).into_os_string()];
        let options = [
            option("--altdir", "etc"),
            option("--admindir", "admin"),
            option("--log", "log"),
        ];
        let alternatives = Alternatives {
            options: options.concat(),
            are_the_systems: false,
        };
        let install = |name: &str, priority: &str| {
            let program = dir.join("bin").join(name);
            fs::write(&program, "").unwrap();
            let mut install = alternatives.command();
            install.arg("--install").arg(dir.join("bin/mpicc"));
            run(install.arg("mpi").arg(program).arg(priority)).unwrap();
        };
        let selected = || {
            let [(name, value)] = &alternatives.selection().values[..] else {
                panic!("one name");
            };
            assert_eq!(name, "mpi");
            Path::new(value).file_name().unwrap().to_owned()
        };
        install("mpicc.mpich", "40");
        let before = alternatives.selection();
        before.restore().unwrap();
        install("mpicc.openmpi", "50");
        assert_eq!(selected(), "mpicc.openmpi");
        before.restore().unwrap();
        assert_eq!(selected(), "mpicc.mpich");
        fs::remove_dir_all(dir).unwrap();
    }
}
