//! The progress bar of a job, on the terminal of its launcher.

use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use launcher::processes;
use mpisync_terminal::Terminal;

use crate::{Example, fresh};

const RANKS: usize = 3;
const ROWS: u16 = 24;

/// A sweep in a terminal of its own.
struct Sweep {
    terminal: Terminal,
    /// Where the script may write: its `$0`.
    log: String,
    program: &'static str,
}

impl Sweep {
    /// Runs a script that starts the job by `"$@"`. The terminal is that of the script.
    fn start(example: &Example, script: &str, columns: u16, tasks: u32) -> Self {
        let (sweep, log) = (fresh("sweep"), fresh("sweep.log"));
        let words = format!("--worker-size 1 --tasks {tasks}");
        let job = example.job(RANKS, &[&sweep], &words);
        let mut shell = Command::new("setsid");
        shell
            .args(["--ctty", "--wait", "sh", "-c", script, &log])
            .arg(job.get_program())
            .args(job.get_args());
        // Backtraces would push the bar off the screen.
        shell.env("RUST_BACKTRACE", "0");
        for (name, value) in job.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        Sweep {
            terminal: Terminal::start(shell, columns, ROWS),
            log,
            program: example.program,
        }
    }

    /// The lines with a bar. Each of them is full, so that what comes after it is on another line.
    #[track_caller]
    fn bars(&self, columns: u16) -> Vec<String> {
        let text = self.terminal.rows().join("\n");
        let bars = text.lines().filter(|line| line.contains("sweep: ["));
        let bars: Vec<String> = bars.map(str::to_owned).collect();
        for bar in &bars {
            assert!(bar.starts_with("sweep: ["), "{text}");
            assert_eq!(bar.chars().count(), usize::from(columns), "{text}");
        }
        bars
    }

    fn written(&self) -> String {
        let shown = self.terminal.shown();
        String::from_utf8_lossy(&shown.bytes).into_owned()
    }

    /// The ranks in the order in which they were started.
    fn ranks(&self) -> Vec<u32> {
        let is_rank = |process: &u32| {
            let program = fs::read_link(format!("/proc/{process}/exe"));
            program.is_ok_and(|program| program == Path::new(self.program))
        };
        let mut ranks = processes::descendants().unwrap();
        ranks.retain(is_rank);
        ranks.sort_unstable();
        ranks
    }
}

/// A test that has failed leaves its job.
impl Drop for Sweep {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("{}", self.terminal.text());
            let _ = processes::kill_descendants();
        }
    }
}

#[test]
fn a_bar_is_drawn_in_place_on_the_terminal_of_the_launcher() {
    let example = crate::example!("parameter_sweep");
    let job = r#""$@" < /dev/null"#;
    // A terminal that does not know its width counts as one of 80 columns.
    for (columns, before) in [
        (80, ""),
        (120, ""),
        (80, "NO_COLOR=1 "),
        (80, "stty cols 0; "),
    ] {
        let script = format!("{before}{job}");
        let mut sweep = Sweep::start(&example, &script, columns, 30);
        sweep.terminal.wait_for(|text| text.contains("sweep: ["));
        let bars = sweep.bars(columns);
        assert!(bars.len() == 1, "{bars:?}");
        assert_eq!(sweep.terminal.end(), Some(0));
        let bars = sweep.bars(columns);
        assert!(bars.len() == 1 && bars[0].contains("] 30/30"), "{bars:?}");
        assert!(bars[0].ends_with(" s"), "{bars:?}");
        let text = sweep.terminal.rows().join("\n");
        let last = "\ndone before: 0; done now: 30; failed: 0";
        assert!(text.trim_end().ends_with(last), "{text}");
        // Drawn several times, without colours.
        let written = sweep.written();
        assert!(written.matches("sweep: [").count() > 1, "{written:?}");
        assert!(!has_colours(&written), "{written:?}");
    }
}

#[test]
fn a_bar_ends_with_its_job() {
    let example = crate::example!("parameter_sweep");
    // The rank that draws is the first one.
    for victim in [0, RANKS - 1] {
        let mut sweep = Sweep::start(&example, r#""$@" < /dev/null"#, 80, 5000);
        sweep.terminal.wait_for(|text| text.contains(" left"));
        let ranks = sweep.ranks();
        assert_eq!(ranks.len(), RANKS, "{ranks:?}");
        kill(ranks[victim]);
        assert_ne!(sweep.terminal.end(), Some(0));
        // The launcher's report may follow.
        assert!(!sweep.bars(80).is_empty());
        let shown = sweep.terminal.shown();
        assert!(!shown.parser.screen().hide_cursor());
    }
    let mut sweep = Sweep::start(&example, r#""$@" < /dev/null"#, 80, 5000);
    sweep.terminal.wait_for(|text| text.contains(" left"));
    sweep.terminal.press("\u{3}");
    assert_ne!(sweep.terminal.end(), Some(0));
    assert!(!sweep.bars(80).is_empty());
}

#[test]
fn lines_are_written_where_a_bar_would_disturb() {
    let example = crate::example!("parameter_sweep");
    for script in [
        r#"TERM=dumb "$@" < /dev/null"#,
        r#"unset TERM; "$@" < /dev/null"#,
        // In the background the terminal belongs to the shell.
        r#"set -m; "$@" < /dev/null & wait $!"#,
        // Ranks have process groups of their own, so the terminal would stop them.
        r#"stty tostop; "$@" < /dev/null"#,
        r#""$@" < /dev/null 2> "$0"; cat "$0""#,
        r#""$@" < /dev/null 2>&1 | cat"#,
    ] {
        let mut sweep = Sweep::start(&example, script, 100, 10);
        assert_eq!(sweep.terminal.end(), Some(0), "{script}");
        let text = sweep.terminal.text();
        let line = "sweep: 10 done, 0 failed, 0 running of 10; ";
        assert!(text.contains(line), "{script}: {text}");
        let written = sweep.written();
        assert!(!written.contains("sweep: ["), "{script}: {written:?}");
        assert!(!written.contains('\u{1b}'), "{script}: {written:?}");
        let _ = fs::remove_file(&sweep.log);
    }
}

/// Whether a text has the escape sequence for colours.
fn has_colours(text: &str) -> bool {
    let mut sequences = text.split("\u{1b}[").skip(1);
    sequences.any(|sequence| {
        let rest =
            sequence.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == ';');
        rest.starts_with('m')
    })
}

fn kill(process: u32) {
    let mut kill = Command::new("kill");
    kill.args(["-s", "KILL", &process.to_string()]);
    assert!(kill.status().unwrap().success());
}
