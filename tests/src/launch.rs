//! The side of the tests: starts a program on N ranks and never waits for ever.

use std::env;
use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::family;

/// Whose `mpiexec` it is: the launchers spell some options differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mpi {
    /// Open MPI 4 or 5.
    OpenMpi,
    /// MPICH and those that share its launcher, Hydra.
    Mpich,
}

/// The launcher that the environment names, or the one on `PATH`.
struct Launcher {
    prefix: Vec<String>,
    mpi: Mpi,
}

static LAUNCHER: LazyLock<Launcher> = LazyLock::new(|| {
    let named = env::var("MPISYNC_MPIEXEC").unwrap_or_default();
    // A word a line, for paths with blanks; or, as one types it, all words in one line.
    let mut prefix: Vec<String> = if named.contains('\n') {
        named.lines().map(str::to_owned).collect()
    } else {
        named.split_whitespace().map(str::to_owned).collect()
    };
    if prefix.is_empty() {
        prefix.push("mpiexec".to_owned());
    }
    let mpi = match env::var("MPISYNC_MPI").as_deref() {
        Ok("openmpi") => Mpi::OpenMpi,
        Ok("mpich") => Mpi::Mpich,
        Ok(other) => panic!("MPISYNC_MPI is `openmpi` or `mpich`, not `{other}`"),
        Err(_) => ask_version(&prefix[0]),
    };
    Launcher { prefix, mpi }
});

/// Whose launcher the tests use.
pub fn family_of_launcher() -> Mpi {
    LAUNCHER.mpi
}

/// What root and more ranks than cores need; harmless elsewhere. What is set already stays.
pub const SETTINGS: [(&str, &str); 6] = [
    ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
    ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
    ("PRTE_ALLOW_RUN_AS_ROOT", "1"),
    ("PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
    ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
    ("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"),
];

/// Hydra 4.0 kills all ranks of a node when one of its children ends by a signal, whatever it was told: so its
/// children are shells that outlive their rank and end well. It tells them of the death with a signal of its own,
/// which is for MPICH.
const SHIELD: &str = r#"trap "" USR1; "$@"; exit 0"#;

/// Launches share few cores, so that only one runs at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Keeps launches away, which would take the processes that a test starts by itself for theirs.
pub fn one_at_a_time() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a launch may take unless a test says otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// A program about to be started on some ranks.
pub struct Launch<'a> {
    program: &'a Path,
    ranks: usize,
    arguments: Vec<String>,
    limit: Duration,
    survive: bool,
    environment: Vec<(&'a str, &'a str)>,
}

/// What became of a launch.
#[derive(Debug)]
pub struct Ended {
    /// How the launcher itself ended; `None` when it had to be killed.
    pub status: Option<ExitStatus>,
    /// Standard output and standard error of all ranks.
    pub output: String,
    /// Verdict of each rank that left one, in the order of the ranks.
    pub verdicts: Vec<Option<String>>,
    took: Duration,
}

impl<'a> Launch<'a> {
    /// `program` on `ranks` ranks.
    pub fn new(program: &'a str, ranks: usize) -> Self {
        Self {
            program: Path::new(program),
            ranks,
            arguments: Vec::new(),
            limit: LIMIT,
            survive: false,
            environment: Vec::new(),
        }
    }

    /// Arguments for the program, after the directory that every program gets first.
    pub fn args<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Kills the job after `limit`.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// A variable of the environment of the job.
    pub fn env(mut self, name: &'a str, value: &'a str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// Lets the job go on when a rank dies.
    pub fn survive_deaths(mut self) -> Self {
        self.survive = true;
        self
    }

    /// Runs the job to its end, or to the limit.
    ///
    /// # Panics
    /// When the launcher cannot be started.
    pub fn run(self) -> Ended {
        let _alone = one_at_a_time();
        let directory = Directory::new();
        let log = directory.0.join("output");
        let start = Instant::now();
        family::adopt_orphans();
        let mut child = self.start(&directory.0, &log);
        let verdict = |rank| directory.0.join(format!("verdict.{rank}"));
        // A launcher may wait for ever for a rank that has died on another host.
        let is_over = || {
            let said = (0..self.ranks).filter(|rank| verdict(*rank).exists());
            self.survive && said.count() + 1 >= self.ranks
        };
        let status = wait(&mut child, start + self.limit, is_over);
        let read =
            |name: &str, rank| fs::read_to_string(directory.0.join(format!("{name}.{rank}"))).ok();
        let mut output = String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
        for report in (0..self.ranks).filter_map(|rank| read("failure", rank)) {
            if !output.contains(&report) {
                output.push_str(&report);
            }
        }
        Ended {
            status,
            output,
            verdicts: (0..self.ranks).map(|rank| read("verdict", rank)).collect(),
            took: start.elapsed(),
        }
    }

    /// Starts the job, also beside others, to be killed at some time.
    ///
    /// # Panics
    /// When the launcher cannot be started.
    pub fn start_beside_others(self) -> Running {
        let directory = Directory::new();
        let log = directory.0.join("output");
        let launcher = self.start(&directory.0, &log);
        Running {
            launcher,
            directory,
            status: None,
        }
    }

    fn start(&self, directory: &Path, log: &Path) -> Child {
        let launcher = &*LAUNCHER;
        let log = File::create(log).expect("the output file is made");
        let mut command = Command::new(&launcher.prefix[0]);
        command.args(&launcher.prefix[1..]);
        if self.survive {
            match launcher.mpi {
                Mpi::OpenMpi => command.args(["--mca", "orte_enable_recovery", "1"]),
                Mpi::Mpich => command.arg("-disable-auto-cleanup"),
            };
        }
        for (name, value) in SETTINGS {
            if env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        command
            .envs(self.environment.iter().copied())
            .arg("-n")
            .arg(self.ranks.to_string());
        if self.survive && launcher.mpi == Mpi::Mpich {
            command.args(["sh", "-c", SHIELD, "sh"]);
        }
        command
            .arg(self.program)
            .arg(directory)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle of the output file"))
            .stderr(log)
            .process_group(0);
        match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot start {}: {error}", launcher.prefix[0]),
        }
    }
}

/// A job that runs. It is killed when this is dropped.
pub struct Running {
    launcher: Child,
    directory: Directory,
    status: Option<ExitStatus>,
}

impl Running {
    /// Whether the launcher has ended, and with it the job.
    pub fn is_over(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.launcher.try_wait().expect("the launcher is our child");
        }
        self.status.is_some()
    }

    /// Whether it has ended well.
    pub fn has_succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// All that it printed.
    pub fn report(&self) -> String {
        let output = fs::read(self.directory.0.join("output")).unwrap_or_default();
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Kills the launcher and all ranks with `SIGKILL`, and returns when none of them runs any more. Their parents need not be
    /// this process any more: the directory of the job, which is among their arguments, tells which they are.
    pub fn kill(&mut self) {
        let name = self.directory.0.to_str().expect("text").to_owned();
        let is_there = |process: &u32| {
            let arguments = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&arguments).into_owned();
            arguments
                .split('\0')
                .any(|argument| argument == name.as_str())
                && family::is_running(*process)
        };
        loop {
            let mut found = process_tree::all().expect("the processes of the job are found");
            found.retain(&is_there);
            if found.is_empty() {
                break;
            }
            for process in found {
                // SAFETY: plain system call; the process is one of this job.
                unsafe { libc::kill(process as i32, libc::SIGKILL) };
            }
            // The launcher is a child of this process, and dead until it is asked about.
            self.is_over();
            thread::sleep(Duration::from_millis(1));
        }
        self.status = Some(self.launcher.wait().expect("the launcher is our child"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Ended {
    /// Whether the job ended by itself and well.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// In words: how it ended, and all that it printed.
    pub fn report(&self) -> String {
        let how = match self.status {
            None => format!("killed after {:.0?}: it hung", self.took),
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

/// Which launcher `program` is, by its own words.
fn ask_version(program: &str) -> Mpi {
    let answer = Command::new(program)
        .arg("--version")
        .envs(SETTINGS)
        .output()
        .unwrap_or_else(|error| {
            panic!("cannot start {program}: {error}; name a launcher in MPISYNC_MPIEXEC")
        });
    let words = String::from_utf8_lossy(&answer.stdout).to_lowercase();
    if words.contains("open mpi") || words.contains("openrte") {
        Mpi::OpenMpi
    } else if words.contains("hydra") || words.contains("mpich") || words.contains("intel") {
        Mpi::Mpich
    } else {
        panic!("{program} --version says neither Open MPI nor MPICH; set MPISYNC_MPI\n{words}")
    }
}

/// Waits for the launcher and all that it started; kills what is left at the deadline, or some time after the job is over.
fn wait(launcher: &mut Child, deadline: Instant, is_over: impl Fn() -> bool) -> Option<ExitStatus> {
    const RESPITE: Duration = Duration::from_secs(2);
    let mut deadline = deadline;
    let mut was_over = false;
    while Instant::now() < deadline {
        if !was_over && is_over() {
            was_over = true;
            deadline = deadline.min(Instant::now() + RESPITE);
        }
        match launcher.try_wait().expect("the launcher is our child") {
            Some(status) if !family::has_left_some(launcher) => return Some(status),
            _ => thread::sleep(Duration::from_millis(5)),
        }
    }
    family::kill(launcher);
    None
}

/// A directory of its own for each launch, removed with everything in it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mpisync-tests-{}-{number}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary directory is made");
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A leftover directory harms nobody, and a panic here would hide the test's own.
        let _ = fs::remove_dir_all(&self.0);
    }
}
