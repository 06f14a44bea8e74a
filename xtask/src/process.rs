//! Running other programs: to get the output of one, to run one in the foreground, and to run one that may hang, which is
//! killed with all its descendants when its time is up.
//!
//! The task runner adopts orphans, so that all that it has started stays below it. When it is interrupted it ends all of
//! that and starts nothing more; the programs that were waited for have failed then.

use std::collections::VecDeque;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use launcher::processes;

/// Whether the task runner was interrupted.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Held while a program is started, and while all of them are ended.
static STARTING: Mutex<()> = Mutex::new(());

/// Makes Ctrl-C, `SIGTERM` and `SIGHUP` end all that the task runner starts.
pub fn watch_for_signals() -> Result<()> {
    processes::adopt_orphans().context("orphans cannot be adopted")?;
    ctrlc::set_handler(|| {
        INTERRUPTED.store(true, Ordering::SeqCst);
        let _nothing_starts = starting();
        if let Err(error) = processes::end_descendants(processes::GRACE) {
            eprintln!("xtask: not all that was started could be ended: {error}");
        }
    })
    .context("cannot watch for Ctrl-C")
}

/// Whether the task runner was interrupted. All that it had started has ended then.
pub fn was_interrupted() -> bool {
    let _all_has_ended = starting();
    INTERRUPTED.load(Ordering::SeqCst)
}

/// Removes adopted processes that have died from the system's table, which a container's first process may not do.
pub fn reap_orphans() {
    let _nothing_starts = starting();
    // Without a table nothing was adopted either, and the error has been reported.
    let _ = processes::reap_orphans(0);
}

fn starting() -> MutexGuard<'static, ()> {
    STARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints a line of the task runner itself, unless it is interrupted. It goes to stderr: stdout belongs to the programs
/// that it runs.
pub fn say(text: impl AsRef<str>) {
    if !INTERRUPTED.load(Ordering::SeqCst) {
        eprintln!("xtask: {}", text.as_ref());
    }
}

/// The command line of `command` as one would type it.
pub fn typed(command: &Command) -> String {
    // The path of cargo does not matter: it is the one that runs this program.
    let program = Path::new(command.get_program());
    let program = if program.ends_with("cargo") {
        "cargo".as_ref()
    } else {
        program.as_os_str()
    };
    let words = [program].into_iter().chain(command.get_args());
    shell_words::join(words.map(|word| word.to_string_lossy()))
}

/// Starts a program, unless the task runner was interrupted.
pub fn start(command: &mut Command) -> Result<Child> {
    let _alone = starting();
    ensure!(!INTERRUPTED.load(Ordering::SeqCst), "interrupted");
    let child = command.spawn();
    child.with_context(|| format!("cannot start {}", typed(command)))
}

/// What a program that reads nothing printed (stdout, then stderr) if it could be started and succeeded.
pub fn output_of(command: &mut Command) -> Option<String> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let Output {
        status,
        stdout,
        stderr,
    } = start(command).ok()?.wait_with_output().ok()?;
    let all = [stdout, stderr].concat();
    status
        .success()
        .then(|| String::from_utf8_lossy(&all).into_owned())
}

/// Prints the command line of a program and runs it in the foreground.
pub fn run(command: &mut Command) -> Result<()> {
    say(typed(command));
    let status = start(command)?.wait()?;
    ensure!(status.success(), "failed: {status}");
    Ok(())
}

/// Runs a program that may hang: after `limit` it is killed. All that it leaves behind is ended, too. Each line that it
/// prints on stdout is passed to `line`.
pub fn run_job(command: &mut Command, limit: Duration, line: impl FnMut(&str)) -> Result<()> {
    say(typed(command));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = start(command.process_group(0))?;
    match processes::follow(&mut child, limit, line)? {
        Some(status) if status.success() => Ok(()),
        Some(status) => bail!("failed: {status}"),
        None => bail!(
            "killed, because it had not ended after {} s",
            limit.as_secs()
        ),
    }
}

/// Runs tests as [`run_job`] does, and passes their lines on. Returns how many have passed, by what each line says. No test at
/// all is a failure.
pub fn run_tests(
    tests: &mut Command,
    limit: Duration,
    passed_in: impl Fn(&str) -> usize,
) -> Result<usize> {
    let mut passed = 0;
    run_job(tests, limit, |line| {
        pass_on(line);
        passed += passed_in(line);
    })?;
    match passed {
        0 => bail!("there is no test"),
        _ => Ok(passed),
    }
}

/// Runs a line of a shell that asks nothing. If it fails, the error names the line and the end of what it has printed.
pub fn run_line(line: &str) -> Result<()> {
    const QUOTED: usize = 8;
    let mut last = VecDeque::new();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec 2>&1; {line}")]);
    let outcome = run_job(&mut command, Duration::MAX, |line| {
        pass_on(line);
        if !line.trim().is_empty() {
            last.push_back(format!("    {line}"));
        }
        if last.len() > QUOTED {
            last.pop_front();
        }
    });
    outcome.map_err(|error| {
        let last: Vec<String> = last.into();
        anyhow!("`{line}` {error}; it ends with\n\n{}", last.join("\n"))
    })
}

/// Passes a line on to the task runner's own stdout.
pub fn pass_on(line: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away (`| head`) must not end the job half-way.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// For tests that start something: ending a job ends all that this process has started, so that only one test may have
/// something running.
#[cfg(test)]
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    processes::adopt_orphans().unwrap();
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_typed_command_can_be_pasted_into_a_shell() {
        let mut command = Command::new("mpiexec");
        command.args(["-n", "4", "/a dir/it's", ""]);
        assert_eq!(typed(&command), r"mpiexec -n 4 '/a dir/it'\''s' ''");
    }

    #[test]
    fn output_is_there_only_when_the_program_succeeds() {
        let _alone = alone();
        let both = output_of(&mut sh("echo a; echo b >&2"));
        assert_eq!(both.as_deref(), Some("a\nb\n"));
        assert_eq!(output_of(&mut sh("echo a; exit 1")), None);
        assert_eq!(output_of(&mut Command::new("/no/such/program")), None);
    }

    #[test]
    fn a_job_hands_on_its_lines_and_its_exit_code() {
        let _alone = alone();
        let mut lines = Vec::new();
        let mut command = sh("echo one; echo two; exit 3");
        let outcome = run_job(&mut command, processes::GRACE, |line| {
            lines.push(line.to_owned())
        });
        assert_eq!(lines, ["one", "two"]);
        assert_eq!(outcome.unwrap_err().to_string(), "failed: exit status: 3");
    }

    #[test]
    fn a_line_that_fails_is_quoted_with_the_end_of_its_output() {
        let _alone = alone();
        let error = run_line("seq 100 120; echo 'E: Unable to locate package x' >&2; exit 100");
        let error = error.unwrap_err().to_string();
        let start = "`seq 100 120; echo 'E: Unable";
        assert!(error.starts_with(start), "{error}");
        assert!(error.contains("failed: exit status: 100"), "{error}");
        assert!(error.contains("\n    114\n"), "{error}");
        assert!(!error.contains("113"), "{error}");
        assert!(error.ends_with("\n    E: Unable to locate package x"));
        assert!(run_line("true").is_ok());
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
        assert!(outcome.unwrap_err().to_string().contains("killed"));
        assert!(start.elapsed() < processes::GRACE);
        assert_eq!(children.len(), 2);
        assert!(!children.into_iter().any(processes::is_running));
    }
}
