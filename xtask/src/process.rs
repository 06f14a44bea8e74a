//! Running other programs: asking one for its output, running one in the foreground, and running one that may hang
//! in a process group of its own, which is killed as a whole when its time is up.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Once, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::report::{say, typed};

/// How long a job may take to clean up after itself once it was told to end.
const GRACE: Duration = Duration::from_secs(5);

/// How often a job is looked at while it prints nothing.
const POLL: Duration = Duration::from_millis(50);

/// The process group of the job that runs now; 0 when there is none.
static JOB: AtomicI32 = AtomicI32::new(0);

/// What a program printed (stdout, then stderr) if it could be started and succeeded.
pub fn output_of(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    output
        .status
        .success()
        .then(|| text(&output.stdout) + &text(&output.stderr))
}

/// Runs a program in the foreground and says which one.
pub fn run(command: &mut Command) -> Result<()> {
    say(typed(command));
    run_quietly(command)
}

/// Runs a program in the foreground.
pub fn run_quietly(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", typed(command)))?;
    succeeded(status)
}

/// Runs a program that may hang: after `limit` it and all its descendants are killed. What it prints on stdout is
/// passed on line by line to `line`.
pub fn run_job(command: &mut Command, limit: Duration, mut line: impl FnMut(&str)) -> Result<()> {
    say(typed(command));
    kill_job_on_ctrl_c()?;
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", typed(command)))?;
    let group = i32::try_from(child.id()).context("a process id that is no pid_t")?;
    JOB.store(group, Ordering::SeqCst);

    let lines = lines_of(&mut child);
    let ended = pass_lines(&mut child, &lines, start + limit, &mut line)?;
    if ended.is_none() {
        end_group(&mut child, group)?;
    }
    JOB.store(0, Ordering::SeqCst);
    match ended {
        Some(status) => succeeded(status),
        None => bail!(
            "killed, because it was not done after {} s",
            limit.as_secs()
        ),
    }
}

/// Runs a program, and kills it and all its descendants with SIGKILL as soon as it is time. That it ends before is an error.
pub fn kill_job(
    command: &mut Command,
    limit: Duration,
    mut is_time: impl FnMut() -> bool,
) -> Result<()> {
    say(typed(command));
    kill_job_on_ctrl_c()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", typed(command)))?;
    let group = i32::try_from(child.id()).context("a process id that is no pid_t")?;
    JOB.store(group, Ordering::SeqCst);
    let outcome = wait_to_kill(&mut child, limit, &mut is_time);
    // Launchers put the ranks into process groups of their own.
    let family = family(group);
    for pid in &family {
        // An error means that it is gone already.
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
    child.wait()?;
    JOB.store(0, Ordering::SeqCst);
    outcome?;
    say(format!("killed, {} processes", family.len()));
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

/// A process and all its descendants, those before whom they have started.
fn family(first: i32) -> Vec<i32> {
    let table = output_of(Command::new("ps").args(["-A", "-o", "pid=,ppid="])).unwrap_or_default();
    let pair = |line: &str| {
        let mut numbers = line.split_whitespace().map(|word| word.parse::<i32>().ok());
        Some((numbers.next()??, numbers.next()??))
    };
    let processes: Vec<(i32, i32)> = table.lines().filter_map(pair).collect();
    let mut family = vec![first];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        let children = processes.iter().filter(|(_, of)| *of == parent);
        family.extend(children.map(|(pid, _)| pid));
        next += 1;
    }
    family
}

/// Hands lines on until the child has ended (then its exit status is returned) or the deadline is past.
fn pass_lines(
    child: &mut Child,
    lines: &mpsc::Receiver<String>,
    deadline: Instant,
    line: &mut impl FnMut(&str),
) -> Result<Option<ExitStatus>> {
    let mut drain_until = None;
    while Instant::now() < deadline {
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

fn wait_until(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Asks a process group to end, and kills what is left of it a little later.
fn end_group(child: &mut Child, group: i32) -> Result<()> {
    // An error means that the group is gone already.
    let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
    wait_until(child, Instant::now() + GRACE)?;
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    child.wait()?;
    Ok(())
}

/// A job is not in the terminal's foreground group, so Ctrl-C has to be handed on to it.
fn kill_job_on_ctrl_c() -> Result<()> {
    static ONCE: Once = Once::new();
    let mut outcome = Ok(());
    ONCE.call_once(|| {
        outcome = ctrlc::set_handler(|| {
            let group = JOB.load(Ordering::SeqCst);
            if group != 0 {
                let _ = killpg(Pid::from_raw(group), Signal::SIGTERM);
                thread::sleep(Duration::from_millis(500));
                let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
            }
            std::process::exit(130);
        });
    });
    outcome.context("cannot watch for Ctrl-C")
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

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_is_there_only_when_the_program_succeeds() {
        assert_eq!(
            output_of(&mut sh("echo a; echo b >&2")).as_deref(),
            Some("a\nb\n")
        );
        assert_eq!(output_of(&mut sh("echo a; exit 1")), None);
        assert_eq!(output_of(&mut Command::new("/no/such/program")), None);
    }

    #[test]
    fn a_job_hands_on_its_lines_and_its_exit_code() {
        let mut lines = Vec::new();
        let outcome = run_job(&mut sh("echo one; echo two; exit 3"), GRACE, |line| {
            lines.push(line.to_owned())
        });
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(outcome.unwrap_err().to_string(), "failed with exit code 3");
    }

    #[test]
    fn a_hung_job_is_killed_with_its_children() {
        let limit = Duration::from_millis(300);
        let mut child = 0;
        let start = Instant::now();
        let outcome = run_job(&mut sh("sleep 1000 & echo $!; wait"), limit, |line| {
            child = line.parse().unwrap()
        });
        assert!(outcome.unwrap_err().to_string().starts_with("killed"));
        assert!(start.elapsed() < GRACE);
        // Process 1 may take a moment to reap the orphan.
        let gone =
            || nix::sys::signal::kill(Pid::from_raw(child), None).is_err() || is_zombie(child);
        while !gone() {
            assert!(start.elapsed() < GRACE, "the child is still alive");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_job_is_killed_with_all_that_it_started() {
        let dir = env::temp_dir().join(format!("xtask-kill-{}", std::process::id()));
        let script = format!("sh -c 'echo $$ > {0}; sleep 1000' & wait", dir.display());
        let started = || fs::read_to_string(&dir).is_ok_and(|pid| pid.ends_with('\n'));
        kill_job(&mut sh(&script), GRACE, started).unwrap();
        let child: i32 = fs::read_to_string(&dir).unwrap().trim().parse().unwrap();
        fs::remove_file(&dir).unwrap();
        let start = Instant::now();
        while kill(Pid::from_raw(child), None).is_ok() && !is_zombie(child) {
            assert!(start.elapsed() < GRACE, "the child is still alive");
            thread::sleep(Duration::from_millis(5));
        }
        let too_early = kill_job(&mut sh("exit 3"), GRACE, || false);
        assert!(
            too_early
                .unwrap_err()
                .to_string()
                .contains("before it was killed")
        );
    }

    fn is_zombie(pid: i32) -> bool {
        output_of(Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]))
            .is_some_and(|state| state.trim_start().starts_with('Z'))
    }
}
