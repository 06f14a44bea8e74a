//! `docs/faults-of-peers.md`: the same faults in Python packages, as a table beside ours.
//!
//! `cargo xtask peers` installs the packages and writes the page. `TEST_PEERS` names the Python that has them.

mod situations;

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use libtest_mimic::Failed;
use mpisync_tests::launch::Launch;

use crate::cell::RANKS;
use crate::observe::{LONGEST_WAIT, Seen, observe};
use crate::peers::situations::{FAULTS, SITUATIONS, Situation};

const SCRIPT: &str = "tests/tests/faults/peers/faults.py";
const PAGE: &str = "docs/faults-of-peers.md";
const OURS: &str = "docs/faults.md";

/// Prints the versions of the packages.
const VERSIONS: &str = "\
from importlib.metadata import version
print(*(f'{name} {version(name)}' for name in ('mpilock', 'pshmem', 'mpi-channels', 'mpi4py')), sep=', ', end='')";

/// Runs all cells and writes the page. With `only`, runs those of the functions of the script whose names contain this, and
/// prints the page.
pub fn write(only: Option<&str>) {
    let python = env::var("TEST_PEERS").expect("TEST_PEERS names a Python that has the packages");
    let text = page(&python, only);
    match only {
        Some(_) => print!("{text}"),
        None => fs::write(path(PAGE), text).expect("the documentation is written"),
    }
}

/// Compares our lines of the page with our own page, and its calls with the situations.
pub fn check_page() -> Result<(), Failed> {
    let (ours, page) = (text_of(OURS), text_of(PAGE));
    for situation in &SITUATIONS {
        let lines = head(situation) + &our_lines(situation, &ours);
        if !page.contains(&lines) {
            return Err(format!("write the page again: cargo xtask peers\n{lines}").into());
        }
        for (call, _) in situation.peers {
            if !page.contains(&format!("\n| {call} |")) {
                return Err(format!("{call}: write the page again: cargo xtask peers").into());
            }
        }
    }
    Ok(())
}

/// Checks that the script has the functions of all situations.
pub fn check_script() -> Result<(), Failed> {
    let script = text_of(SCRIPT);
    for (_, function) in SITUATIONS.iter().flat_map(|situation| situation.peers) {
        if !script.contains(&format!("\ndef {function}():")) {
            return Err(format!("{SCRIPT} has no {function}").into());
        }
    }
    Ok(())
}

/// A file of the workspace.
fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(file)
}

fn text_of(file: &str) -> String {
    fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn page(python: &str, only: Option<&str>) -> String {
    let ours = text_of(OURS);
    let mut text = start_of_page(python);
    for situation in &SITUATIONS {
        let mut lines = Vec::new();
        for (call, function) in situation.peers {
            if only.is_none_or(|name| function.contains(name)) {
                let cells = FAULTS.map(|(fault, _, _)| cell(python, function, fault));
                lines.push(format!("| {call} | {} |\n", cells.join(" | ")));
            }
        }
        if !lines.is_empty() {
            text += &head(situation);
            text += &our_lines(situation, &ours);
            text += &lines.concat();
        }
    }
    text
}

fn versions(python: &str) -> String {
    let output = Command::new(python).args(["-c", VERSIONS]).output();
    let output = output.expect("Python starts");
    assert!(output.status.success(), "the packages are installed");
    String::from_utf8(output.stdout).expect("text")
}

fn start_of_page(python: &str) -> String {
    format!(
        "\
# Faults of a rank, beside other packages

The tables show what the other ranks get when one rank fails: in mpisync, and in the Python packages whose ideas it brings to
Rust. `cargo xtask peers` runs each cell of the packages, with 4 ranks on one node, and writes this page; the lines of
mpisync are those of [faults.md](faults.md). Used are {packages} (`mpi4py.util.sync`) and
{mpi}. The launcher lets the other ranks live when one dies.

- *raises or panics*: the rank raises an exception that nobody catches, and a `with` block ends on the way.
- *returns*: it returns from its `main`, and a `with` block ends on the way. Then it waits for the others in `MPI_Finalize`.
- *is killed*: by `SIGKILL`. *calls `exit(0)`*: `os._exit(0)`, without destructors.
- *is stopped*: by `SIGSTOP`, and `SIGCONT` five seconds later.
- *leaks*: it takes what it has without a `with` block or drops no guard, and makes no further call.

The outcomes:

- *goes on*: the call succeeds, after `SIGCONT` if the rank is stopped.
- a name: the call returns this error, or raises this exception.
- *report*: the call waits, and the library prints what it waits for.
- *the job ends*: all ranks are ended.
- **hangs**: after {seconds} seconds at least one rank still waits, and nothing is printed.
",
        packages = versions(python),
        mpi = env::var("TEST_MPI_NAME").expect("TEST_MPI_NAME names the MPI"),
        seconds = LONGEST_WAIT.as_secs(),
    )
}

fn head(situation: &Situation) -> String {
    let titles = FAULTS.map(|(_, title, _)| title).join(" | ");
    format!(
        "\n## The rank {}\n\n| the others: | {titles} |\n|{}\n",
        situation.title,
        " --- |".repeat(1 + FAULTS.len())
    )
}

/// The lines of our own table in the columns of this page.
fn our_lines(situation: &Situation, table: &str) -> String {
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .collect();
    let titles = rows.first().expect("faults.md has a table");
    let mut lines = String::new();
    for first in situation.ours {
        let row = rows.iter().find(|row| row[..3] == first[..]);
        let row = row.unwrap_or_else(|| panic!("faults.md has no line {first:?}"));
        let cells = FAULTS.map(|(_, _, title)| {
            let column = titles.iter().position(|found| *found == title);
            column.map_or("–", |column| row[column])
        });
        let [object, call, _] = first;
        lines += &format!("| mpisync, {object}: {call} | {} |\n", cells.join(" | "));
    }
    lines
}

/// Runs a cell.
fn cell(python: &str, function: &str, fault: &str) -> String {
    let script = path(SCRIPT);
    // Without files of compiled code beside the program.
    let program = [python, "-B", script.to_str().expect("text")];
    let launch = Launch::new(RANKS, [function, fault]).program(&program);
    let (seen, _) =
        observe(launch, false).unwrap_or_else(|error| panic!("{function}, {fault}: {error}"));
    let outcome = |seen: Seen| seen.outcome;
    let found: Option<BTreeSet<String>> = seen.into_iter().map(outcome).collect();
    let found = found.map(|found| found.into_iter().collect::<Vec<_>>().join(" or "));
    let outcome = found.unwrap_or_else(|| "**hangs**".to_owned());
    println!("{function}, {fault}: {outcome}");
    outcome
}
