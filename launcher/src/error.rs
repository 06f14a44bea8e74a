//! Why there is no launcher.

use std::io;

use thiserror::Error;

use crate::Family;

/// Why jobs cannot be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LauncherError {
    /// This machine has no launcher of the MPI.
    #[error(
        "there is no launcher of {family} on this machine, neither beside its library nor on PATH: install it \
         (Debian: `apt-get install {debian}`, Fedora: `dnf install {fedora}`), or name the launcher in TEST_MPIEXEC",
        debian = family.packages()[0], fedora = family.packages()[1]
    )]
    Missing {
        /// The family of the MPI that the program was built with.
        family: Family,
    },
    /// The launcher that the environment names cannot be started.
    #[error("cannot start {program}: {error}; name a launcher that is there in TEST_MPIEXEC")]
    NotStarted {
        /// The launcher.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// The launcher that the environment names belongs to another MPI than that of the program.
    #[error(
        "{program} is the launcher of {launcher}, but the program was built with {library}: each rank would be \
         alone in its world. Name the launcher of {library} in TEST_MPIEXEC, or build with {launcher} (MPICC)"
    )]
    OtherFamily {
        /// The launcher.
        program: String,
        /// The family of the launcher.
        launcher: Family,
        /// The family of the library.
        library: Family,
    },
    /// The launcher that the environment names says neither Open MPI nor MPICH.
    #[error(
        "`{program} --version` says neither Open MPI nor MPICH; set TEST_MPI to openmpi or mpich\n{answer}"
    )]
    UnknownFamily {
        /// The launcher.
        program: String,
        /// What it says.
        answer: String,
    },
    /// The library's version says neither Open MPI nor MPICH.
    #[error(
        "the program was built with an MPI that is neither Open MPI nor MPICH ({version}); name its launcher in \
         TEST_MPIEXEC, and the more similar family in TEST_MPI: openmpi or mpich"
    )]
    UnknownLibrary {
        /// The version that the library reports.
        version: String,
    },
    /// `TEST_MPI` has another value than the names of families.
    #[error("TEST_MPI: {0}")]
    UnknownName(String),
}
