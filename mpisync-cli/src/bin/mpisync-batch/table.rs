//! What `mpisync-batch status` shows to a reader.

use crate::limits::Limits;
use crate::look::Look;
use crate::pace::Pace;
use crate::state_directory::StateDirectory;
use anstyle::Style;
use mpisync::batch::State;
use mpisync::batch::directory::Directory;
use mpisync_cli::columns::{Fit, columns};
use mpisync_cli::line::{BAD, BUSY, FAINT, GOOD, Line, ODD, PLAIN, TITLE};
use mpisync_cli::screen::COLUMNS;
use mpisync_cli::text::{counted, end_of, name_line, shortened, text_line};
use mpisync_cli::time::{about, percent, rate, rounded};
use std::time::Duration;

/// The columns of a reason.
const REASON: usize = 200;

/// The states in the order in which they are shown, with their letters in the bar.
const STATES: [(State, Style, char); 5] = [
    (State::Done, GOOD, '#'),
    (State::Failed, BAD, 'x'),
    (State::Running, BUSY, '>'),
    (State::Open, FAINT, '.'),
    (State::Invalid, ODD, '!'),
];

/// The lines.
pub fn table(
    argument: &StateDirectory,
    directory: &Directory,
    look: &Look,
    fit: Fit,
    limits: Limits,
) -> Vec<Line> {
    let all = directory.names().len();
    let number = format!(": {}", counted(all, "task"));
    let path = argument.to_string();
    let path = match fit {
        // The end of a path says more than its beginning.
        Fit::Cut(most) => end_of(&path, most.saturating_sub(number.len())),
        Fit::Whole | Fit::Wrap(_) => path,
    };
    let title = Line::new().with(TITLE, path).with(PLAIN, number);
    let mut lines = fit.lines(&title);
    let most = match fit {
        Fit::Whole => COLUMNS,
        Fit::Cut(most) | Fit::Wrap(most) => most.min(COLUMNS),
    };
    lines.push(bar(look, most));
    let counts = STATES.map(|(state, style, letter)| count(look, state, style, letter));
    lines.extend(columns(&counts, fit));
    if let Some(pace) = Pace::of(look) {
        lines.extend(fit.lines(&pace_line(&pace)));
    }
    let name = |task: usize| Line::from(&directory.names()[task]);
    let running = look
        .tasks_in(State::Running)
        .take(limits.running)
        .map(|task| {
            let (by, style) = runner(argument, directory, task);
            vec![
                name(task),
                age(look, task, "for "),
                Line::new().with(style, by),
            ]
        });
    let all = look.summary.running;
    section(&mut lines, "running", running.collect(), all, fit);
    let failed = look.failed_last(limits.failed).into_iter().map(|task| {
        let reason = reason_of(directory.reason(task));
        vec![name(task), ago(look, task), Line::new().with(BAD, reason)]
    });
    let all = look.summary.failed;
    section(&mut lines, "failed last", failed.collect(), all, fit);
    let invalid = look
        .tasks_in(State::Invalid)
        .take(limits.invalid)
        .map(|task| {
            let problem = match &look.tasks[task].problem {
                Some(error) => argument.in_words(error),
                None => "its state says so".to_owned(),
            };
            vec![name(task), Line::new().with(ODD, problem)]
        });
    let all = look.summary.invalid;
    section(&mut lines, "invalid", invalid.collect(), all, fit);
    lines
}

/// All tasks as one bar. A state that any task is in has a column at least, if there is room.
fn bar(look: &Look, most: usize) -> Line {
    let room = most.saturating_sub("  []".len()) as u64;
    let total = look.summary.total().max(1);
    let mut widths = STATES.map(|(state, ..)| match number(look, state) {
        0 => 0,
        number => (number * room / total).max(1),
    });
    // The widest one takes what is missing, and gives what is too much.
    let used: u64 = widths.iter().sum();
    if let Some(widest) = widths.iter_mut().max() {
        *widest = (*widest + room).saturating_sub(used);
    }
    let mut line = Line::from("  [");
    for ((_, style, letter), width) in STATES.iter().zip(widths) {
        line.add(*style, letter.to_string().repeat(width as usize));
    }
    line.with(PLAIN, "]")
}

fn number(look: &Look, state: State) -> u64 {
    match state {
        State::Open => look.summary.open,
        State::Running => look.summary.running,
        State::Done => look.summary.done,
        State::Failed => look.summary.failed,
        State::Invalid => look.summary.invalid,
    }
}

/// The row of a state: its name, number and share, and when a task came to it.
fn count(look: &Look, state: State, style: Style, letter: char) -> Vec<Line> {
    let number = number(look, state);
    let style = if number > 0 { style } else { FAINT };
    let share = percent(number, look.summary.total());
    let ages = || look.tasks_in(state).filter_map(|task| look.age(task));
    let when = match state {
        State::Done | State::Failed => ages().min().map(|age| format!("last {} ago", about(age))),
        State::Running => ages()
            .max()
            .map(|age| format!("longest for {}", about(age))),
        State::Open | State::Invalid => None,
    };
    vec![
        Line::new().with(style, format!("{letter} {state:<7} {number:>10}")),
        Line::new().with(PLAIN, format!("{share:>7}")),
        Line::new().with(FAINT, when.unwrap_or_default()),
    ]
}

fn pace_line(pace: &Pace) -> Line {
    let mut line = Line::from("  ").with(TITLE, rate(pace.rate));
    line.add(PLAIN, format!(" in the last {}", about(pace.within)));
    match pace.left {
        Some(left) => line.with(PLAIN, format!(", about {} left", rounded(left))),
        None => line.with(PLAIN, ", and no task runs"),
    }
}

/// Appends a section with some of `all` tasks.
fn section(lines: &mut Vec<Line>, title: &str, rows: Vec<Vec<Line>>, all: u64, fit: Fit) {
    if all == 0 {
        return;
    }
    lines.extend([Line::new(), Line::new().with(TITLE, title)]);
    lines.extend(columns(&rows, fit));
    let more = all.saturating_sub(rows.len() as u64);
    if more > 0 {
        lines.push(Line::new().with(FAINT, format!("  and {more} more")));
    }
}

fn age(look: &Look, task: usize, before: &str) -> Line {
    let age = look.age(task).map(|age| format!("{before}{}", about(age)));
    Line::new().with(FAINT, age.unwrap_or_default())
}

fn ago(look: &Look, task: usize) -> Line {
    let age = look
        .age(task)
        .map(|age: Duration| format!("{} ago", about(age)));
    Line::new().with(FAINT, age.unwrap_or_default())
}

/// The job that runs a task, with the number of the try if that is counted.
fn runner(argument: &StateDirectory, directory: &Directory, task: usize) -> (String, Style) {
    let (by, style) = match directory.claimant(task) {
        Ok(Some(by)) => (name_line(&by.to_string()), PLAIN),
        // The job may have ended it since its state was read.
        Ok(None) if !matches!(directory.state(task), Ok(State::Running)) => {
            return ("it has just ended".to_owned(), FAINT);
        }
        Ok(None) => ("no job that is known to live".to_owned(), ODD),
        Err(error) => (argument.in_words(&error), ODD),
    };
    match directory.tries(task) {
        0 => (by, style),
        tries => (format!("try {tries}: {by}"), style),
    }
}

fn reason_of(reason: Option<String>) -> String {
    let reason = reason.as_deref().unwrap_or("no reason was recorded");
    shortened(&text_line(reason.trim_end()), REASON)
}
