//! The tests' side: starts cases on N ranks and never waits forever.

use std::env;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use launcher::{JobDirectory, processes};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::job;

/// The default limit of a job, or of a case in a job of several.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The time that a launcher has to end its ranks by itself.
const GRACE: Duration = Duration::from_secs(2);

/// The time that a job may last after all its ranks except one have left a verdict.
const RESPITE: Duration = Duration::from_secs(2);

/// The interval between checks of a job.
const POLL: Duration = Duration::from_millis(5);

/// The variable that names the directory of temporary files.
const TMPDIR: &str = "TMPDIR";

/// The file with the output of a job, in its directory.
const OUTPUT: &str = "output";

const NO_TABLE: &str = "the processes of a job are found";

/// A job about to be started.
pub struct Launch<'a> {
    ranks: usize,
    cases: Vec<String>,
    limit: Duration,
    survive: bool,
    beside_others: bool,
    wrapper: &'a [&'a str],
    program: Option<&'a [&'a str]>,
    environment: Vec<(&'a str, &'a str)>,
}

/// The outcome of a job.
#[derive(Debug)]
pub struct Ended {
    /// The exit status of the launcher; `None` if it had to be killed.
    pub status: Option<ExitStatus>,
    /// Standard output and standard error of all ranks.
    pub output: String,
    /// The verdict of each rank that left one, in the order of the ranks.
    pub verdicts: Vec<Option<String>>,
    /// The names of the processes that still ran when the job was killed.
    left: Vec<String>,
    took: Duration,
}

impl<'a> Launch<'a> {
    /// A job of these cases, by their full names, on `ranks` ranks.
    pub fn new<S: Into<String>>(ranks: usize, cases: impl IntoIterator<Item = S>) -> Self {
        Self {
            ranks,
            cases: cases.into_iter().map(Into::into).collect(),
            limit: LIMIT,
            survive: false,
            beside_others: false,
            wrapper: &[],
            program: None,
            environment: Vec::new(),
        }
    }

    /// Kills the job after `limit`.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets environment variables of the job.
    pub fn envs(mut self, variables: &[(&'a str, &'a str)]) -> Self {
        self.environment.extend(variables);
        self
    }

    /// Lets the job continue when a rank dies.
    pub fn survive_deaths(mut self) -> Self {
        self.survive = true;
        self
    }

    /// Lets other jobs run at the same time: the launcher and MPI keep their files in the job's directory, by which all that
    /// the launcher has started is found.
    pub fn beside_others(mut self) -> Self {
        self.beside_others = true;
        self
    }

    /// Has each rank started by this program and its arguments.
    pub fn by(mut self, wrapper: &'a [&'a str]) -> Self {
        self.wrapper = wrapper;
        self
    }

    /// Runs another program with these arguments. The directory of the job and the cases follow them.
    pub fn program(mut self, program: &'a [&'a str]) -> Self {
        self.program = Some(program);
        self
    }

    /// Runs the job to its end, or to the limit.
    ///
    /// # Panics
    /// If the launcher cannot be started.
    pub fn run(self) -> Ended {
        let limit = self.limit;
        self.start().finish(limit)
    }

    /// Starts the job.
    ///
    /// # Panics
    /// If the launcher cannot be started.
    pub fn start(self) -> Running {
        self.start_with(|_| ())
    }

    /// The same after `prepare`, which gets the directory of the job.
    ///
    /// # Panics
    /// If the launcher cannot be started.
    pub fn start_with(self, prepare: impl FnOnce(&Path)) -> Running {
        let directory = JobDirectory::new("mpisync-tests").expect("a temporary directory is made");
        prepare(directory.path());
        let log = File::create(directory.path().join(OUTPUT)).expect("the output file is made");
        let mut command = launcher::job(self.ranks, self.survive);
        if self.beside_others {
            command.env(TMPDIR, directory.path());
        }
        command
            .envs(self.environment.iter().copied())
            .args(self.wrapper);
        match self.program {
            Some(words) => command.args(words),
            None => command
                .arg(env::current_exe().expect("this program has a path"))
                .arg(job::OPTION),
        };
        command
            .arg(directory.path())
            .args(&self.cases)
            .stdout(log.try_clone().expect("a second handle of the output file"))
            .stderr(log);
        let child = command.spawn();
        let name = command.get_program().display();
        Running {
            launcher: child.unwrap_or_else(|error| panic!("cannot start {name}: {error}")),
            directory,
            status: None,
            ranks: self.ranks,
            survive: self.survive,
            beside_others: self.beside_others,
            start: Instant::now(),
        }
    }
}

/// A running job. Dropping this kills it.
pub struct Running {
    launcher: Child,
    directory: JobDirectory,
    status: Option<ExitStatus>,
    ranks: usize,
    survive: bool,
    beside_others: bool,
    start: Instant,
}

impl Running {
    /// Whether the launcher has ended, and with it the job.
    pub fn is_over(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.launcher.try_wait().expect("the launcher is our child");
        }
        self.status.is_some()
    }

    /// Whether it has ended successfully.
    pub fn has_succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Its output so far.
    pub fn output(&self) -> String {
        let output = fs::read(self.file(OUTPUT)).unwrap_or_default();
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Waits for a line of output. Returns false if the job ends without it or `limit` has passed.
    pub fn wait_for_line(&mut self, line: &str, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            let is_last_look = self.is_over() || Instant::now() >= deadline;
            if self.output().lines().any(|printed| printed == line) {
                return true;
            }
            if is_last_look {
                return false;
            }
            thread::sleep(POLL);
        }
    }

    /// Waits for the launcher and all its processes; kills the remaining ones after `limit`, or
    /// some time after the job has ended. No other job may run, except beside one that allows it.
    pub fn finish(mut self, limit: Duration) -> Ended {
        let mut deadline = Instant::now() + limit;
        let mut has_ended = false;
        let mut all_told = false;
        while !has_ended && Instant::now() < deadline {
            // A launcher may wait forever for a rank that has died on another host.
            if self.survive
                && !all_told
                && self.verdicts().iter().flatten().count() + 1 >= self.ranks
            {
                all_told = true;
                deadline = deadline.min(Instant::now() + RESPITE);
            }
            has_ended = self.is_over() && !self.has_left_some();
            if !has_ended {
                thread::sleep(POLL);
            }
        }
        let left = if has_ended { Vec::new() } else { self.left() };
        let left = left.into_iter().filter_map(processes::name).collect();
        if !has_ended && self.beside_others {
            self.kill();
        } else if !has_ended {
            processes::end_descendants(GRACE).expect(NO_TABLE);
            processes::reap_orphans(self.launcher.id()).expect(NO_TABLE);
            self.launcher.wait().expect("the launcher is our child");
        }
        let mut output = self.output();
        for report in self.read_all("failure").into_iter().flatten() {
            if !output.contains(&report) {
                output.push_str(&report);
            }
        }
        Ended {
            status: self.status.filter(|_| has_ended),
            left,
            output,
            verdicts: self.verdicts(),
            took: self.start.elapsed(),
        }
    }

    /// The verdict of each rank that has left one.
    pub fn verdicts(&self) -> Vec<Option<String>> {
        self.read_all("verdict")
    }

    /// The report of each rank that has failed.
    pub fn failures(&self) -> Vec<String> {
        self.read_all("failure").into_iter().flatten().collect()
    }

    /// A file of this job, which is removed with it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The contents of the file of this name of each rank that has written one.
    fn read_all(&self, name: &str) -> Vec<Option<String>> {
        let path = |rank| self.file(&format!("{name}.{rank}"));
        let ranks = 0..self.ranks;
        ranks
            .map(|rank| fs::read_to_string(path(rank)).ok())
            .collect()
    }

    /// Whether the launcher, which has ended, left running processes behind.
    fn has_left_some(&self) -> bool {
        if !self.beside_others {
            processes::reap_orphans(self.launcher.id()).expect(NO_TABLE);
        }
        !self.left().is_empty()
    }

    /// The processes of the job that run.
    fn left(&self) -> Vec<u32> {
        let left = match self.beside_others {
            true => processes::naming(&self.name()),
            false => processes::descendants(),
        };
        left.expect(NO_TABLE)
    }

    /// The directory as text, which is among the arguments of the job's processes, or in their environment.
    fn name(&self) -> String {
        self.directory.path().to_str().expect("text").to_owned()
    }

    /// Kills the launcher and all ranks with `SIGKILL`, and returns when none of them runs any more. Other jobs go on.
    pub fn kill(&mut self) {
        let launcher = self.launcher.id();
        // The launcher is a child of this process, and dead until it is asked about.
        let killed = processes::kill_naming(&self.name(), || {
            self.is_over();
        });
        let killed = killed.expect(NO_TABLE);
        self.status = Some(self.launcher.wait().expect("the launcher is our child"));
        for process in killed.into_iter().filter(|process| *process != launcher) {
            // An error means that it is gone already, or never was a child of this process.
            let _ = waitpid(Pid::from_raw(process as i32), WaitOptions::NOHANG);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over() {
            self.kill();
        }
    }
}

impl Ended {
    /// Whether the job ended by itself and successfully.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// How it ended, and its output, as text.
    pub fn report(&self) -> String {
        let how = match self.status {
            None => format!(
                "killed after {:.0?}: it hung, and {} still ran",
                self.took,
                self.left.join(", ")
            ),
            Some(status) => match status.signal() {
                Some(signal) => format!("launcher ended by signal {signal}"),
                None => format!("{status}"),
            },
        };
        format!(
            "{how}\n--- output ---\n{}--- end of output ---",
            self.output
        )
    }
}
