//! A job with a fault: what each rank got, and when the job has to end.

use std::thread;
use std::time::{Duration, Instant};

use mpisync_tests::launch::Launch;

use crate::cell::{BYSTANDER, RANKS, STRUCK, VICTIM};
use crate::table::{JOB_ENDS, REPORTED};

/// How long a job has until its fault, also on a busy machine.
const START: Duration = Duration::from_secs(30);

/// How long a rank may wait after the fault. One that waits longer hangs.
pub const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How often a job is looked at.
const POLL: Duration = Duration::from_millis(20);

/// What a rank that is not the victim got.
pub struct Seen {
    /// Its rank.
    pub rank: usize,
    /// None if it waits without a report.
    pub outcome: Option<String>,
    /// How long after the fault; zero if that is not known.
    pub seconds: f64,
}

/// Runs a job in which the victim leaves the verdict [`STRUCK`] and each other one its outcome. Returns what the others got,
/// and what the job printed.
///
/// # Errors
/// If the fault did not happen.
pub fn observe(launch: Launch<'_>, awaits_report: bool) -> Result<(Vec<Seen>, String), String> {
    let mut job = launch.survive_deaths().beside_others().start();
    let mut deadline = Instant::now() + START;
    let mut is_struck = false;
    loop {
        let is_last_look = job.is_over() || Instant::now() >= deadline;
        let (output, verdicts) = (job.output(), job.verdicts());
        if !is_struck && verdicts[VICTIM as usize].is_some() {
            is_struck = true;
            deadline = Instant::now() + LONGEST_WAIT;
        }
        let has_answered =
            |rank: usize| verdicts[rank].is_some() || awaits_report && reports(&output, rank);
        if (0..RANKS).all(has_answered) || is_last_look {
            break;
        }
        thread::sleep(POLL);
    }
    let is_over = job.is_over();
    let (output, verdicts) = (job.output(), job.verdicts());
    job.kill();
    if verdicts[VICTIM as usize].as_deref() != Some(STRUCK) {
        return Err(format!(
            "the fault did not happen\n--- output ---\n{output}"
        ));
    }
    let mut seen = Vec::new();
    for (rank, verdict) in verdicts.iter().enumerate() {
        if rank == VICTIM as usize || verdict.as_deref() == Some(BYSTANDER) {
            continue;
        }
        let (outcome, seconds) = match verdict {
            Some(verdict) => {
                let (outcome, seconds) = verdict.split_once('\t').expect("two columns");
                let seconds = seconds.parse().expect("a number of seconds");
                (Some(outcome.to_owned()), seconds)
            }
            None if reports(&output, rank) => (Some(REPORTED.to_owned()), 0.0),
            None if is_over => (Some(JOB_ENDS.to_owned()), 0.0),
            None => (None, 0.0),
        };
        seen.push(Seen {
            rank,
            outcome,
            seconds,
        });
    }
    Ok((seen, output))
}

/// Whether the library has printed that this rank waits.
fn reports(output: &str, rank: usize) -> bool {
    let start = format!("mpisync: rank {rank} has waited for ");
    output.lines().any(|line| line.starts_with(&start))
}
