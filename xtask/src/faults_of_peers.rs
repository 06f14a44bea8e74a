//! `cargo xtask peers`: the faults of `docs/faults.md` in Python packages, as a table beside ours.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use launcher::processes;

use crate::launch::{Options, Toolbox};
use crate::mpi::Choice;
use crate::peers;
use crate::process::{say, start};
use crate::setup::Need;
use crate::workspace::Workspace;

/// The packages, as pip is to install them. The last one is what mpilock needs.
const PACKAGES: [&str; 5] = [
    "mpilock==2.2.1",
    "pshmem==1.3.5",
    "mpi-channels==0.1.4",
    "opentelemetry-api==1.45.2",
    "typing_extensions",
];

const SCRIPT: &str = "tests/peers/faults.py";
const PAGE: &str = "docs/faults-of-peers.md";
const OURS: &str = "docs/faults.md";

const RANKS: usize = 4;
const VICTIM: usize = RANKS - 1;

/// How long a job has until its fault.
const START: Duration = Duration::from_secs(30);

/// How long a rank may wait after the fault. One that waits longer hangs. Together with the start of a job it is less than
/// the 20 seconds that a job usually has.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a launcher may take to end a job.
const GRACE: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_millis(20);

/// The names of the faults in the script, the titles of their columns, and those in our table.
const FAULTS: [(&str, &str, &str); 6] = [
    ("raises", "raises or panics", "panics"),
    ("returns", "returns", "returns"),
    ("killed", "is killed", "dies"),
    ("exits", "calls `exit(0)`", "dies"),
    ("stopped", "is stopped", "is stopped"),
    ("leaks", "leaks", "leaks"),
];

/// What happens to a rank, and what the others do meanwhile.
struct Situation {
    /// What the rank does.
    title: &'static str,
    /// The first columns of lines of our table: object, what the others do, and what the rank does.
    ours: &'static [[&'static str; 3]],
    /// Calls of packages, and the functions of the script that make them.
    peers: &'static [(&'static str, &'static str)],
}

#[rustfmt::skip] // a table
const SITUATIONS: [Situation; 8] = [
    Situation {
        title: "has a lock, for which the others wait",
        ours: &[["controller", "`write`", "writes"], ["mutex", "`lock`", "holds it"]],
        peers: &[
            ("mpilock `write`", "mpilock_write"),
            ("pshmem `MPILock.lock`", "pshmem_lock"),
            ("mpi4py `Mutex.acquire`", "mpi4py_mutex"),
        ],
    },
    Situation {
        title: "has the only permit, for which the others wait",
        ours: &[["semaphore", "`acquire`", "holds the only permit"]],
        peers: &[("mpi4py `Semaphore.acquire`", "mpi4py_semaphore")],
    },
    Situation {
        title: "writes for all, and the others collect the value",
        ours: &[["`single_write`", "`collect`", "is the writer, in its closure"]],
        peers: &[("mpilock `single_write`, `collect`", "mpilock_fence")],
    },
    Situation {
        title: "does not come to a call of all ranks",
        ours: &[
            ["`single_write`", "`collect`", "is the writer, and does not come"],
            ["region", "`set`", "does not come"],
        ],
        peers: &[
            ("mpilock `single_write`, `collect`", "mpilock_fence_missing"),
            ("pshmem `MPIShared.set`", "pshmem_set"),
        ],
    },
    Situation {
        title: "has its turn, for which the others wait",
        ours: &[["turn", "`take` for the second time", "has its first turn"]],
        peers: &[("mpi4py `Sequential.begin`", "mpi4py_turn")],
    },
    Situation {
        title: "is the only one that could notify the others",
        ours: &[["condition", "`wait`", "is the only one that does not wait"]],
        peers: &[("mpi4py `Condition.wait`", "mpi4py_condition")],
    },
    Situation {
        title: "is the other end of a channel",
        ours: &[
            ["channel", "`put` into a full channel", "has the only consumer"],
            ["channel", "`take` from an empty channel", "has the only producer"],
        ],
        peers: &[
            ("mpi-channels `put` into a full channel", "channels_put"),
            ("mpi-channels `take` of a claimed message", "channels_take"),
        ],
    },
    Situation {
        title: "does not come to make the first object",
        ours: &[["any object", "make the first object", "does not come"]],
        peers: &[
            ("mpilock `sync`", "mpilock_make"),
            ("pshmem `MPILock`", "pshmem_make"),
            ("mpi-channels `RemoteChannel`", "channels_make"),
            ("mpi4py `Mutex`", "mpi4py_make"),
        ],
    },
];

/// `cargo xtask peers`
#[derive(Args)]
pub struct PeerFaults {
    #[command(flatten)]
    mpi: Choice,
    /// Only functions of the script whose names contain this, and write no page
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
}

impl PeerFaults {
    /// Runs all cells, and writes the page.
    pub fn run(self, workspace: &Workspace) -> Result<()> {
        let options = Options {
            mpi: self.mpi,
            timeout: 600,
        };
        let only = self.only.as_deref();
        options.with_each_mpi(workspace, Need::Mpi, None, |tools| {
            let text = page(&tools, only)?;
            match only {
                Some(_) => print!("{text}"),
                None => fs::write(workspace.root.join(PAGE), text)?,
            }
            Ok(())
        })
    }
}

fn page(tools: &Toolbox<'_>, only: Option<&str>) -> Result<String> {
    let python = peers::python(tools, &PACKAGES)?;
    let ours = fs::read_to_string(tools.workspace.root.join(OURS))?;
    let mut text = start_of_page(tools);
    for situation in &SITUATIONS {
        let mut lines = Vec::new();
        for (call, function) in situation.peers {
            if only.is_none_or(|name| function.contains(name)) {
                let mut cells = Vec::new();
                for (fault, _, _) in FAULTS {
                    let outcome = cell(tools, &python, function, fault)?;
                    say(format!("{function}, {fault}: {outcome}"));
                    cells.push(outcome);
                }
                lines.push(format!("| {call} | {} |\n", cells.join(" | ")));
            }
        }
        if !lines.is_empty() {
            text += &head(situation);
            text += &our_lines(situation, &ours)?;
            text += &lines.concat();
        }
    }
    Ok(text)
}

fn start_of_page(tools: &Toolbox<'_>) -> String {
    let packages: Vec<String> = PACKAGES[..3]
        .iter()
        .chain(&peers::FOUNDATION[..1])
        .map(|package| package.replace("==", " "))
        .collect();
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
        packages = packages.join(", "),
        mpi = tools.mpi,
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
fn our_lines(situation: &Situation, table: &str) -> Result<String> {
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .collect();
    let titles = rows.first().context("faults.md has a table")?;
    let mut lines = String::new();
    for first in situation.ours {
        let row = rows.iter().find(|row| row[..3] == first[..]);
        let row = row.with_context(|| format!("faults.md has no line {first:?}"))?;
        let cells = FAULTS.map(|(_, _, title)| {
            let column = titles.iter().position(|found| *found == title);
            column.map_or("–", |column| row[column])
        });
        let [object, call, _] = first;
        lines += &format!("| mpisync, {object}: {call} | {} |\n", cells.join(" | "));
    }
    Ok(lines)
}

/// Runs a cell.
fn cell(tools: &Toolbox<'_>, python: &Path, function: &str, fault: &str) -> Result<String> {
    // Names of sockets in it have to be short.
    let directory = std::env::temp_dir().join(format!("mpisync-peers-{}", std::process::id()));
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    fs::create_dir_all(&directory)?;
    let outcome = run(tools, python, function, fault, &directory);
    if outcome.is_ok() {
        fs::remove_dir_all(&directory)?;
    }
    outcome.with_context(|| format!("{function}, {fault}: see {}", directory.display()))
}

fn run(
    tools: &Toolbox<'_>,
    python: &Path,
    function: &str,
    fault: &str,
    directory: &Path,
) -> Result<String> {
    let family = tools.mpi.family;
    let mut job = Command::new(&tools.mpi.mpiexec);
    job.args(family.recovery_options())
        .args(["-n", &RANKS.to_string()])
        .args(family.recovery_wrapper())
        .arg(python)
        // Without files of compiled code beside the program.
        .arg("-B")
        .arg(tools.workspace.root.join(SCRIPT))
        .args([function, fault])
        .arg(directory);
    tools.equip(&mut job);
    let log = File::create(directory.join("output"))?;
    job.stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    let mut launcher = start(&mut job)?;
    let file = |name: &str| fs::read_to_string(directory.join(name)).ok();
    let others = || (0..VICTIM).map(|rank| file(&format!("verdict.{rank}")));
    let mut deadline = Instant::now() + START;
    let mut is_struck = false;
    let is_over = loop {
        let is_over = launcher.try_wait()?.is_some();
        if !is_struck && file("struck").is_some() {
            is_struck = true;
            deadline = Instant::now() + LONGEST_WAIT;
        }
        if is_over || Instant::now() > deadline || is_struck && others().all(|it| it.is_some()) {
            break is_over;
        }
        thread::sleep(POLL);
    };
    let outcomes: Vec<Option<String>> = others().collect();
    processes::end_descendants(GRACE)?;
    launcher.wait()?;
    ensure!(is_struck, "the fault did not happen");
    let end = if is_over { "the job ends" } else { "**hangs**" };
    let mut found: BTreeSet<String> = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(|| end.to_owned()))
        .filter(|outcome| outcome != "bystander")
        .collect();
    if found.contains("**hangs**") {
        found = BTreeSet::from(["**hangs**".to_owned()]);
    }
    Ok(found.into_iter().collect::<Vec<_>>().join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a file of the workspace.
    fn text_of(file: &str) -> String {
        let root = Workspace::find().unwrap().root;
        fs::read_to_string(root.join(file)).unwrap()
    }

    #[test]
    fn the_page_has_our_lines_and_those_of_all_calls() {
        let (ours, page) = (text_of(OURS), text_of(PAGE));
        for situation in &SITUATIONS {
            let lines = head(situation) + &our_lines(situation, &ours).unwrap();
            let advice = "write the page again: cargo xtask peers";
            assert!(page.contains(&lines), "{advice}\n{lines}");
            for (call, _) in situation.peers {
                assert!(page.contains(&format!("\n| {call} |")), "{call}: {advice}");
            }
        }
    }

    #[test]
    fn the_script_has_all_functions() {
        let script = text_of(SCRIPT);
        for (_, function) in SITUATIONS.iter().flat_map(|situation| situation.peers) {
            assert!(
                script.contains(&format!("\ndef {function}():")),
                "{function}"
            );
        }
    }
}
