//! The two families of MPI, how their programs tell which family and version they are, and what the jobs of each
//! need in their environment.

use std::fmt;

/// A family of MPI implementations that share launcher and manners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Open MPI.
    OpenMpi,
    /// MPICH, and what descends from it (Intel MPI, MVAPICH), all started by Hydra.
    Mpich,
}

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

    /// The family and version of a compiler wrapper, from `mpicc --showme:version` (Open MPI's own option) or from
    /// `mpicc -v`.
    pub fn of_compiler(output: &str) -> Option<(Self, String)> {
        const MARKS: [(&str, Family); 4] = [
            ("Open MPI ", Family::OpenMpi),
            ("MPICH version ", Family::Mpich),
            ("Intel(R) MPI Library ", Family::Mpich),
            ("MVAPICH version ", Family::Mpich),
        ];
        let line = output.lines().next()?;
        MARKS.iter().find_map(|(mark, family)| {
            let (_, version) = line.split_once(mark)?;
            let version = version.split_whitespace().next()?;
            version
                .starts_with(|c: char| c.is_ascii_digit())
                .then(|| (*family, version.to_owned()))
        })
    }

    /// The family of a launcher, from `mpiexec --version`.
    pub fn of_launcher(output: &str) -> Option<Self> {
        let line = output.lines().find(|line| !line.trim().is_empty())?;
        let says = |words: &[&str]| words.iter().any(|word| line.contains(word));
        if says(&["Open MPI", "OpenRTE", "PRRTE"]) {
            Some(Self::OpenMpi)
        } else if says(&["HYDRA", "MPICH", "Intel(R) MPI"]) {
            Some(Self::Mpich)
        } else {
            None
        }
    }

    /// Whether a job over hosts can go on when one of its ranks dies: Open MPI ends it from version 5 on, as soon as a
    /// connection closes.
    pub fn survives_deaths_over_hosts(self, version: &str) -> bool {
        self != Self::OpenMpi || major(version) < 5
    }

    /// What the jobs of this family and version need in their environment: to run as root (as in most containers),
    /// and to have more ranks than cores.
    ///
    /// Whether idle ranks yield is left to the MPI, which makes them do so where ranks share a core. Forced upon two
    /// ranks with a core each, it took Open MPI 4.1 from 111 to 460 ns for a contended `MPI_Win_lock` and from 250 to
    /// 690 ns for a broadcast with a barrier, and a benchmark would compare with an MPI slower than users have.
    pub fn environment(self, version: &str) -> Vec<(&'static str, &'static str)> {
        let major = major(version);
        match self {
            // MPICH minds neither.
            Self::Mpich => Vec::new(),
            Self::OpenMpi => {
                let mut variables = vec![
                    ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
                    ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
                ];
                if major >= 5 {
                    // From version 5 on the launcher is PRRTE, with settings of its own.
                    variables.push(("PRTE_ALLOW_RUN_AS_ROOT", "1"));
                    variables.push(("PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1"));
                    variables.push(("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"));
                } else {
                    variables.push(("OMPI_MCA_rmaps_base_oversubscribe", "1"));
                }
                variables
            }
        }
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

fn major(version: &str) -> u32 {
    version
        .split('.')
        .next()
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler(output: &str) -> Option<(Family, String)> {
        Family::of_compiler(output)
    }

    #[test]
    fn compilers_tell_their_family_and_version() {
        let is = |family, version: &str| Some((family, version.to_owned()));
        assert_eq!(
            compiler("mpicc.openmpi: Open MPI 4.1.4 (Language: C)"),
            is(Family::OpenMpi, "4.1.4")
        );
        assert_eq!(
            compiler("mpicc: Open MPI 5.0.0rc12 (Language: C)"),
            is(Family::OpenMpi, "5.0.0rc12")
        );
        assert_eq!(
            compiler("mpicc for MPICH version 4.0.2\nUsing built-in specs."),
            is(Family::Mpich, "4.0.2")
        );
        let intel =
            "mpigcc for the Intel(R) MPI Library 2021.19 for Linux*\nCopyright Intel Corporation.";
        assert_eq!(compiler(intel), is(Family::Mpich, "2021.19"));
        assert_eq!(compiler("gcc version 12.2.0 (Debian 12.2.0-14)"), None);
        assert_eq!(compiler(""), None);
    }

    #[test]
    fn launchers_tell_their_family() {
        let launcher = Family::of_launcher;
        assert_eq!(
            launcher("mpiexec.openmpi (OpenRTE) 4.1.4\n\nReport bugs to"),
            Some(Family::OpenMpi)
        );
        assert_eq!(
            launcher("mpirun (Open MPI) 5.0.11\n"),
            Some(Family::OpenMpi)
        );
        assert_eq!(
            launcher("HYDRA build details:\n    Version:  4.0.2"),
            Some(Family::Mpich)
        );
        assert_eq!(
            launcher("Intel(R) MPI Library for Linux* OS, Version 2021.19"),
            Some(Family::Mpich)
        );
        assert_eq!(launcher("slurm-wlm 23.11.4"), None);
    }

    #[test]
    fn more_ranks_than_cores_are_allowed_in_the_way_of_each_version() {
        let has = |version, name| {
            Family::OpenMpi
                .environment(version)
                .iter()
                .any(|(key, _)| *key == name)
        };
        assert!(has("4.1.4", "OMPI_MCA_rmaps_base_oversubscribe"));
        assert!(!has("4.1.4", "PRTE_MCA_rmaps_default_mapping_policy"));
        assert!(has("5.0.11", "PRTE_MCA_rmaps_default_mapping_policy"));
        assert!(!has("5.0.11", "OMPI_MCA_rmaps_base_oversubscribe"));
        assert!(Family::Mpich.environment("4.0.2").is_empty());
    }
}
