//! The two families of MPI, how their programs report family and version, and what their jobs need.

use std::fmt;
use std::str::FromStr;

/// A family of MPI implementations that share a launcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Open MPI.
    OpenMpi,
    /// MPICH and its descendants (Intel MPI, MVAPICH), all started by Hydra.
    Mpich,
}

/// Environment variables that let Open MPI 4 to 6 run as root (as in most containers) and start more ranks than there
/// are cores. MPICH ignores them.
///
/// Whether idle ranks yield is left to the MPI, which makes them do so where ranks share a core. Forced upon two
/// ranks with a core each, it took Open MPI 4.1 from 111 to 460 ns for a contended `MPI_Win_lock` and from 250 to
/// 690 ns for a broadcast with a barrier, and a benchmark would compare with an MPI slower than users have.
pub const ENVIRONMENT: [(&str, &str); 6] = [
    ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
    ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
    ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
    ("PRTE_ALLOW_RUN_AS_ROOT", "1"),
    ("PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
    ("PRTE_MCA_mapby", ":oversubscribe"),
];

/// Hydra 4.0 kills all ranks of a node when one of its children ends by a signal, whatever its options say. Its children
/// are therefore shells that outlive their rank and end with an exit code. Hydra reports the death by `SIGUSR1`, which is
/// for MPICH. For users this is `examples/jobs/survive.sh`.
const SHIELD: [&str; 4] = ["sh", "-c", r#"trap "" USR1; "$@"; exit $?"#, "sh"];

impl Family {
    /// Both families, in the order of preference where a package has to be installed.
    pub const ALL: [Self; 2] = [Self::OpenMpi, Self::Mpich];

    /// The name on the command line and in names of directories.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenMpi => "openmpi",
            Self::Mpich => "mpich",
        }
    }

    /// The family, name and version of a compiler wrapper, from `mpicc --showme:version` (Open MPI's own option) or from
    /// `mpicc -v`.
    pub fn of_compiler(output: &str) -> Option<(Self, &'static str, String)> {
        const MARKS: [(&str, Family, &str); 4] = [
            ("Open MPI ", Family::OpenMpi, "Open MPI"),
            ("MPICH version ", Family::Mpich, "MPICH"),
            ("Intel(R) MPI Library ", Family::Mpich, "Intel MPI"),
            ("MVAPICH version ", Family::Mpich, "MVAPICH"),
        ];
        let line = output.lines().next()?;
        MARKS.iter().find_map(|(mark, family, name)| {
            let (_, version) = line.split_once(mark)?;
            let version = version.split_whitespace().next()?;
            version
                .starts_with(|c: char| c.is_ascii_digit())
                .then(|| (*family, *name, version.to_owned()))
        })
    }

    /// The family of a launcher, from `mpiexec --version`.
    pub fn of_launcher(output: &str) -> Option<Self> {
        let line = output.lines().find(|line| !line.trim().is_empty())?;
        let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
        if has(&["Open MPI", "OpenRTE", "PRRTE"]) {
            Some(Self::OpenMpi)
        } else if has(&["HYDRA", "MPICH", "Intel(R) MPI"]) {
            Some(Self::Mpich)
        } else {
            None
        }
    }

    /// The family of a library, from what `MPI_Get_library_version` reports.
    pub fn of_library(version: &str) -> Option<Self> {
        const MARKS: [(&str, Family); 4] = [
            ("Open MPI", Family::OpenMpi),
            ("MPICH", Family::Mpich),
            ("Intel(R) MPI", Family::Mpich),
            ("MVAPICH", Family::Mpich),
        ];
        let mut marks = MARKS.iter();
        let found = marks.find(|(mark, _)| version.contains(mark));
        found.map(|(_, family)| *family)
    }

    /// The packages of Debian and of Fedora that bring the launcher.
    pub const fn packages(self) -> [&'static str; 2] {
        match self {
            Self::OpenMpi => ["openmpi-bin", "openmpi"],
            Self::Mpich => ["mpich", "mpich"],
        }
    }

    /// The options of the launcher that let a job continue when a rank dies.
    pub const fn recovery_options(self) -> &'static [&'static str] {
        match self {
            Self::OpenMpi => &["--enable-recovery"],
            Self::Mpich => &["-disable-auto-cleanup"],
        }
    }

    /// The words before the program that let a job continue when a rank dies.
    pub const fn recovery_wrapper(self) -> &'static [&'static str] {
        match self {
            Self::OpenMpi => &[],
            Self::Mpich => &SHIELD,
        }
    }

    /// Whether a job over hosts can continue when one of its ranks dies: from version 5 on, Open MPI ends it as soon as a
    /// connection closes.
    pub fn survives_deaths_over_hosts(self, major: u32) -> bool {
        self != Self::OpenMpi || major < 5
    }
}

impl FromStr for Family {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let family = Self::ALL.into_iter().find(|family| family.name() == name);
        family.ok_or_else(|| format!("`{name}` is neither `openmpi` nor `mpich`"))
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenMpi => "Open MPI",
            Self::Mpich => "MPICH",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compilers_report_their_family_and_version() {
        let is = |output, family, name, version: &str| {
            assert_eq!(
                Family::of_compiler(output),
                Some((family, name, version.to_owned()))
            );
        };
        let (open_mpi, mpich) = (Family::OpenMpi, Family::Mpich);
        is(
            "mpicc.openmpi: Open MPI 4.1.4 (Language: C)",
            open_mpi,
            "Open MPI",
            "4.1.4",
        );
        is(
            "mpicc: Open MPI 5.0.0rc12 (Language: C)",
            open_mpi,
            "Open MPI",
            "5.0.0rc12",
        );
        is(
            "mpicc for MPICH version 4.0.2\nUsing built-in specs.",
            mpich,
            "MPICH",
            "4.0.2",
        );
        let intel =
            "mpigcc for the Intel(R) MPI Library 2021.19 for Linux*\nCopyright Intel Corporation.";
        is(intel, mpich, "Intel MPI", "2021.19");
        assert_eq!(
            Family::of_compiler("gcc version 12.2.0 (Debian 12.2.0-14)"),
            None
        );
        assert_eq!(Family::of_compiler(""), None);
    }

    #[test]
    fn libraries_report_their_family() {
        for (version, family) in [
            (
                "Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4",
                Some(Family::OpenMpi),
            ),
            (
                "MPICH Version:      4.0.2\nMPICH Release date:",
                Some(Family::Mpich),
            ),
            (
                "Intel(R) MPI Library 2021.9 for Linux* OS\n",
                Some(Family::Mpich),
            ),
            ("MVAPICH2 Version      :     2.3.7", Some(Family::Mpich)),
            ("Microsoft MPI 10.1", None),
        ] {
            assert_eq!(Family::of_library(version), family, "{version}");
        }
    }

    #[test]
    fn jobs_of_users_survive_by_the_same_script() {
        let script = include_str!("../../examples/jobs/survive.sh");
        let is_code = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let lines: Vec<&str> = script.lines().filter(is_code).collect();
        assert_eq!(lines.join("; "), SHIELD[2]);
    }

    #[test]
    fn launchers_report_their_family() {
        for (output, family) in [
            (
                "mpiexec.openmpi (OpenRTE) 4.1.4\n\nReport bugs to",
                Some(Family::OpenMpi),
            ),
            ("mpirun (Open MPI) 5.0.11\n", Some(Family::OpenMpi)),
            (
                "HYDRA build details:\n    Version:  4.0.2",
                Some(Family::Mpich),
            ),
            (
                "Intel(R) MPI Library for Linux* OS, Version 2021.19",
                Some(Family::Mpich),
            ),
            ("slurm-wlm 23.11.4", None),
        ] {
            assert_eq!(Family::of_launcher(output), family, "{output}");
        }
    }
}
