//! What a test reports that has failed: which ranks have failed with what, and what each has printed.

use std::fmt::Write;

use launcher::Death;

use crate::job::Ended;
use crate::record::{End, Record};

/// The report of a job; none if all of its ranks have passed.
pub(crate) fn report(name: &str, launcher: &str, library: &str, ended: &Ended) -> Option<String> {
    let lines = lines(launcher, library, ended);
    if lines.is_empty() {
        return None;
    }
    let mut text = format!("{name} has failed:\n");
    for line in lines {
        // Texts of several lines stay together.
        let _ = writeln!(text, "  {}", line.trim_end().replace('\n', "\n    "));
    }
    let ranks = ended.ranks.iter().enumerate();
    let outputs = ranks.map(|(rank, record)| (format!("rank {rank}"), record.output.clone()));
    let strays = ended.strays.iter();
    let strays = strays.map(|output| ("a process that is no rank".to_owned(), output.clone()));
    let of_launcher = (launcher.to_owned(), without_harness(name, &ended.launcher));
    for (whose, output) in outputs.chain(strays).chain([of_launcher]) {
        if !output.trim().is_empty() {
            let _ = write!(text, "\n--- output of {whose} ---\n{}\n", output.trim_end());
        }
    }
    Some(text)
}

/// What has gone wrong: the cause first, then what has become of the other ranks.
fn lines(launcher: &str, library: &str, ended: &Ended) -> Vec<String> {
    if ended.is_of_other_mpi {
        return vec![format!(
            "{launcher} does not belong to {library}, with which this program was built: each process is rank 0 of a \
             world of its own; name the launcher of {library} in TEST_MPIEXEC"
        )];
    }
    let ranks = || (0..).zip(&ended.ranks);
    let mut lines = Vec::new();
    if ended.status.is_none() {
        let seconds = ended.took.as_secs_f64();
        lines.push(format!(
            "it had not ended after {seconds:.1} s and was killed (`limit = SECONDS`, TEST_MPI_LIMIT)"
        ));
    } else if ranks().all(|(_, rank)| rank.process.is_none()) {
        lines.push(format!("{launcher} has started no ranks"));
    }
    let failures = failures(&ended.ranks);
    lines.extend(
        failures
            .iter()
            .map(|(rank, what)| format!("rank {rank} {what}")),
    );
    let mut others: Vec<String> = Vec::new();
    let death = Death::reported_in(&ended.launcher).filter(|_| failures.is_empty());
    for (rank, record) in ranks().filter(|(_, record)| record.process.is_some()) {
        let is_the_dead = |death: &Death| {
            death
                .rank
                .map_or(death.process == record.process, |dead| dead == rank)
        };
        match (&record.end, ended.status, death.filter(is_the_dead)) {
            (Some((_, End::Failed(_) | End::Panicked(_))), ..) => {}
            (Some((_, End::Passed)), ..) => others.push(format!("rank {rank} passed")),
            (None, None, _) => others.push(format!("rank {rank} {}", wait_of(rank, record))),
            (None, Some(status), death) if death.is_some() || status.success() => {
                let signal = death.and_then(|death| death.signal);
                lines.push(match signal {
                    Some(signal) => format!("rank {rank} was ended by signal {signal}{}", named(signal)),
                    None => format!(
                        "rank {rank} has ended its process, or aborted the job, in the middle of the test"
                    ),
                });
            }
            (None, Some(_), _) => {
                others.push(format!(
                    "rank {rank} was in the middle of the test when the job ended"
                ));
            }
        }
    }
    let has_passed = |record: &Record| matches!(record.end, Some((_, End::Passed)));
    match ended.status {
        Some(status) if ended.ranks.iter().all(has_passed) => {
            if status.success() {
                return Vec::new();
            }
            lines.push(format!(
                "all ranks have passed, but {launcher} has ended with {status}"
            ));
        }
        Some(status) if lines.is_empty() => {
            lines.push(format!("{launcher} has ended with {status}"));
        }
        _ => {}
    }
    lines.append(&mut others);
    lines
}

/// The ranks that have failed, and with what, the likely causes first: failures that do not name another rank that has
/// failed or died, in the order of their time, and then those that do.
fn failures(ranks: &[Record]) -> Vec<(usize, String)> {
    let has_passed = |record: &Record| matches!(record.end, Some((_, End::Passed)));
    let bad: Vec<usize> = (0..ranks.len())
        .filter(|&rank| !has_passed(&ranks[rank]))
        .collect();
    let mut failures: Vec<_> = (0..)
        .zip(ranks)
        .filter_map(|(rank, record)| {
            let (time, end) = record.end.as_ref()?;
            let (text, what) = match end {
                End::Passed => return None,
                End::Failed(text) => (text, format!("failed: {text}")),
                End::Panicked(text) => (text, format!("panicked {text}")),
            };
            let mut others = bad.iter().filter(|other| **other != rank);
            let follows = others.any(|other| names(text, *other));
            Some(((follows, *time), rank, what))
        })
        .collect();
    failures.sort();
    failures
        .into_iter()
        .map(|(_, rank, what)| (rank, what))
        .collect()
}

/// Whether a text names a rank.
fn names(text: &str, rank: usize) -> bool {
    let words = format!("rank {rank}");
    text.match_indices(&words).any(|(at, _)| {
        let rest = &text[at + words.len()..];
        !rest.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// The last report of a rank about its wait.
fn wait_of(rank: u32, record: &Record) -> String {
    let begin = format!("mpisync: rank {rank} ");
    let lines: Vec<&str> = record.output.lines().collect();
    let first = lines.iter().rposition(|line| line.starts_with(&begin));
    let Some(first) = first else {
        return "reports no wait in a call of mpisync: it computes, or waits in a call of MPI or of the system".into();
    };
    let more = lines[first + 1..].iter();
    let more = more.map_while(|line| line.strip_prefix("mpisync:   "));
    let first = &lines[first][begin.len()..];
    [first]
        .into_iter()
        .chain(more)
        .collect::<Vec<_>>()
        .join("\n")
}

/// The output of the launcher without what the harness of Rust has printed before the ranks had files of their own.
fn without_harness(name: &str, output: &str) -> String {
    let output = output.replace("running 1 test", "");
    output
        .replace(&format!("test {name} ... "), "")
        .trim()
        .to_owned()
}

fn named(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use std::time::Duration;

    fn ended(code: Option<i32>, ends: Vec<Option<(u128, End)>>) -> Ended {
        let rank = |(process, end)| Record {
            process: Some(process),
            end,
            output: String::new(),
        };
        Ended {
            status: code.map(|code| ExitStatus::from_raw(code << 8)),
            took: Duration::from_secs(3),
            ranks: (70..).zip(ends).map(rank).collect(),
            strays: Vec::new(),
            launcher: String::new(),
            is_of_other_mpi: false,
        }
    }

    fn failed(time: u128, text: &str) -> Option<(u128, End)> {
        Some((time, End::Failed(text.into())))
    }

    fn passed() -> Option<(u128, End)> {
        Some((9, End::Passed))
    }

    fn lines_of(ended: &Ended) -> Vec<String> {
        lines("mpiexec", "Open MPI", ended)
    }

    #[test]
    fn a_job_that_passes_reports_nothing() {
        let mut job = ended(Some(0), vec![passed(), passed()]);
        job.launcher = "a warning".into();
        assert_eq!(report("a", "mpiexec", "MPICH", &job), None);
    }

    #[test]
    fn the_own_failure_comes_before_those_that_it_causes() {
        let job = ended(
            Some(1),
            vec![
                failed(1, "rank 11 and rank 2 failed: no file"),
                passed(),
                failed(2, "no file"),
                None,
            ],
        );
        let expected = [
            "rank 2 failed: no file",
            "rank 0 failed: rank 11 and rank 2 failed: no file",
            "rank 1 passed",
            "rank 3 was in the middle of the test when the job ended",
        ];
        assert_eq!(lines_of(&job), expected);
    }

    #[test]
    fn own_failures_are_in_the_order_of_their_time() {
        let job = ended(
            Some(1),
            vec![failed(5, "b"), failed(3, "rank 0 is odd"), failed(4, "a")],
        );
        let expected = [
            "rank 2 failed: a",
            "rank 0 failed: b",
            "rank 1 failed: rank 0 is odd",
        ];
        assert_eq!(lines_of(&job), expected);
    }

    #[test]
    fn a_signal_is_named() {
        let mut job = ended(Some(137), vec![None, None]);
        job.launcher = "process rank 1 with PID 0 on node a exited on signal 9 (Killed).".into();
        let expected = [
            "rank 1 was ended by signal 9 (SIGKILL)",
            "rank 0 was in the middle of the test when the job ended",
        ];
        assert_eq!(lines_of(&job), expected);
        job.launcher = "= PID 71 RUNNING AT a\nTHE EXIT STRING: Killed (signal 9)".into();
        assert_eq!(lines_of(&job), expected);
    }

    #[test]
    fn success_of_the_launcher_alone_does_not_count() {
        let job = ended(Some(0), vec![passed(), None]);
        let expected = [
            "rank 1 has ended its process, or aborted the job, in the middle of the test",
            "rank 0 passed",
        ];
        assert_eq!(lines_of(&job), expected);
        let job = ended(Some(3), vec![passed()]);
        let text = "all ranks have passed, but mpiexec has ended with exit status: 3";
        assert_eq!(lines_of(&job), [text, "rank 0 passed"]);
    }

    #[test]
    fn waits_are_reported_without_the_library_s_prefix() {
        let mut job = ended(None, vec![None, None]);
        job.ranks[0].output = "mpisync: rank 0 has waited for 1.0 s in `lock` at a.rs:1\n\
                               mpisync: rank 0 has waited for 3.0 s in `lock` at a.rs:2\n\
                               mpisync:   rank 1 holds it\nother\n"
            .into();
        let lines = lines_of(&job);
        assert_eq!(
            lines[1],
            "rank 0 has waited for 3.0 s in `lock` at a.rs:2\nrank 1 holds it"
        );
        assert!(
            lines[2].starts_with("rank 1 reports no wait"),
            "{}",
            lines[2]
        );
    }
}
