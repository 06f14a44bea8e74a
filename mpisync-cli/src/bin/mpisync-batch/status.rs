//! `mpisync-batch status`.

use crate::End;
use crate::look::Look;
use crate::state_directory::{StaleAfter, StateDirectory};
use anyhow::Result;
use mpisync::batch::directory::{Claimant, Directory, DirectoryError};
use mpisync::batch::{Meter, State, Summary};
use mpisync_cli::output::{Output, complain, json_lines, name_line, text_line};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The number of running tasks to show.
const RUNNING: usize = 20;
/// The number of failed tasks to show, and of invalid ones.
const FAILED: usize = 10;
/// The length of a reason in characters.
const REASON: usize = 200;

/// The shortest pause between two looks.
const INTERVAL: Duration = Duration::from_millis(500);
/// The shortest pause in units of the duration of a look: the files are for the jobs first.
const REST: u32 = 9;

/// Shows how many tasks are done, failed, running and open, which jobs run them, and why the last
/// ones failed
#[derive(clap::Args)]
pub struct Status {
    #[command(flatten)]
    directory: StateDirectory,
    /// Shows the progress until no work is left, as a bar or, without a terminal, in lines; then
    /// shows the rest
    #[arg(short, long)]
    watch: bool,
    /// Prints everything as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    stale_after: StaleAfter,
}

impl Status {
    pub fn run(&self) -> Result<End> {
        let (directory, look) = match self.watch {
            true => self.watch()?,
            false => self.look()?,
        };
        let mut output = Output::new();
        match self.json {
            true => {
                let json = serde_json::to_string_pretty(&in_json(&directory, &look))?;
                output.line(&json_lines(&json))?;
            }
            false => {
                output.line(&format!(
                    "{}: {} tasks",
                    name_line(&self.directory.to_string()),
                    directory.names().len()
                ))?;
                for line in table(&directory, &look) {
                    output.line(&line)?;
                }
            }
        }
        output.finish()?;
        Ok(end(&look.summary))
    }

    fn look(&self) -> Result<(Directory, Look)> {
        let directory = self.directory.open(self.stale_after.options())?;
        let look = Look::at(&directory);
        Ok((directory, look))
    }

    /// Watches until no work is left.
    fn watch(&self) -> Result<(Directory, Look)> {
        let mut directory = self.directory.open(self.stale_after.options())?;
        let mut meter: Option<Meter> = None;
        loop {
            let start = Instant::now();
            let look = Look::at(&directory);
            let now = look.summary;
            let begin = || Meter::new(self.directory.name(), &now);
            let mut shown = meter.take().unwrap_or_else(begin);
            if now.is_over() {
                // There may be more tasks by now, or the directory may be gone.
                let again = self.directory.open(self.stale_after.options())?;
                if again.names() == directory.names() {
                    shown.finish(&now);
                    return Ok((directory, look));
                }
                directory = again;
            }
            shown.show(&now);
            meter = Some(shown);
            std::thread::sleep(INTERVAL.max(start.elapsed().saturating_mul(REST)));
        }
    }
}

fn end(summary: &Summary) -> End {
    match summary {
        now if !now.is_over() => End::WorkLeft,
        now if now.done < now.total() => End::Failures,
        _ => End::Well,
    }
}

fn table(directory: &Directory, look: &Look) -> Vec<String> {
    let Summary {
        open,
        running,
        done,
        failed,
        invalid,
    } = look.summary;
    let counts = [
        (State::Done, done),
        (State::Failed, failed),
        (State::Running, running),
        (State::Open, open),
        (State::Invalid, invalid),
    ];
    let mut lines: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("  {state:<7} {count:>10}"))
        .collect();
    let name = |task: usize| name_line(&directory.names()[task]);
    let shown = look.running.iter().take(RUNNING);
    let tried = |task: usize, text: String| match directory.tries(task) {
        0 => text,
        tries => format!("try {tries}: {text}"),
    };
    let by = |task: usize| tried(task, claimant_text(directory.claimant(task)));
    let rows = shown.map(|&task| (name(task), by(task)));
    section(&mut lines, "running", rows.collect(), look.running.len());
    let shown = look.failed_last(directory, FAILED).into_iter();
    let rows = shown.map(|task| (name(task), shortened(directory.reason(task))));
    section(&mut lines, "failed last", rows.collect(), look.failed.len());
    let shown = look.invalid.iter().take(FAILED);
    let rows = shown.map(|(task, problem)| (name(*task), problem_of(problem.as_ref())));
    section(&mut lines, "invalid", rows.collect(), look.invalid.len());
    lines
}

/// Appends a section with some of `all` tasks: their names and a text for each.
fn section(lines: &mut Vec<String>, title: &str, rows: Vec<(String, String)>, all: usize) {
    if all == 0 {
        return;
    }
    lines.extend([String::new(), title.to_owned()]);
    let width = rows.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0);
    for (name, text) in &rows {
        let line = format!("  {name:width$}  {text}");
        lines.push(line.trim_end().to_owned());
    }
    if all > rows.len() {
        lines.push(format!("  and {} more", all - rows.len()));
    }
}

fn claimant_text(found: Result<Option<Claimant>, DirectoryError>) -> String {
    match found {
        Ok(Some(by)) => name_line(&by.to_string()),
        Ok(None) => "no job that is known to live".to_owned(),
        Err(error) => text_line(&error.to_string()),
    }
}

fn shortened(reason: Option<String>) -> String {
    let line = text_line(
        reason
            .as_deref()
            .unwrap_or("no reason was recorded")
            .trim_end(),
    );
    match line.char_indices().nth(REASON) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn problem_of(problem: Option<&DirectoryError>) -> String {
    match problem {
        Some(error) => text_line(&error.to_string()),
        None => "its state says so".to_owned(),
    }
}

/// All tasks of each kind, not only the first ones.
fn in_json(directory: &Directory, look: &Look) -> Value {
    let name = |task: usize| &directory.names()[task];
    let running = look.running.iter().map(|&task| {
        let by = directory.claimant(task).unwrap_or_else(|error| {
            complain(&error.to_string());
            None
        });
        let by = by.map(
            |by| json!({ "host": by.host, "pid": by.pid, "heartbeat_age": by.age.as_secs_f64() }),
        );
        json!({ "task": name(task), "by": by, "tries": directory.tries(task) })
    });
    let failed = look.failed.iter();
    let failed = failed.map(|&task| {
        let (reason, tries) = (directory.reason(task), directory.tries(task));
        json!({ "task": name(task), "reason": reason, "tries": tries })
    });
    let invalid = look.invalid.iter().map(|(task, problem)| {
        let problem = problem.as_ref().map(ToString::to_string);
        json!({ "task": name(*task), "problem": problem })
    });
    json!({
        "tasks": directory.names().len(),
        "summary": look.summary,
        "running": running.collect::<Value>(),
        "failed": failed.collect::<Value>(),
        "invalid": invalid.collect::<Value>(),
    })
}
