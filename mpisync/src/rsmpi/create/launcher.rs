//! Whether the launcher that started this process knows more processes than MPI does.
//!
//! A program that was built for one MPI and is started by another one's launcher runs several times
//! as rank 0 of 1. Each of these processes would be granted every lock.

use crate::error::CreateError;
use crate::rsmpi::comm::check as check_code;
use crate::transport::read_variable;
use mpi::ffi;
use mpi::traits::Communicator;
use std::env;

/// Says that a world of one is meant, whatever a launcher has left in the environment.
const SINGLETON: &str = "MPISYNC_SINGLETON";

/// An error where MPI's world is this process alone and its launcher has started several.
pub(super) fn check() -> Result<(), CreateError> {
    let world = mpi::topology::SimpleCommunicator::world();
    if world.size() > 1 || is_spawned()? {
        return Ok(());
    }
    let Some(found) = Found::among(|name| env::var(name).ok()) else {
        return Ok(());
    };
    let switch = [("on", Some(true)), ("off", Some(false))];
    if read_variable(SINGLETON, &switch)? == Some(true) {
        return Ok(());
    }
    Err(CreateError::OtherLauncher {
        launcher: found.launcher,
        variable: found.variable,
        value: found.value,
        library: library(),
    })
}

/// Whether another MPI program has spawned this process, and not a launcher.
fn is_spawned() -> Result<bool, CreateError> {
    // SAFETY: the result goes to a live variable; the constant is one of MPI's handles.
    unsafe {
        let mut parent = ffi::RSMPI_COMM_NULL;
        check_code("MPI_Comm_get_parent", ffi::MPI_Comm_get_parent(&mut parent))?;
        Ok(parent != ffi::RSMPI_COMM_NULL)
    }
}

/// The name and version of the MPI that this program was built for, from the long text that MPI has
/// for them.
fn library() -> String {
    let text = mpi::environment::library_version().unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let name = line.split(',').next().unwrap_or_default();
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a launcher has left in the environment of one process among several.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    launcher: &'static str,
    variable: &'static str,
    value: String,
}

const HYDRA: &str = "the launcher of MPICH or of a relative";
const OPEN_MPI: &str = "the launcher of Open MPI";
const SLURM: &str = "srun";

impl Found {
    /// The first variable that tells of several processes.
    ///
    /// That of an MPI's own launcher comes before Slurm's: `mpiexec` may have been started by
    /// `srun`, or may start its daemons by it, and what those inherit says nothing of the ranks.
    /// `SLURM_NTASKS` says nothing either, for it is there in every allocation.
    fn among(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name| variable(name)?.trim().parse::<u64>().ok();
        let found = |launcher, name, least| {
            (number(name)? >= least).then(|| Found {
                launcher,
                variable: name,
                value: variable(name).unwrap_or_default(),
            })
        };
        let own = found(HYDRA, "PMI_SIZE", 2)
            .or_else(|| found(HYDRA, "MPI_LOCALNRANKS", 2))
            .or_else(|| found(OPEN_MPI, "OMPI_COMM_WORLD_SIZE", 2))
            // A rank, and not a number of ranks.
            .or_else(|| found(OPEN_MPI, "PMIX_RANK", 1));
        let has_own = ["PMI_SIZE", "MPI_LOCALNRANKS", "OMPI_COMM_WORLD_SIZE"]
            .iter()
            .any(|name| variable(name).is_some());
        let is_step = variable("SLURM_STEP_ID").is_some() && variable("SLURM_PROCID").is_some();
        if own.is_some() || has_own || !is_step {
            return own;
        }
        found(SLURM, "SLURM_STEP_NUM_TASKS", 2)
    }
}

#[cfg(test)]
mod tests {
    use super::Found;

    fn found(variables: &[(&str, &str)]) -> Option<&'static str> {
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Found::among(value).map(|found| found.variable)
    }

    #[test]
    fn several_processes_of_a_launcher_are_found() {
        assert_eq!(found(&[("PMI_SIZE", "4")]), Some("PMI_SIZE"));
        assert_eq!(
            found(&[("PMI_RANK", "0"), ("MPI_LOCALNRANKS", "2")]),
            Some("MPI_LOCALNRANKS")
        );
        let variables = [("OMPI_COMM_WORLD_SIZE", "3"), ("PMIX_RANK", "0")];
        assert_eq!(found(&variables), Some("OMPI_COMM_WORLD_SIZE"));
        assert_eq!(found(&[("PMIX_RANK", "1")]), Some("PMIX_RANK"));
        let step = [
            ("SLURM_STEP_ID", "0"),
            ("SLURM_PROCID", "0"),
            ("SLURM_STEP_NUM_TASKS", "8"),
        ];
        assert_eq!(found(&step), Some("SLURM_STEP_NUM_TASKS"));
    }

    #[test]
    fn one_process_is_not() {
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[("PMI_SIZE", "1"), ("MPI_LOCALNRANKS", "1")]), None);
        let variables = [("OMPI_COMM_WORLD_SIZE", "1"), ("PMIX_RANK", "0")];
        assert_eq!(found(&variables), None);
        assert_eq!(found(&[("PMI_SIZE", "many"), ("PMIX_RANK", "")]), None);
    }

    #[test]
    fn an_allocation_of_many_is_not() {
        let in_script = [("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")];
        assert_eq!(found(&in_script), None);
        let interactive = [
            ("SLURM_NTASKS", "8"),
            ("SLURM_STEP_ID", "4294967290"),
            ("SLURM_PROCID", "0"),
            ("SLURM_STEP_NUM_TASKS", "1"),
        ];
        assert_eq!(found(&interactive), None);
    }

    /// A launcher may start its daemons by `srun`, one on each node; what it starts inherits that.
    #[test]
    fn one_process_of_a_launcher_within_slurm_is_not() {
        let variables = [
            ("OMPI_COMM_WORLD_SIZE", "1"),
            ("SLURM_STEP_ID", "0"),
            ("SLURM_PROCID", "2"),
            ("SLURM_STEP_NUM_TASKS", "4"),
        ];
        assert_eq!(found(&variables), None);
    }
}
