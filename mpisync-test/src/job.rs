//! The test's side: starts its own program on ranks, and never waits for them longer than the time limit.

use std::env;
use std::fs::{self, File};
use std::io;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use launcher::{JobDirectory, Launcher, processes};

use crate::record::{Record, Records};
use crate::settings;

/// The interval between two looks at a job.
const POLL: Duration = Duration::from_millis(10);
/// How long ranks may take to report for whom they wait.
const REPORT: Duration = Duration::from_secs(2);
/// How long the launcher may take to end its ranks before they are killed.
const GRACE: Duration = Duration::from_secs(2);
/// Settings of the library for ranks of tests, unless the environment has others: how many seconds a rank that has failed
/// waits for the others before it aborts the job, and that ranks which wait for each other fail.
const OF_RANKS: [(&str, &str); 2] = [("MPISYNC_GRACE", "2"), ("MPISYNC_DEADLOCK", "error")];
/// The file with the output of the launcher.
const OUTPUT: &str = "launcher";

/// A running job.
pub(crate) struct Job {
    launcher: Child,
    directory: JobDirectory,
    ranks: usize,
    start: Instant,
}

/// The outcome of a job.
pub(crate) struct Ended {
    /// The exit status of the launcher; none if the job was killed because its time was up.
    pub(crate) status: Option<ExitStatus>,
    /// How long it took.
    pub(crate) took: Duration,
    /// All ranks.
    pub(crate) ranks: Vec<Record>,
    /// What processes have printed that have not become ranks.
    pub(crate) strays: Vec<String>,
    /// What the launcher has printed.
    pub(crate) launcher: String,
    /// Whether the launcher does not belong to the MPI of the program.
    pub(crate) is_of_other_mpi: bool,
}

impl Job {
    /// Starts the test `name` of this program on `ranks` ranks.
    pub(crate) fn start(launcher: &Launcher, ranks: usize, name: &str) -> io::Result<Self> {
        let directory = JobDirectory::new("mpisync-test")?;
        let output = File::create(directory.path().join(OUTPUT))?;
        let mut command = launcher.job(ranks, false);
        command
            .arg(env::current_exe()?)
            .args(options(name))
            .arg("--test-threads=1")
            .env(settings::JOB, directory.path())
            .stdout(output.try_clone()?)
            .stderr(output);
        let is_unset = |(name, _): &(&str, &str)| env::var_os(name).is_none();
        command.envs(OF_RANKS.into_iter().filter(is_unset));
        processes::end_with_parent(&mut command);
        Ok(Self {
            launcher: command.spawn()?,
            directory,
            ranks,
            start: Instant::now(),
        })
    }

    /// Waits for the job. After `limit` it has all ranks report for whom they wait, and kills them.
    pub(crate) fn finish(mut self, limit: Option<Duration>) -> io::Result<Ended> {
        let mut status = self.wait(limit)?;
        let took = self.start.elapsed();
        let records = Records(self.directory.path().to_owned());
        if status.is_none() {
            self.ask_for_waits(&records);
        }
        // Before the launcher ends the ranks, which some of them report.
        let ranks = records.read(self.ranks);
        let is_late = status.is_none();
        if is_late {
            processes::ask_to_end(self.launcher.id());
            status = self.wait(Some(took + REPORT + GRACE))?;
        }
        let name = self.directory.path().display().to_string();
        let child = &mut self.launcher;
        // A launcher that is dead is there until it is asked about.
        processes::kill_naming(&name, || drop(child.try_wait()))?;
        if status.is_none() {
            self.launcher.wait()?;
        }
        let launcher = fs::read(self.directory.path().join(OUTPUT))?;
        Ok(Ended {
            status: status.filter(|_| !is_late),
            took,
            strays: records.strays(&ranks),
            ranks,
            launcher: String::from_utf8_lossy(&launcher).into_owned(),
            is_of_other_mpi: records.has_lonely_rank(),
        })
    }

    /// Waits until the launcher ends, but not longer than `limit` after its start.
    fn wait(&mut self, limit: Option<Duration>) -> io::Result<Option<ExitStatus>> {
        loop {
            let is_last_look = limit.is_some_and(|limit| self.start.elapsed() >= limit);
            let status = self.launcher.try_wait()?;
            if status.is_some() || is_last_look {
                return Ok(status);
            }
            thread::sleep(POLL);
        }
    }

    /// Has the ranks that have not ended report for whom they wait, and waits until they have.
    fn ask_for_waits(&self, records: &Records) {
        let before = records.read(self.ranks);
        let deadline = Instant::now() + REPORT;
        for record in before.iter().filter(|record| record.end.is_none()) {
            if let Some(process) = record.process {
                processes::ask_for_waits(process);
            }
        }
        let has_reported = |(before, now): (&Record, &Record)| {
            before.end.is_some() || now.output.len() > before.output.len()
        };
        while Instant::now() < deadline {
            thread::sleep(POLL);
            let now = records.read(self.ranks);
            if before.iter().zip(&now).all(has_reported) {
                // A report has several lines.
                thread::sleep(10 * POLL);
                return;
            }
        }
    }
}

/// The options of the harness of Rust that select this test.
fn options(name: &str) -> [&str; 4] {
    ["--exact", name, "--include-ignored", "--nocapture"]
}

/// The command that repeats a test, as one types it.
pub(crate) fn repeat(name: &str) -> String {
    let program = env::current_exe().unwrap_or_default();
    let directory = env::current_dir().unwrap_or_default();
    let words = [program.display().to_string()].into_iter();
    let words = words.chain(options(name).map(str::to_owned));
    let directory = directory.display().to_string();
    format!(
        "cd {} && {}",
        shell_words::quote(&directory),
        shell_words::join(words)
    )
}
