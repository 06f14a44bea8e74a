//! `docs/faults.md`: the table for readers.

use std::fs;
use std::path::PathBuf;

use libtest_mimic::Failed;

use crate::fault::Fault;
use crate::table::{Row, TABLE, known_hang};

const START: &str = "\
# Faults of a rank

The table shows what the other ranks get when one rank fails, for each call that needs it. A test, `tests/tests/faults`,
runs each fault in each situation with 4 ranks on one node, and compares the outcome with this table. The launcher lets the
other ranks live when one dies, as the [guide](../mpisync/src/guide/errors.md) shows.

The faults:

- *panics*: the rank panics, and its `main` unwinds.
- *returns*: it returns an error from `main`, which drops its objects and the universe.
- *dies*: by `SIGKILL`, `SIGTERM`, `std::process::exit(0)`, `std::process::abort()` or a stack overflow.
- *is stopped*: `SIGSTOP`, and `SIGCONT` five seconds later.
- *is elsewhere*: it is in another call that all ranks make.
- *leaks*: it leaks its guard with `std::mem::forget`, and makes no further call.

The outcomes:

- *goes on*: the call succeeds, after `SIGCONT` if the rank is stopped.
- a name: the call returns this error, which names the rank. Forms that return no `Result` panic with its text.
- *report*: the call waits, and the library prints what it waits for.
- *the job ends*: all ranks are ended.

No rank waits for more than 10 seconds without one of these outcomes.

About a third of the cells, with all kinds of objects, also run over two hosts, where the rank is alone on the second one and
so its leader, and `MPISYNC_SILENCE` is 7. The outcomes are the same, but that after *dies* the others may get `LeaderDied` or
`HostSilent`. Other tests, `tests/tests/ranks/death/leader.rs`, kill the leader of either of two hosts that has another rank,
in each kind of call: all others get an error, at the latest after `MPISYNC_SILENCE`.
";

const COLUMNS: [(&str, &[Fault]); 6] = [
    ("panics", &[Fault::Panic]),
    ("returns", &[Fault::Error]),
    ("dies", &Fault::DEATHS),
    ("is stopped", &[Fault::Stop]),
    ("is elsewhere", &[Fault::Elsewhere]),
    ("leaks", &[Fault::Leak]),
];

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md")
}

/// Writes the file.
pub fn write() {
    fs::write(path(), text()).expect("the documentation is written");
}

/// Compares the file with the table.
pub fn check() -> Result<(), Failed> {
    let found = fs::read_to_string(path()).unwrap_or_default();
    if found == text() {
        return Ok(());
    }
    Err("docs/faults.md is not that of the table: cargo test -p mpisync-tests --test faults -- --write".into())
}

fn text() -> String {
    let titles = COLUMNS.map(|(title, _)| title).join(" | ");
    let mut text = format!("{START}\n| object | the other ranks | the rank | {titles} |\n");
    text += &format!("|{}\n", " --- |".repeat(3 + COLUMNS.len()));
    for row in TABLE {
        let entries = COLUMNS.map(|(_, faults)| entry(row, faults)).join(" | ");
        text += &format!(
            "| {} | {} | {} | {entries} |\n",
            row.object, row.others, row.victim
        );
    }
    text
}

/// What happens after these faults: the usual outcome, and the faults that hang.
fn entry(row: &Row, faults: &[Fault]) -> String {
    let expected = row.expected(faults[0]);
    if expected.is_empty() {
        return "–".to_owned();
    }
    let names = expected.iter().map(|outcome| match outcome {
        outcome if outcome.starts_with(char::is_uppercase) => format!("`{outcome}`"),
        outcome => (*outcome).to_owned(),
    });
    let usual = names.collect::<Vec<_>>().join(" or ");
    let hangs = faults
        .iter()
        .filter(|fault| known_hang(row.name, **fault).is_some());
    let hangs: Vec<&str> = hangs.map(|fault| fault.name()).collect();
    match hangs.len() {
        0 => usual,
        count if count == faults.len() => "**hangs**".to_owned(),
        _ => format!("{usual}, **hangs** after {}", hangs.join(", ")),
    }
}
