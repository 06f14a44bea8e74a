//! What launchers say about the rank by which a job has ended.

/// The rank that has ended first, by what the launcher reports: by a signal, by itself, or because it has aborted the job.
/// Open MPI names the rank, Hydra the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Death {
    /// The rank.
    pub rank: Option<u32>,
    /// The process.
    pub process: Option<u32>,
    /// The signal, if one has ended it.
    pub signal: Option<i32>,
}

impl Death {
    /// Finds the report in the output of a launcher.
    pub fn reported_in(output: &str) -> Option<Self> {
        let rank = number_after(output, "process rank ")
            .or_else(|| number_after(output, "RANK "))
            .or_else(|| number_after(output, "MPI_ABORT was invoked on rank "))
            .or_else(|| rank_of_name(output));
        // Open MPI 4 says `PID 0` if it has forgotten.
        let process = number_after(output, "PID ").filter(|process| *process != 0);
        let signal = number_after(output, "(signal ").or_else(|| number_after(output, "signal "));
        // Hydra takes its code for a process that has not finalized MPI, 1, for a signal.
        let signal = signal.filter(|signal| *signal != 1 || !output.contains("EXIT STRING"));
        (rank.is_some() || process.is_some()).then_some(Self {
            rank,
            process,
            signal: signal.and_then(|signal| i32::try_from(signal).ok()),
        })
    }
}

/// R of Open MPI's `Process name: [[4711,1],R]`.
fn rank_of_name(output: &str) -> Option<u32> {
    let (_, name) = output.split_once("Process name: [[")?;
    let (_, rank) = name.split_once("],")?;
    number_after(rank, "")
}

fn number_after(text: &str, words: &str) -> Option<u32> {
    text.match_indices(words).find_map(|(at, _)| {
        let rest = &text[at + words.len()..];
        let end = rest.find(|c: char| !c.is_ascii_digit());
        rest[..end.unwrap_or(rest.len())].parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_mpi_names_the_rank() {
        let output =
            "mpirun noticed that process rank 1 with PID 0 on node a exited on signal 9 (Killed).";
        let death = Death {
            rank: Some(1),
            process: None,
            signal: Some(9),
        };
        assert_eq!(Death::reported_in(output), Some(death));
    }

    #[test]
    fn hydra_names_the_process() {
        let output = "=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n\
                      =   PID 4711 RUNNING AT a\n=   EXIT CODE: 9\n\
                      YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Killed (signal 9)\n";
        let death = Death {
            rank: None,
            process: Some(4711),
            signal: Some(9),
        };
        assert_eq!(Death::reported_in(output), Some(death));
    }

    #[test]
    fn hydra_takes_an_exit_for_a_signal() {
        let output = "=   PID 4711 RUNNING AT a\n=   EXIT CODE: 1\n\
                      YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Hangup (signal 1)\n";
        let death = Death::reported_in(output).unwrap();
        assert_eq!((death.process, death.signal), (Some(4711), None));
    }

    #[test]
    fn a_rank_may_end_without_a_signal() {
        let aborted = "MPI_ABORT was invoked on rank 2 in communicator MPI_COMM_WORLD";
        let improperly =
            "mpiexec has exited due to process rank 2 with PID 0 on\nnode a exiting improperly.";
        let exited =
            "The first process to do so was:\n\n  Process name: [[25281,1],2]\n  Exit code:    3";
        for output in [aborted, improperly, exited] {
            let death = Death::reported_in(output).unwrap();
            assert_eq!(
                (death.rank, death.process, death.signal),
                (Some(2), None, None)
            );
        }
        assert_eq!(Death::reported_in("a warning"), None);
    }
}
