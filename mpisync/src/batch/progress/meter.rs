//! The display of a progress: a bar on a terminal, lines elsewhere.

use crate::batch::Summary;
use crate::batch::progress::pace::{Pace, counts};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt;
use std::io;
use std::io::Write;
use std::time::{Duration, Instant};

/// The time between two drawings of a bar.
pub(super) const BAR: Duration = Duration::from_millis(100);
/// The default time between two lines.
pub(super) const LINES: Duration = Duration::from_secs(5);

/// Shows the progress of tasks on standard error: a bar if that is a terminal, and otherwise a line
/// every few seconds.
///
/// [`Batch::progress`](crate::Batch::progress) uses one. A program that has counts from elsewhere,
/// from a [`Directory`](crate::batch::directory::Directory) for example, makes one of its own.
/// Errors of writing are ignored.
///
/// ```
/// use mpisync::batch::{Meter, Summary};
///
/// let mut now = Summary { open: 2, ..Summary::default() };
/// let mut meter = Meter::new("survey", &now);
/// while now.open > 0 {
///     (now.open, now.done) = (now.open - 1, now.done + 1);
///     meter.show(&now);
/// }
/// meter.finish(&now); // survey: 2 done, 0 failed, 0 running of 2; …
/// ```
pub struct Meter {
    name: String,
    pace: Pace,
    pub(super) since: Instant,
    /// The time until all tasks were over.
    over: Option<Duration>,
    every: Duration,
    output: Output,
}

enum Output {
    Bar(ProgressBar),
    Lines {
        to: Box<dyn Write + Send>,
        at: Instant,
        /// The counts of the last output.
        written: Option<Summary>,
    },
}

impl Meter {
    /// Begins with these counts. Tasks that are done in them do not count for the rate and the time
    /// left. The name begins each line.
    pub fn new(name: impl Into<String>, first: &Summary) -> Self {
        let target = ProgressDrawTarget::stderr();
        match target.is_hidden() {
            true => Self::with_lines(name, first, Box::new(io::stderr())),
            false => Self::with_bar(name, first, target),
        }
    }

    pub(super) fn with_lines(
        name: impl Into<String>,
        first: &Summary,
        to: Box<dyn Write + Send>,
    ) -> Self {
        let (at, written) = (Instant::now(), None);
        Self::with(name.into(), first, Output::Lines { to, at, written })
    }

    pub(super) fn with_bar(
        name: impl Into<String>,
        first: &Summary,
        target: ProgressDrawTarget,
    ) -> Self {
        let name = name.into();
        let style = ProgressStyle::with_template("{prefix}: [{wide_bar}] {msg}");
        let bar = ProgressBar::with_draw_target(Some(first.total()), target)
            .with_style(style.expect("no unknown keys"))
            .with_prefix(name.clone());
        Self::with(name, first, Output::Bar(bar))
    }

    fn with(name: String, first: &Summary, output: Output) -> Self {
        Meter {
            name,
            pace: Pace { first: *first },
            since: Instant::now(),
            over: None,
            every: LINES,
            output,
        }
    }

    /// Sets the time between two lines, where there is no terminal. Defaults to 5 seconds.
    pub fn every(mut self, time: Duration) -> Self {
        self.set_every(time);
        self
    }

    pub(super) fn set_every(&mut self, time: Duration) {
        self.every = time;
    }

    /// The time until the counts are to be shown again.
    pub fn pause(&self) -> Duration {
        match &self.output {
            Output::Bar(_) => BAR,
            // With a period of zero there are lines all the time.
            Output::Lines { at, .. } => self.every.saturating_sub(at.elapsed()).max(BAR / 10),
        }
    }

    /// Shows these counts, unless the last ones were shown a short time ago.
    pub fn show(&mut self, now: &Summary) {
        self.note_end(now);
        match &self.output {
            Output::Bar(_) => self.draw(now, now.is_over()),
            Output::Lines { at, .. } if at.elapsed() < self.every => {}
            Output::Lines { .. } => self.write(now, now.is_over()),
        }
    }

    /// Shows these counts as the last ones, and leaves them on the screen.
    pub fn finish(mut self, now: &Summary) {
        self.note_end(now);
        self.draw(now, true);
        self.write(now, true);
        if let Output::Bar(bar) = &self.output {
            bar.abandon();
        }
    }

    /// Once all tasks are over, the rate stays the same.
    fn note_end(&mut self, now: &Summary) {
        self.over = match now.is_over() {
            true => self.over.or_else(|| Some(self.since.elapsed())),
            false => None,
        };
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.over.unwrap_or_else(|| self.since.elapsed())
    }

    fn draw(&self, now: &Summary, is_last: bool) {
        if let Output::Bar(bar) = &self.output {
            let (total, over) = (now.total(), now.total() - now.open - now.running);
            let pace = self.pace.text(now, self.elapsed(), is_last, ", ");
            bar.set_length(total);
            bar.set_position(over);
            // All figures in one call, because each call may draw.
            bar.set_message(format!("{over}/{total}, {}{pace}", counts(now)));
        }
    }

    fn write(&mut self, now: &Summary, is_last: bool) {
        let elapsed = self.elapsed();
        let Output::Lines { to, at, written } = &mut self.output else {
            return;
        };
        *at = Instant::now();
        // Once all tasks are over there is nothing new.
        if now.is_over() && *written == Some(*now) {
            return;
        }
        *written = Some(*now);
        let pace = self.pace.text(now, elapsed, is_last, "; ");
        let (name, counts, total) = (&self.name, counts(now), now.total());
        // In one call, because other processes write there, too. An error is ignored.
        let line = format!("{name}: {counts} of {total}{pace}\n");
        let _ = to.write_all(line.as_bytes()).and_then(|()| to.flush());
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("name", &self.name)
            .field("first", &self.pace.first)
            .field("is_bar", &matches!(self.output, Output::Bar(_)))
            .finish_non_exhaustive()
    }
}
