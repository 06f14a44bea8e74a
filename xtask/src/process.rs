//! Running other programs: asking one for its output, running one in the foreground, and running one that may hang,
//! which is killed with all its descendants when its time is up.
//!
//! The task runner adopts orphans, so that all that it has started stays below it. When it is interrupted it ends all of
//! that and starts nothing more; the programs that were waited for have failed then, and on the way out what was set up is
//! taken down with [`take_down`].

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::report::{say, typed};

/// How long a job may take to clean up after itself once it was told to end.
const GRACE: Duration = Duration::from_secs(5);

/// How often a job is looked at while it prints nothing.
const POLL: Duration = Duration::from_millis(50);

/// Whether the task runner was told to end.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Held while a program is started, and while all of them are ended.
static STARTING: Mutex<()> = Mutex::new(());

/// Has Ctrl-C, `SIGTERM` and `SIGHUP` end all that the task runner starts.
pub fn watch_for_signals() -> Result<()> {
    process_tree::adopt_orphans().context("orphans cannot be adopted")?;
    ctrlc::set_handler(|| {
        // A second Ctrl-C must not end what takes things down.
        if !INTERRUPTED.swap(true, Ordering::SeqCst) {
            let _nothing_starts = starting();
            if let Err(error) = process_tree::end_descendants(GRACE) {
                eprintln!("xtask: not all that was started could be ended: {error}");
            }
        }
    })
    .context("cannot watch for Ctrl-C")
}

/// Whether the task runner was told to end.
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Whether the task runner was told to end. All that it had started has ended then.
pub fn was_interrupted() -> bool {
    let _all_has_ended = starting();
    is_interrupted()
}

/// Removes adopted processes that have died from the table of the system, which a container's first process may not do.
pub fn reap_orphans() {
    let _nothing_starts = starting();
    // Without a table there was nothing to adopt either, and it has been said.
    let _ = process_tree::reap_orphans(0);
}

fn starting() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a program, unless the task runner was told to end.
pub fn start(command: &mut Command) -> Result<Child> {
    let _alone = starting();
    if is_interrupted() {
        bail!("interrupted");
    }
    let child = command.spawn();
    child.with_context(|| format!("cannot start {}", typed(command)))
}

/// What a program printed (stdout, then stderr) if it could be started and succeeded.
pub fn output_of(command: &mut Command) -> Option<String> {
    let output = output(command).ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    output
        .status
        .success()
        .then(|| text(&output.stdout) + &text(&output.stderr))
}

/// What became of a program that reads nothing.
pub fn output(command: &mut Command) -> Result<Output> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(start(command)?.wait_with_output()?)
}

/// Runs a program that takes down what was set up, also after the task runner was told to end. What it says is of no
/// interest: it may be about what was not there yet.
pub fn take_down(command: &mut Command) {
    let _all_has_ended = starting();
    // In a process group of its own Ctrl-C does not reach it.
    let _ = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .status();
}

/// Runs a program in the foreground and says which one.
pub fn run(command: &mut Command) -> Result<()> {
    say(typed(command));
    run_quietly(command)
}

/// Runs a program in the foreground.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    succeeded(start(command)?.wait()?)
}

/// Runs a program that may hang: after `limit` it and all that it started are killed, which is [`Late`]. What it prints on
/// stdout is passed on line by line to `line`.
pub fn run_job(command: &mut Command, limit: Duration, mut line: impl FnMut(&str)) -> Result<()> {
    say(typed(command));
    let begin = Instant::now();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0);
    let mut child = start(command)?;
    let lines = lines_of(&mut child);
    // No deadline where the limit is beyond what the clock can count.
    let deadline = begin.checked_add(limit);
    match pass_lines(&mut child, &lines, deadline, &mut line)? {
        Some(status) => succeeded(status),
        None => {
            process_tree::end_descendants(GRACE)?;
            child.wait()?;
            Err(Late(limit).into())
        }
    }
}

/// A job that was not done in time, and was killed.
#[derive(Debug)]
pub struct Late(Duration);

impl std::error::Error for Late {}

impl std::fmt::Display for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = self.0.as_secs();
        write!(f, "killed, because it was not done after {limit} s")
    }
}

/// Runs a program, and kills it and all its descendants with SIGKILL as soon as it is time. That it ends before is an error.
pub fn kill_job(
    command: &mut Command,
    limit: Duration,
    mut is_time: impl FnMut() -> bool,
) -> Result<()> {
    say(typed(command));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0);
    let mut child = start(command)?;
    let outcome = wait_to_kill(&mut child, limit, &mut is_time);
    let killed = process_tree::kill_descendants()?;
    child.wait()?;
    outcome?;
    say(format!("killed, {killed} processes"));
    Ok(())
}

fn wait_to_kill(
    child: &mut Child,
    limit: Duration,
    is_time: &mut impl FnMut() -> bool,
) -> Result<()> {
    let start = Instant::now();
    while !is_time() {
        if let Some(status) = child.try_wait()? {
            bail!("it ended before it was killed: {status}");
        }
        if start.elapsed() >= limit {
            bail!("it was not far enough after {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Hands lines on until the child has ended (then its exit status is returned) or the deadline is past.
fn pass_lines(
    child: &mut Child,
    lines: &mpsc::Receiver<String>,
    deadline: Option<Instant>,
    line: &mut impl FnMut(&str),
) -> Result<Option<ExitStatus>> {
    let mut drain_until = None;
    while !is_over(deadline) {
        match lines.recv_timeout(POLL) {
            Ok(text) => line(&text),
            // A program may close its stdout long before it ends.
            Err(mpsc::RecvTimeoutError::Disconnected) => return wait_until(child, deadline),
            // And its stdout may outlive it, in the hands of a process that it left behind.
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if let Some(status) = child.try_wait()? {
                    let until = *drain_until.get_or_insert(Instant::now() + GRACE);
                    if Instant::now() >= until {
                        return Ok(Some(status));
                    }
                }
            }
        }
    }
    Ok(None)
}

/// Passes a line on to the task runner's own stdout.
pub fn pass_on(line: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away (`| head`) must not end the job half-way.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn lines_of(child: &mut Child) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    let stdout = child.stdout.take();
    thread::spawn(move || {
        let Some(stdout) = stdout else { return };
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                break;
            }
        }
    });
    lines
}

fn is_over(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

fn wait_until(child: &mut Child, deadline: Option<Instant>) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if is_over(deadline) {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn succeeded(status: ExitStatus) -> Result<()> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => bail!("failed with exit code {code}"),
        (None, Some(signal)) => bail!("killed by signal {signal}"),
        (None, None) => bail!("failed: {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, fs};

    /// Ending a job ends all that this process has started, so that only one test may have something running.
    fn alone() -> MutexGuard<'static, ()> {
        static ALONE: Mutex<()> = Mutex::new(());
        process_tree::adopt_orphans().unwrap();
        ALONE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_is_there_only_when_the_program_succeeds() {
        let _alone = alone();
        assert_eq!(
            output_of(&mut sh("echo a; echo b >&2")).as_deref(),
            Some("a\nb\n")
        );
        assert_eq!(output_of(&mut sh("echo a; exit 1")), None);
        assert_eq!(output_of(&mut Command::new("/no/such/program")), None);
    }

    #[test]
    fn a_job_hands_on_its_lines_and_its_exit_code() {
        let _alone = alone();
        let mut lines = Vec::new();
        let outcome = run_job(&mut sh("echo one; echo two; exit 3"), GRACE, |line| {
            lines.push(line.to_owned())
        });
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(outcome.unwrap_err().to_string(), "failed with exit code 3");
    }

    #[test]
    fn a_hung_job_is_killed_with_all_that_it_started() {
        let _alone = alone();
        let limit = Duration::from_millis(300);
        let mut children = Vec::new();
        let start = Instant::now();
        // One in its process group, one in a session of its own.
        let script = "sleep 1000 & echo $!; setsid sleep 1000 & echo $!; wait";
        let outcome = run_job(&mut sh(script), limit, |line| {
            children.push(line.parse().unwrap())
        });
        assert!(outcome.unwrap_err().is::<Late>());
        assert!(start.elapsed() < GRACE);
        assert_eq!(children.len(), 2);
        assert!(!children.into_iter().any(process_tree::is_running));
    }

    #[test]
    fn a_job_is_killed_with_its_children() {
        let _alone = alone();
        let dir = env::temp_dir().join(format!("xtask-kill-{}", std::process::id()));
        let script = format!("sh -c 'echo $$ > {0}; sleep 1000' & wait", dir.display());
        let started = || fs::read_to_string(&dir).is_ok_and(|pid| pid.ends_with('\n'));
        kill_job(&mut sh(&script), GRACE, started).unwrap();
        let child = fs::read_to_string(&dir).unwrap().trim().parse().unwrap();
        fs::remove_file(&dir).unwrap();
        assert!(!process_tree::is_running(child));
        let too_early = kill_job(&mut sh("exit 3"), GRACE, || false);
        assert!(
            too_early
                .unwrap_err()
                .to_string()
                .contains("before it was killed")
        );
    }
}
