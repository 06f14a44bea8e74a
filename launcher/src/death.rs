//! What launchers say about a rank that a signal has ended.

/// The first death of a rank that a launcher reports. Open MPI names the rank, Hydra the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Death {
    /// The rank.
    pub rank: Option<u32>,
    /// The process.
    pub process: Option<u32>,
    /// The signal.
    pub signal: Option<i32>,
}

impl Death {
    /// Finds the report in the output of a launcher.
    pub fn reported_in(output: &str) -> Option<Self> {
        let rank = number_after(output, "process rank ").or_else(|| number_after(output, "RANK "));
        // Open MPI 4 says `PID 0` if it has forgotten.
        let process = number_after(output, "PID ").filter(|process| *process != 0);
        let signal = number_after(output, "(signal ").or_else(|| number_after(output, "signal "));
        let signal = signal.and_then(|signal| i32::try_from(signal).ok());
        (signal.is_some() && (rank.is_some() || process.is_some())).then_some(Self {
            rank,
            process,
            signal,
        })
    }
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
    fn an_abort_is_no_death() {
        let output =
            "MPI_ABORT was invoked on rank 0 in communicator MPI_COMM_WORLD with errorcode 1.";
        assert_eq!(Death::reported_in(output), None);
        assert_eq!(Death::reported_in(""), None);
    }
}
