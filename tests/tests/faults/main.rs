//! What the other ranks get when one rank fails: every fault in every situation of every object.
//!
//! A *cell* is one fault in one situation. It is a job of its own and a test of its own, `barrier::wait::sigkill`. The
//! last rank is the victim. The others make a call that needs it and answer with the outcome ([`cell`]), which is
//! compared with the [`table`]. The launcher lets them live when the victim dies.
//!
//! `docs/faults.md` is the table for readers. `cargo test -p mpisync-tests --test faults -- --write` writes it. The same
//! faults in other packages are in [`peers`].

mod cell;
mod fault;
mod observe;
mod page;
mod peers;
mod situations;
mod table;

use std::env;
use std::process::ExitCode;

use launcher::processes;
use libtest_mimic::{Arguments, Failed, Trial};
use mpisync_tests::job;
use mpisync_tests::launch::Launch;

use crate::cell::RANKS;
use crate::fault::Fault;
use crate::observe::{Seen, observe};
use crate::table::{KNOWN_HANGS, REPORTED, Row, TABLE};

/// Times of the library that fit into [`observe::LONGEST_WAIT`]: after what time it reports a wait, how long the others have
/// after a panic, and how long a host may be silent, which is longer than a stopped one is. A backtrace takes seconds on a
/// busy machine, and comes before the stack unwinds.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("RUST_BACKTRACE", "0"),
    ("MPISYNC_WATCHDOG", "2"),
    ("MPISYNC_GRACE", "3"),
    ("MPISYNC_SILENCE", "7"),
];

/// How long a rank waits for those that do not come to make an object, where that is what a situation is about. In the others
/// the objects are made before the fault, by jobs that have just started on a busy machine.
const IN_CREATION: [(&str, &str); 1] = [("MPISYNC_CREATE_TIMEOUT", "8")];

/// How many jobs run at the same time, since most of them sleep.
const JOBS: usize = 12;
/// The same over hosts, where starting a job takes longer.
const JOBS_OVER_HOSTS: usize = 6;

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
    if let Some("--write-peers") = arguments.first().map(String::as_str) {
        peers::write(arguments.get(1).map(String::as_str));
        return ExitCode::SUCCESS;
    }
    let is_third = arguments.iter().any(|argument| argument == "--third");
    let options = arguments
        .into_iter()
        .filter(|argument| argument != "--third");
    let mut arguments = Arguments::from_iter([String::new()].into_iter().chain(options));
    let jobs = if is_over_hosts() {
        JOBS_OVER_HOSTS
    } else {
        JOBS
    };
    arguments.test_threads.get_or_insert(jobs);
    libtest_mimic::run(&arguments, trials(is_third)).exit_code()
}

/// Whether the jobs run over two hosts, where the victim is alone on the second one.
fn is_over_hosts() -> bool {
    env::var_os("XTASK_HOSTS").is_some()
}

/// The longest cells first, so that the short ones run beside them. All cells, or a third of them, as over hosts.
fn trials(is_third: bool) -> Vec<Trial> {
    let mut cells: Vec<(&Row, Fault)> = TABLE.iter().flat_map(Row::cells).collect();
    if is_third || is_over_hosts() {
        cells.retain(|(row, fault)| row.is_in_third(*fault));
    }
    cells.sort_by_key(|(row, fault)| !is_long(row, *fault));
    let cells = cells.into_iter().map(|(row, fault)| {
        let name = format!("{}::{}", row.name, fault.name());
        Trial::test(name, move || check(row, fault))
    });
    let others = [
        Trial::test("known_hangs_are_cells", known_hangs_are_cells),
        Trial::test("page_is_up_to_date", page::check),
        Trial::test("page_of_peers_has_our_lines", peers::check_page),
        Trial::test("script_of_peers_has_all_functions", peers::check_script),
    ];
    cells.chain(others).collect()
}

fn is_long(row: &Row, fault: Fault) -> bool {
    fault == Fault::Stop
        || table::known_hang(row.name, fault).is_some()
        || row.expected(fault).contains(&REPORTED)
}

fn check(row: &Row, fault: Fault) -> Result<(), Failed> {
    let mut launch = Launch::new(RANKS, [row.name, fault.name()]).envs(&ENVIRONMENT);
    if row.name.starts_with("creation::") {
        launch = launch.envs(&IN_CREATION);
    }
    let (seen, output) = observe(launch, row.expected(fault).contains(&REPORTED))?;
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
