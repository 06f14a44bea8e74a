//! The ranks' side: the arguments of a case, and the loop that runs the cases.

use std::fs;
use std::io::{self, Write};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use crate::cases::{Cases, REGISTERED, Work};
use crate::panics;
use crate::scratch::Scratch;

/// The job of a case, as one rank sees it.
pub struct Job {
    /// All ranks.
    pub world: SimpleCommunicator,
    /// This rank in `world`.
    pub rank: i32,
    /// The number of ranks.
    pub size: i32,
    /// Whether the ranks are on several hosts.
    pub spans_hosts: bool,
    /// Memory that all ranks share, zero when the case starts.
    pub scratch: Scratch,
    directory: PathBuf,
}

impl Job {
    /// This number of rounds, or a tenth of it over several hosts, where a round takes far longer.
    pub fn rounds(&self, rounds: u64) -> u64 {
        match self.spans_hosts {
            true => rounds / 10,
            false => rounds,
        }
    }

    /// The path of a file of this job, which is removed when the test ends.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Clears the memory that all ranks share. Collective: no rank uses it before all have come, nor
    /// goes on before it is clear.
    pub fn clear_scratch(&self) {
        self.world.barrier();
        if self.rank == 0 {
            self.scratch.clear();
        }
        self.world.barrier();
    }

    /// Reports `verdict` to the test.
    pub fn tell(&self, verdict: &str) {
        let path = self.file(&format!("verdict.{}", self.rank));
        fs::write(&path, verdict).expect("a verdict is written");
    }

    /// Ends this process at once; for jobs in which MPI cannot be finalized because a rank is dead.
    pub fn leave(&self) -> ! {
        remove_mapped_files();
        // SAFETY: ends the process without MPI's exit handlers, which may wait for the dead rank.
        unsafe { libc::_exit(0) }
    }
}

/// Deletes the files in `/dev/shm` that this process maps: a job that loses a rank would leave them behind.
pub fn remove_mapped_files() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for path in maps
        .lines()
        .filter_map(|line| line.split_whitespace().nth(5))
    {
        if path.starts_with("/dev/shm/") {
            // Another survivor may have removed it already.
            let _ = fs::remove_file(path);
        }
    }
}

/// The first argument of a program that runs cases as a rank.
pub const OPTION: &str = "--job";

/// Runs the cases that the command line names: `--job DIRECTORY CASE...`.
///
/// Rank 0 prints `ok CASE` after each. A case that panics on any rank ends the whole job. A case that initializes MPI
/// itself is the only one, and each process prints `ok CASE`; a program prints what it likes.
pub fn run(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let directory = PathBuf::from(arguments.next().expect("a directory is named"));
    let cases: Vec<String> = arguments.collect();
    panics::install();
    if let [case] = &cases[..] {
        match find(case) {
            Some(Work::Process(work)) => {
                work();
                println!("ok {case}");
                return ExitCode::SUCCESS;
            }
            Some(Work::Program(run)) => return run(),
            _ => {}
        }
    }
    let universe = mpisync::initialize().expect("MPI is initialized once");
    let world = universe.world();
    let node = world.split_shared(world.rank());
    let job = Job {
        rank: world.rank(),
        spans_hosts: node.size() < world.size(),
        size: world.size(),
        scratch: Scratch::map(&directory.join("scratch")).expect("the scratch file is mapped"),
        directory,
        world,
    };
    for name in cases {
        let Some(Work::Job(case)) = find(&name) else {
            fail(&job, &name, "there is no such case");
        };
        job.clear_scratch();
        say(&job, &format!("run {name}"));
        if let Err(words) = panics::caught(AssertUnwindSafe(|| case(&job))) {
            fail(&job, &name, &words);
        }
        job.world.barrier();
        say(&job, &format!("ok {name}"));
    }
    ExitCode::SUCCESS
}

fn find(name: &str) -> Option<Work> {
    let mut cases = REGISTERED.iter().flat_map(Cases::named);
    cases.find(|(case, _)| case == name).map(|(_, work)| work)
}

fn say(job: &Job, words: &str) {
    if job.rank == 0 {
        println!("{words}");
        io::stdout().flush().expect("standard output is open");
    }
}

/// Ends the job. The file is for the test, because the output of a rank just before an abort can
/// get lost.
fn fail(job: &Job, case: &str, words: &str) -> ! {
    let report = format!("FAIL {case} on rank {}: {words}\n", job.rank);
    let path: &Path = &job.file(&format!("failure.{}", job.rank));
    let kept = fs::write(path, &report);
    // If the launcher has ended, standard error is closed, and only the file has the report.
    let _ = io::stderr().write_all(report.as_bytes());
    kept.expect("the directory of the job can be written to");
    job.world.abort(1)
}
