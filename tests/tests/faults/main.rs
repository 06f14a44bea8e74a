//! What the other ranks get when one rank fails: every fault in every situation of every object.
//!
//! A *cell* is one fault in one situation. It is a job of its own and a test of its own, `barrier::wait::sigkill`. The
//! last rank is the victim. The others make a call that needs it and answer with the outcome ([`cell`]), which is
//! compared with the [`table`]. The launcher lets them live when the victim dies.
//!
//! `docs/faults.md` is the table for readers. `cargo test -p mpisync-tests --test faults -- --write` writes it.

mod cell;
mod fault;
mod page;
mod situations;
mod table;

use std::env;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use launcher::processes;
use libtest_mimic::{Arguments, Failed, Trial};
use mpisync_tests::job;
use mpisync_tests::launch::Launch;

use crate::cell::{BYSTANDER, RANKS, STRUCK, VICTIM};
use crate::fault::Fault;
use crate::table::{JOB_ENDS, KNOWN_HANGS, REPORTED, Row, TABLE};

/// How long a job has until its fault, also on a busy machine.
const START: Duration = Duration::from_secs(30);

/// How long a rank may wait after the fault. One that waits longer hangs.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How often a job is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Times of the library that fit into [`LONGEST_WAIT`]: after what time it reports a wait, how long it waits for ranks that
/// do not come to make an object, how long the others have after a panic, and how long a host may be silent, which is longer
/// than a stopped one is. A backtrace takes seconds on a busy machine,
/// and comes before the stack unwinds.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("RUST_BACKTRACE", "0"),
    ("MPISYNC_WATCHDOG", "2"),
    ("MPISYNC_CREATE_TIMEOUT", "8"),
    ("MPISYNC_GRACE", "3"),
    ("MPISYNC_SILENCE", "7"),
];

/// How many jobs run at the same time, since most of them sleep.
const JOBS: usize = 12;
/// The same over hosts, where starting a job takes longer.
const JOBS_OVER_HOSTS: usize = 4;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(job::OPTION) => return cell::main(&arguments[1..]),
        Some("--write") => {
            page::write();
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    processes::adopt_orphans().expect("Linux has subreapers");
    let mut arguments = Arguments::from_args();
    let jobs = if is_over_hosts() {
        JOBS_OVER_HOSTS
    } else {
        JOBS
    };
    arguments.test_threads.get_or_insert(jobs);
    libtest_mimic::run(&arguments, trials()).exit_code()
}

/// Whether the jobs run over two hosts, where the victim is alone on the second one.
fn is_over_hosts() -> bool {
    env::var_os("XTASK_HOSTS").is_some()
}

/// The longest cells first, so that the short ones run beside them.
fn trials() -> Vec<Trial> {
    let mut cells: Vec<(&Row, Fault)> = TABLE.iter().flat_map(Row::cells).collect();
    if is_over_hosts() {
        cells.retain(|(row, fault)| row.is_over_hosts(*fault));
    }
    cells.sort_by_key(|(row, fault)| !is_long(row, *fault));
    let cells = cells.into_iter().map(|(row, fault)| {
        let name = format!("{}::{}", row.name, fault.name());
        Trial::test(name, move || check(row, fault))
    });
    let others = [
        Trial::test("known_hangs_are_cells", known_hangs_are_cells),
        Trial::test("page_is_up_to_date", page::check),
    ];
    cells.chain(others).collect()
}

fn is_long(row: &Row, fault: Fault) -> bool {
    fault == Fault::Stop
        || table::known_hang(row.name, fault).is_some()
        || row.expected(fault).contains(&REPORTED)
}

/// What a rank that is not the victim got.
struct Seen {
    rank: usize,
    /// None if it waits without a report.
    outcome: Option<String>,
    seconds: f64,
}

fn check(row: &Row, fault: Fault) -> Result<(), Failed> {
    let (seen, output) = run(row, fault)?;
    let as_text = |seen: &Seen| match &seen.outcome {
        Some(outcome) => format!("rank {}: {outcome}, {:.2} s", seen.rank, seen.seconds),
        None => format!("rank {}: hangs", seen.rank),
    };
    let fail = |message: String| {
        let seen: Vec<String> = seen.iter().map(as_text).collect();
        Err(format!("{message}\n{}\n--- output ---\n{output}", seen.join("\n")).into())
    };
    let hangs = seen.iter().any(|seen| seen.outcome.is_none());
    let mut expected = row.expected(fault).to_vec();
    if is_over_hosts() {
        expected.extend(row.expected_over_hosts(fault));
    }
    match table::known_hang(row.name, fault) {
        Some(_) if hangs => Ok(()),
        Some(reason) => fail(format!(
            "no rank hangs any more: remove the cell from KNOWN_HANGS ({reason})"
        )),
        None if hangs => fail(format!("a rank hangs; expected: {}", expected.join(" or "))),
        None => {
            let is_good = |seen: &Seen| {
                let outcome = seen.outcome.as_deref();
                outcome.is_some_and(|outcome| expected.contains(&outcome))
            };
            match seen.iter().all(is_good) {
                true => Ok(()),
                false => fail(format!("expected: {}", expected.join(" or "))),
            }
        }
    }
}

/// Runs the job of a cell, and returns what each rank got and what the job printed.
fn run(row: &Row, fault: Fault) -> Result<(Vec<Seen>, String), Failed> {
    let launch = Launch::new(RANKS, [row.name, fault.name()]).envs(&ENVIRONMENT);
    let mut job = launch.survive_deaths().beside_others().start();
    let awaits_report = row.expected(fault).contains(&REPORTED);
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
        return Err(format!("the fault did not happen\n--- output ---\n{output}").into());
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

fn known_hangs_are_cells() -> Result<(), Failed> {
    for (situation, faults, _) in KNOWN_HANGS {
        for fault in *faults {
            let is_cell = |row: &Row| row.name == *situation && !row.expected(*fault).is_empty();
            if TABLE.iter().filter(|row| is_cell(row)).count() != 1 {
                return Err(format!("{situation}::{} is no cell", fault.name()).into());
            }
        }
    }
    Ok(())
}
