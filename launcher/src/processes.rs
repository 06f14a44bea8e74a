//! The processes that a program has started, also those whose parents are gone.
//!
//! Ranks have process groups of their own, and some launchers end before their last rank does. A program that
//! [adopts orphans](adopt_orphans) keeps all that it started below itself, so that it can end all of it. The table of the
//! processes is read from `/proc`, because a minimal system has no `ps`.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{self, Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// How long a job may take to clean up after it was asked to end.
pub const GRACE: Duration = Duration::from_secs(5);

/// The process that [`follow`] does not end, or [`NOBODY`].
static APART: AtomicU32 = AtomicU32::new(NOBODY);

/// The number of no process.
const NOBODY: u32 = 0;

/// How often processes that are to end are looked at.
const POLL: Duration = Duration::from_millis(5);

/// How long a killed process may take to be gone: one in the middle of a system call ends after it.
const LAST: Duration = Duration::from_secs(5);

/// From now on processes whose parent has died become children of this one.
///
/// # Errors
/// If the system cannot do that.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// Whether a process runs. One that is dead, but that its parent has not asked about, does not.
pub fn is_running(process: u32) -> bool {
    Entry::read(process).is_some_and(|entry| entry.running)
}

/// All processes of this machine that `/proc` shows.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn all() -> io::Result<Vec<u32>> {
    Ok(table()?.iter().map(|entry| entry.process).collect())
}

/// The running processes that have `text` as an argument, or as the value of an environment variable with which they were
/// started.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn naming(text: &str) -> io::Result<Vec<u32>> {
    let has = |process: u32, file: &str, is: fn(&[u8], &[u8]) -> bool| {
        let words = fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
        words
            .split(|byte| *byte == 0)
            .any(|word| is(word, text.as_bytes()))
    };
    let is_value = |word: &[u8], text: &[u8]| {
        let name = word.strip_suffix(text);
        name.is_some_and(|name| {
            name.iter().position(|byte| *byte == b'=') == name.len().checked_sub(1)
        })
    };
    let mut found = all()?;
    found.retain(|&process| {
        (has(process, "cmdline", |word, text| word == text) || has(process, "environ", is_value))
            && is_running(process)
    });
    Ok(found)
}

/// The name of a process; none if it is gone.
pub fn name(process: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Kills all processes that [name](naming) `text` by `SIGKILL`, calls `look` each time before it looks again, and returns when
/// none of them runs any more. Returns those that it has killed.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn kill_naming(text: &str, mut look: impl FnMut()) -> io::Result<Vec<u32>> {
    let mut killed = Vec::new();
    loop {
        let found = naming(text)?;
        if found.is_empty() {
            killed.sort_unstable();
            killed.dedup();
            return Ok(killed);
        }
        for &process in &found {
            signal(process, Signal::SIGKILL);
        }
        killed.extend(found);
        look();
        thread::sleep(POLL);
    }
}

/// Has the program that `command` starts asked to end by `SIGTERM` when the thread that starts it ends, even if by `SIGKILL`
/// of its process.
pub fn end_with_parent(command: &mut Command) {
    let ask = || Ok(prctl::set_pdeathsig(Signal::SIGTERM)?);
    // SAFETY: between fork and exec the closure makes one system call; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(ask) };
}

/// Sends `SIGUSR1` to a process, upon which a rank reports for whom it waits, if it has called
/// `mpisync::report_waits_on_signal`.
pub fn ask_for_waits(process: u32) {
    signal(process, Signal::SIGUSR1);
}

/// Asks a process to end by `SIGTERM`.
pub fn ask_to_end(process: u32) {
    signal(process, Signal::SIGTERM);
}

/// Keeps `child` and all processes below it apart from the jobs that this process [follows](follow): they do not end with one.
/// None ends that. One process at a time can be kept apart.
pub fn keep_apart(child: Option<u32>) {
    APART.store(child.unwrap_or(NOBODY), Ordering::SeqCst);
}

/// All running processes below this one.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn descendants() -> io::Result<Vec<u32>> {
    descendants_without(NOBODY)
}

/// Those without `apart` and all below that.
fn descendants_without(apart: u32) -> io::Result<Vec<u32>> {
    let table = table()?;
    let mut family = vec![process::id()];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        let is_wanted = |entry: &&Entry| entry.parent == parent && entry.process != apart;
        let children = table.iter().filter(is_wanted);
        family.extend(children.map(|entry| entry.process));
        next += 1;
    }
    let is_running = |process: &u32| {
        let mut entries = table.iter();
        entries.any(|entry| entry.process == *process && entry.running)
    };
    Ok(family.into_iter().skip(1).filter(is_running).collect())
}

/// Removes adopted processes that have died from the table of the system; `child` is left to whoever has started it.
///
/// # Errors
/// If `/proc` is not mounted.
pub fn reap_orphans(child: u32) -> io::Result<()> {
    let me = process::id();
    for entry in table()? {
        if entry.parent == me && !entry.running && entry.process != child {
            // An error means that it is gone already.
            let _ = waitpid(pid(entry.process), Some(WaitPidFlag::WNOHANG));
        }
    }
    Ok(())
}

/// Asks all processes below this one to end by `SIGTERM`, and kills what is left of them after `grace`. Returns how many
/// there were at first. Those of another user are left alone.
///
/// # Errors
/// If `/proc` is not mounted, or a killed process does not end.
pub fn end_descendants(grace: Duration) -> io::Result<usize> {
    end_descendants_without(NOBODY, grace)
}

fn end_descendants_without(apart: u32, grace: Duration) -> io::Result<usize> {
    let first = descendants_without(apart)?;
    for &process in &first {
        signal(process, Signal::SIGTERM);
    }
    let deadline = Instant::now() + grace;
    while Instant::now() < deadline {
        if descendants_without(apart)?.is_empty() {
            return Ok(first.len());
        }
        thread::sleep(POLL);
    }
    kill_descendants_without(apart)?;
    Ok(first.len())
}

/// Kills all processes below this one by `SIGKILL`, and returns when they are gone. Returns how many it has killed. Those
/// of another user are left alone.
///
/// # Errors
/// If `/proc` is not mounted, or a killed process does not end.
pub fn kill_descendants() -> io::Result<usize> {
    kill_descendants_without(NOBODY)
}

fn kill_descendants_without(apart: u32) -> io::Result<usize> {
    let deadline = Instant::now() + LAST;
    let mut killed = Vec::new();
    // A process may start another while it is being looked for.
    loop {
        let mut left = descendants_without(apart)?;
        left.retain(|&process| signal(process, Signal::SIGKILL));
        if left.is_empty() {
            killed.sort_unstable();
            killed.dedup();
            return Ok(killed.len());
        }
        if Instant::now() >= deadline {
            let text = format!("processes that do not end although they are killed: {left:?}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        killed.extend(left);
        thread::sleep(POLL);
    }
}

/// Waits for a child whose standard output is a pipe, and passes on each line that it prints. When it has ended, or after
/// `limit`, ends all processes below this one but the one that is [kept apart](keep_apart). Returns none if the child had to be
/// ended.
///
/// # Errors
/// If `/proc` is not mounted, or a killed process does not end.
///
/// # Panics
/// If `line` panics, or the standard output of the child is not a pipe.
pub fn follow(
    child: &mut Child,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> io::Result<Option<ExitStatus>> {
    let stdout = child.stdout.take().expect("standard output is a pipe");
    thread::scope(|scope| {
        let ended = scope.spawn(|| wait(child, limit));
        for text in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            line(&String::from_utf8_lossy(&text));
        }
        ended.join().expect("waiting does not panic")
    })
}

fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let begin = Instant::now();
    let mut status = child.try_wait()?;
    while status.is_none() && begin.elapsed() < limit {
        thread::sleep(POLL);
        status = child.try_wait()?;
    }
    // What a child has left behind may hold its standard output, and Hydra's proxies spin when their launcher has failed.
    end_descendants_without(APART.load(Ordering::SeqCst), GRACE)?;
    child.wait()?;
    Ok(status)
}

/// Sends a signal to a process, unless that belongs to another user or is gone.
fn signal(process: u32, signal: Signal) -> bool {
    kill(pid(process), signal) == Ok(())
}

fn pid(process: u32) -> Pid {
    // The kernel counts to 2^22 at most.
    Pid::from_raw(process as i32)
}

/// What `/proc` says of a process.
struct Entry {
    process: u32,
    parent: u32,
    running: bool,
}

impl Entry {
    fn read(process: u32) -> Option<Self> {
        let line = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        Self::parse(process, &line)
    }

    fn parse(process: u32, line: &str) -> Option<Self> {
        // The name is in parentheses and may itself hold blanks and parentheses.
        let (_, fields) = line.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Self {
            process,
            parent,
            running: !matches!(state, "Z" | "X"),
        })
    }
}

/// All processes. A table without this process is none: killing nobody must not look like success.
fn table() -> io::Result<Vec<Entry>> {
    let entries = fs::read_dir("/proc")?;
    let table: Vec<Entry> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Entry::read)
        .collect();
    let me = process::id();
    if table.iter().any(|entry| entry.process == me) {
        return Ok(table);
    }
    let text = "/proc shows no processes, so that those of a job cannot be found; mount it: \
                mount -t proc proc /proc";
    Err(io::Error::new(io::ErrorKind::NotFound, text))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::process::Stdio;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// Ending all that this process has started ends what another test has started, too.
    pub(crate) fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn names_with_parentheses_and_blanks_are_no_trouble() {
        let entry = Entry::parse(7, "7 (a) Z 3 (b)) S 5 7 7 0 -1").unwrap();
        assert_eq!((entry.parent, entry.running), (5, true));
        assert!(!Entry::parse(7, "7 (x) Z 5 7").unwrap().running);
        assert!(Entry::parse(7, "").is_none());
    }

    #[test]
    fn processes_that_name_a_job_are_found_and_killed() {
        let _alone = alone();
        let directory = crate::JobDirectory::new("naming").unwrap();
        let name = directory.path().to_str().unwrap();
        let start = |text: &str| {
            Command::new("sleep")
                .arg("1000")
                .env("JOB", text)
                .spawn()
                .unwrap()
        };
        let mut sleeper = start(name);
        let mut other = start(&format!("{name}/other"));
        let mut shell = Command::new("sh")
            .args(["-c", "read line", "sh", name])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let killed = kill_naming(name, || ()).unwrap();
        assert!(killed.contains(&sleeper.id()) && killed.contains(&shell.id()));
        assert!(!killed.contains(&other.id()) && is_running(other.id()));
        sleeper.wait().unwrap();
        shell.wait().unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
    }

    #[test]
    fn all_descendants_are_found_and_ended() {
        let _alone = alone();
        adopt_orphans().unwrap();
        assert!(all().unwrap().contains(&process::id()));
        assert_eq!(end_descendants(Duration::ZERO).unwrap(), 0);

        // The shell ends at once, and leaves two orphans in sessions of their own.
        let script = "setsid sleep 1000 & setsid sleep 1000 & exit 0";
        let mut shell = Command::new("sh").args(["-c", script]).spawn().unwrap();
        shell.wait().unwrap();
        assert_eq!(descendants().unwrap().len(), 2);
        assert_eq!(end_descendants(Duration::from_secs(10)).unwrap(), 2);
        assert!(descendants().unwrap().is_empty());

        // This one takes no notice of being asked.
        let script = "trap '' TERM; echo; while :; do sleep 1000; done";
        let mut command = Command::new("sh");
        let mut deaf = command
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        io::Read::read_exact(deaf.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        assert!(is_running(deaf.id()));
        end_descendants(Duration::from_millis(50)).unwrap();
        assert!(descendants().unwrap().is_empty() && !is_running(deaf.id()));
        reap_orphans(deaf.id()).unwrap();
        deaf.wait().unwrap();
    }

    #[test]
    fn who_is_kept_apart_does_not_end_with_a_job() {
        let _alone = alone();
        adopt_orphans().unwrap();
        let mut apart = Command::new("sh");
        apart.args(["-c", "sleep 1000 & echo; wait"]);
        let mut apart = apart.stdout(Stdio::piped()).spawn().unwrap();
        io::Read::read_exact(apart.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        keep_apart(Some(apart.id()));
        let job = || {
            let mut job = Command::new("sh");
            job.args(["-c", "sleep 1000 & exit 0"]);
            let mut job = job.stdout(Stdio::piped()).spawn().unwrap();
            follow(&mut job, Duration::from_secs(10), |_| ()).unwrap()
        };
        assert!(job().unwrap().success());
        assert_eq!(descendants().unwrap().len(), 2, "the shell and its sleep");
        keep_apart(None);
        assert!(job().unwrap().success());
        assert!(descendants().unwrap().is_empty());
        apart.wait().unwrap();
    }
}
