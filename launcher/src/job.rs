//! Starting jobs by a launcher.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::find::{launchers, program_directories};
use crate::{ENVIRONMENT, Family, LauncherError};

/// The variable that names the launcher.
const PROGRAM: &str = "TEST_MPIEXEC";

/// The variable that names the family of the launcher.
const FAMILY: &str = "TEST_MPI";

/// A launcher, with the options that it always gets.
#[derive(Clone, Debug)]
pub struct Launcher {
    words: Vec<String>,
    family: Family,
}

impl Launcher {
    /// The one that `TEST_MPIEXEC` names, or `mpiexec` on `PATH`. Its family is `TEST_MPI`, or what it says itself.
    ///
    /// # Errors
    /// If it cannot be started, or its family is unknown.
    pub fn from_environment() -> Result<Self, LauncherError> {
        let words = named().unwrap_or_else(|| vec!["mpiexec".to_owned()]);
        let family = match named_family()? {
            Some(family) => family,
            None => {
                let answer = version_of(&words[0])?;
                Family::of_launcher(&answer).ok_or_else(|| LauncherError::UnknownFamily {
                    program: words[0].clone(),
                    answer,
                })?
            }
        };
        Ok(Self { words, family })
    }

    /// The one for programs that are linked with an MPI of this version (`MPI_Get_library_version`) whose library is
    /// `file`: the one that `TEST_MPIEXEC` names, or one near the library, or on `PATH`.
    ///
    /// # Errors
    /// If there is none, or the named one belongs to another MPI.
    pub fn of_library(version: &str, file: Option<&Path>) -> Result<Self, LauncherError> {
        let family = named_family()?;
        let library = Family::of_library(version).or(family);
        let library = library.ok_or_else(|| LauncherError::UnknownLibrary {
            version: version.lines().next().unwrap_or_default().to_owned(),
        })?;
        if let Some(words) = named() {
            let says = match family {
                Some(family) => Some(family),
                None => Family::of_launcher(&version_of(&words[0])?),
            };
            return match says {
                Some(launcher) if launcher != library => Err(LauncherError::OtherFamily {
                    program: words[0].clone(),
                    launcher,
                    library,
                }),
                // Such as srun, which starts the ranks of any MPI.
                _ => Ok(Self {
                    words,
                    family: library,
                }),
            };
        }
        let directories = file.map(program_directories).unwrap_or_default();
        let suffix = format!(".{}", library.name());
        Self::first_of(library, launchers(library, &suffix, &directories))
    }

    /// The first of these programs that is a launcher of this family.
    fn first_of(family: Family, programs: Vec<PathBuf>) -> Result<Self, LauncherError> {
        let programs = programs.into_iter();
        let mut programs = programs.map(|program| program.display().to_string());
        let program = programs.find(|program| {
            let answer = version_of(program).ok();
            answer.is_some_and(|answer| Family::of_launcher(&answer) == Some(family))
        });
        Ok(Self {
            words: vec![program.ok_or(LauncherError::Missing { family })?],
            family,
        })
    }

    /// The family.
    pub fn family(&self) -> Family {
        self.family
    }

    /// The program and the options that it always gets.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// A job on `ranks` ranks, which reads nothing. The program and its arguments are left to add. Whether the job
    /// continues when a rank dies is `survives_deaths`.
    pub fn job(&self, ranks: usize, survives_deaths: bool) -> Command {
        let Self { words, family } = self;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        if survives_deaths {
            command.args(family.recovery_options());
        }
        command.args(["-n", &ranks.to_string()]);
        if survives_deaths {
            command.args(family.recovery_wrapper());
        }
        // What is set already stays.
        let unset = |(name, _): &(&str, &str)| env::var_os(name).is_none();
        command
            .envs(ENVIRONMENT.into_iter().filter(unset))
            .stdin(Stdio::null());
        command
    }
}

static LAUNCHER: LazyLock<Launcher> = LazyLock::new(|| {
    Launcher::from_environment().unwrap_or_else(|error| panic!("no ranks can be started: {error}"))
});

/// The family of the launcher that the environment names.
///
/// # Panics
/// If there is none; see [`Launcher::from_environment`].
pub fn family() -> Family {
    LAUNCHER.family
}

/// A [job](Launcher::job) of the launcher that the environment names, in a process group of its own.
///
/// # Panics
/// If there is none; see [`Launcher::from_environment`].
pub fn job(ranks: usize, survives_deaths: bool) -> Command {
    let mut command = LAUNCHER.job(ranks, survives_deaths);
    command.process_group(0);
    command
}

/// The launcher that the environment names, with its options.
fn named() -> Option<Vec<String>> {
    let named = env::var(PROGRAM).ok()?;
    // A word a line, for paths with blanks; or, as one types it, all words in one line.
    let words: Vec<String> = if named.contains('\n') {
        named.lines().map(str::to_owned).collect()
    } else {
        named.split_whitespace().map(str::to_owned).collect()
    };
    (!words.is_empty()).then_some(words)
}

fn named_family() -> Result<Option<Family>, LauncherError> {
    let name = env::var(FAMILY).ok().filter(|name| !name.is_empty());
    let family = name.map(|name| name.parse().map_err(LauncherError::UnknownName));
    family.transpose()
}

/// What the launcher `program` says about its version.
fn version_of(program: &str) -> Result<String, LauncherError> {
    let answer = Command::new(program)
        .arg("--version")
        .envs(ENVIRONMENT)
        .stdin(Stdio::null())
        .output();
    let answer = answer.map_err(|error| LauncherError::NotStarted {
        program: program.to_owned(),
        error,
    })?;
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobDirectory;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_launcher_of_the_family_is_chosen() {
        let _alone = crate::processes::tests::alone();
        let directory = JobDirectory::new("choose").unwrap();
        let program = |name: &str, version: &str| {
            let path = directory.path().join(name);
            fs::write(&path, format!("#!/bin/sh\necho '{version}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        };
        let programs = vec![
            directory.path().join("nothing"),
            program("mpiexec", "HYDRA build details:"),
            program("mpirun", "mpirun (Open MPI) 5.0.6"),
        ];
        let chosen = |family| Launcher::first_of(family, programs.clone()).unwrap();
        assert!(chosen(Family::Mpich).words()[0].ends_with("mpiexec"));
        assert!(chosen(Family::OpenMpi).words()[0].ends_with("mpirun"));
    }

    #[test]
    fn without_a_launcher_the_error_says_what_to_install() {
        let error = Launcher::first_of(Family::OpenMpi, Vec::new()).unwrap_err();
        let text = error.to_string();
        for part in ["Open MPI", "apt-get install openmpi-bin", "TEST_MPIEXEC"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
