//! State directories, jobs that work on them, and the output of the program.

use mpisync::batch::State;
use mpisync::batch::directory::{Again, Claim, Claimed, Directory, Options};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A state directory that is removed at the end.
pub struct Survey(pub PathBuf);

impl Survey {
    /// A directory of tasks `t0`, `t1` and so on in these states.
    pub fn of(states: &[State]) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = format!("mpisync-batch-program-{}-{serial}", std::process::id());
        let survey = Survey(std::env::temp_dir().join(name));
        let names: Vec<_> = (0..states.len()).map(|task| format!("t{task}")).collect();
        let job = Directory::create(&survey.0, &names, quick()).expect("there is room");
        for (task, &state) in states.iter().enumerate() {
            match state {
                State::Open => {}
                State::Failed => settle(claim(&job, task), state),
                state => job.set(task, state).expect("nobody has it"),
            }
        }
        survey
    }

    pub fn job(&self) -> Directory {
        Directory::open(&self.0, quick()).expect("it is there")
    }

    pub fn state(&self, task: usize) -> State {
        self.job().state(task).expect("it can be read")
    }

    pub fn write(&self, file: &str, contents: &str) {
        fs::write(self.0.join(file), contents).expect("there is room");
    }

    /// Runs the program on it.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Told {
        Told::by(program(&self.0, arguments))
    }
}

impl Drop for Survey {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub const BATCH: &str = env!("CARGO_BIN_EXE_mpisync-batch");
pub const TOP: &str = env!("CARGO_BIN_EXE_mpisync-top");
pub const TRACE: &str = env!("CARGO_BIN_EXE_mpisync-trace");

/// A program without the variables that decide about colours: its output must not depend on who runs the tests.
pub fn plain(program: &str) -> Command {
    let mut program = Command::new(program);
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        program.env_remove(name);
    }
    program
}

/// `arguments`, with the directory after the first.
pub fn program(directory: &Path, arguments: &[&str]) -> Command {
    let mut program = plain(BATCH);
    let (command, rest) = arguments.split_first().expect("there is a command");
    program.arg(command).arg(directory).args(rest);
    program
}

/// The output of the program.
pub struct Told {
    pub code: Option<i32>,
    pub out: String,
    pub errors: String,
}

impl Told {
    #[track_caller]
    pub fn by(mut program: Command) -> Self {
        Self::from(program.output().expect("the program is there"))
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        let Told { out, errors, .. } = &self;
        assert_eq!(self.code, Some(code), "{out}\n{errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        self
    }

    pub fn has(&self, line: &str) -> bool {
        self.out.lines().any(|found| found == line)
    }

    /// Whether there is a line with this start and this end.
    pub fn has_like(&self, start: &str, end: &str) -> bool {
        let mut lines = self.out.lines();
        lines.any(|found| found.starts_with(start) && found.ends_with(end))
    }
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        Told {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).expect("it is text"),
            errors: String::from_utf8(output.stderr).expect("it is text"),
        }
    }
}

/// Tests need not survive a failure of the machine.
pub fn quick() -> Options {
    Options::default().durable(false)
}

pub fn claim(job: &Directory, task: usize) -> Claim {
    match job.claim(task, Again::default()).expect("it can be read") {
        Claimed::Mine(claim, _) => claim,
        other => panic!("it should be free, and is {other:?}"),
    }
}

/// With a reason, if it is a failure.
pub fn settle(claim: Claim, state: State) {
    let reason = format!("no input\nfor {}\tof\\n", claim.task());
    claim.settle(state, Some(&reason)).expect("it has it");
}

/// Another process, which claims tasks 0 and 1 and keeps them until it is killed.
pub struct Job(pub Child);

pub const CLAIM_IN: &str = "TEST_CLAIM_IN";

impl Job {
    pub fn in_directory(directory: &Path) -> Self {
        let this = std::env::current_exe().expect("it runs");
        let mut child = Command::new(this)
            .args(["--exact", "batch::another_process", "--nocapture"])
            .env(CLAIM_IN, directory)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let out = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let mut lines = out.lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("claimed")));
        Job(child)
    }

    pub fn kill(self) {}
}

impl Drop for Job {
    fn drop(&mut self) {
        // Only a test that has already failed can find it dead.
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}
