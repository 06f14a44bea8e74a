//! Detects a launcher that does not belong to the MPI of the program.
//!
//! A program that is built for one MPI and started by the launcher of another runs several times as
//! rank 0 of 1. Each of these processes would acquire every lock.

use crate::error::CreateError;
use crate::rsmpi::comm::check as check_code;
use crate::transport::read_variable;
use mpi::ffi;
use mpi::traits::Communicator;
use std::env;

/// Set to `on` if a world of one process is intended in spite of a launcher's environment.
const SINGLETON: &str = "MPISYNC_SINGLETON";

/// Returns an error if MPI's world has this process only, but its launcher has started several.
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

/// Whether another MPI program, not a launcher, has spawned this process.
fn is_spawned() -> Result<bool, CreateError> {
    // SAFETY: the result goes to a live variable; the constant is one of MPI's handles.
    unsafe {
        let mut parent = ffi::RSMPI_COMM_NULL;
        check_code("MPI_Comm_get_parent", ffi::MPI_Comm_get_parent(&mut parent))?;
        Ok(parent != ffi::RSMPI_COMM_NULL)
    }
}

/// The name and version of the MPI that this program was built for.
fn library() -> String {
    let text = mpi::environment::library_version().unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let name = line.split(',').next().unwrap_or_default();
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The environment variable by which a launcher describes several processes.
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
    /// Finds the first variable of a launcher with several processes.
    ///
    /// The variables of an MPI's launcher come before Slurm's: `srun` may have started `mpiexec` or
    /// its daemons, and then Slurm's variables do not describe the ranks. `SLURM_NTASKS` does not
    /// describe them either: it is set in every allocation.
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
            // This is a rank, not a number of ranks.
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

    /// A launcher may start its daemons by `srun`, one on each node; the ranks inherit the
    /// variables.
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
