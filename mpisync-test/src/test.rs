//! A test: starts itself on ranks, or, as one of them, runs the function.

use launcher::{Launcher, LauncherError, loaded_library};
use mpi::environment::library_version;
use mpi::topology::SimpleCommunicator;

use crate::error::{Failure, TestError};
use crate::job::{self, Job};
use crate::outcome::Outcome;
use crate::rank;
use crate::report::report;
use crate::room::Room;
use crate::settings::{self, Settings};

/// A test function on a number of ranks.
#[derive(Debug)]
pub struct Test {
    /// `module_path!()` of the module with the tests of the function.
    pub module: &'static str,
    /// The name in this module.
    pub name: &'static str,
    /// The number of ranks.
    pub ranks: usize,
    /// The time limit in seconds.
    pub limit: Option<f64>,
}

impl Test {
    /// Runs the test. Does not return in a process that is a rank of it.
    ///
    /// # Errors
    /// If it fails.
    pub fn run<O: Outcome>(
        self,
        body: impl FnOnce(&SimpleCommunicator) -> O,
    ) -> Result<(), Failure> {
        if let Some(directory) = settings::job() {
            rank::run(directory, &self, body);
        }
        let name = self.full_name();
        let failure = |error: TestError| Failure(format!("{name} cannot run: {error}"));
        let settings = Settings::read(self.limit).map_err(failure)?;
        let version = library_version().unwrap_or_default();
        let launcher = Launcher::of_library(&version, loaded_library().as_deref());
        let launcher = match or_skip(launcher, settings.skip_if_missing) {
            Ok(Some(launcher)) => launcher,
            Ok(None) => {
                eprintln!("{name} is skipped: this machine has no launcher of MPI");
                return Ok(());
            }
            Err(error) => return Err(failure(error.into())),
        };
        let room = Room::wait_for(self.ranks);
        let job = Job::start(&launcher, self.ranks, &name);
        let ended = job.and_then(|job| job.finish(settings.limit));
        drop(room);
        let ended = ended.map_err(|error| failure(TestError::Start(error)))?;
        let words = launcher.words().join(" ");
        match report(&name, &words, &short(&version), &ended) {
            None => Ok(()),
            Some(text) => Err(Failure(format!(
                "{text}\nTo repeat it: {}\n",
                job::repeat(&name)
            ))),
        }
    }

    /// The name by which the harness of Rust knows it: without the crate.
    fn full_name(&self) -> String {
        let (_, module) = self.module.split_once("::").unwrap_or(("", self.module));
        format!("{module}::{}", self.name)
    }
}

/// None instead of the error that there is no launcher, if that is to be skipped.
fn or_skip(
    launcher: Result<Launcher, LauncherError>,
    skip_if_missing: bool,
) -> Result<Option<Launcher>, LauncherError> {
    match launcher {
        Err(LauncherError::Missing { .. }) if skip_if_missing => Ok(None),
        launcher => launcher.map(Some),
    }
}

/// The name and the version of a library.
fn short(version: &str) -> String {
    let line = version.lines().next().unwrap_or_default();
    let name = line.split(',').next().unwrap_or_default();
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use launcher::Family;

    #[test]
    fn the_harness_does_not_name_the_crate() {
        let name = |module| {
            let test = Test {
                module,
                name: "on_2_ranks",
                ranks: 2,
                limit: None,
            };
            test.full_name()
        };
        assert_eq!(name("results::writes"), "writes::on_2_ranks");
        assert_eq!(name("a::tests::writes"), "tests::writes::on_2_ranks");
    }

    #[test]
    fn only_a_launcher_that_is_missing_is_skipped() {
        let missing = || {
            Err(LauncherError::Missing {
                family: Family::Mpich,
            })
        };
        assert!(matches!(or_skip(missing(), true), Ok(None)));
        assert!(or_skip(missing(), false).is_err());
        let other = LauncherError::UnknownName("no".into());
        assert!(or_skip(Err(other), true).is_err());
    }

    #[test]
    fn the_version_is_one_line() {
        assert_eq!(short("Open MPI v4.1.4, package: Debian"), "Open MPI v4.1.4");
        assert_eq!(
            short("MPICH Version:      4.0.2\nmore"),
            "MPICH Version: 4.0.2"
        );
    }
}
