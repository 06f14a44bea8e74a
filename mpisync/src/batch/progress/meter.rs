//! The display of a progress: a bar on a terminal, lines elsewhere.

use crate::batch::Summary;
use crate::batch::progress::pace::{Pace, counts, troubles};
use crate::batch::progress::terminal::Terminal;
use console::{measure_text_width, truncate_str};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressStyle, TermLike};
use std::fmt;
use std::io;
use std::io::Write;
use std::time::{Duration, Instant};

/// The time between two drawings of a bar.
pub(super) const BAR: Duration = Duration::from_millis(100);
/// The default time between two lines.
pub(super) const LINES: Duration = Duration::from_secs(5);
/// The shortest such time, for those who show counts more often.
const OFTEN: Duration = Duration::from_millis(50);
/// The shortest bar, in columns. Figures are left out so that it fits.
const SHORTEST: usize = 10;

/// Shows the progress of tasks on standard error: a bar if that is a terminal, and otherwise a line
/// every few seconds.
///
/// Under MPI's launcher the standard error of a rank is a pipe, so the bar is drawn on the terminal
/// behind the standard error of the launcher. There are lines if that is no terminal, if the
/// launcher runs on another host or in the background, if the terminal stops processes in the
/// background that write (`stty tostop`), and if `TERM` is unset or `dumb`. The bar has no colours
/// and takes one line, whatever the width of the terminal. Output of the ranks in between begins on
/// a line of its own, and so does the launcher's report if the job is stopped. While the launcher is
/// suspended or in the background nothing is drawn. Show one bar at a time: a second one on the same
/// terminal takes its line. A meter that is dropped leaves the last bar on the screen.
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
    Bar {
        bar: ProgressBar,
        /// Returns the width of the terminal, which may change.
        width: Box<dyn Fn() -> u16 + Send>,
        /// When it was drawn last.
        at: Option<Instant>,
    },
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
        match Terminal::find() {
            Some(terminal) => Self::with_bar(name, first, terminal),
            None => Self::with_lines(name, first, Box::new(io::stderr())),
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
        terminal: impl TermLike + Clone + 'static,
    ) -> Self {
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let style = ProgressStyle::with_template("{prefix}: [{wide_bar}] {msg}");
        let bar = ProgressBar::with_draw_target(Some(first.total()), target)
            .with_style(style.expect("no unknown keys"))
            .with_finish(ProgressFinish::Abandon);
        let width = Box::new(move || terminal.width());
        let at = None;
        Self::with(name.into(), first, Output::Bar { bar, width, at })
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
            Output::Bar { .. } => BAR,
            // With a period of zero there are lines all the time.
            Output::Lines { at, .. } => self.every.saturating_sub(at.elapsed()).max(BAR / 10),
        }
    }

    /// Shows these counts, unless the last ones were shown a short time ago.
    pub fn show(&mut self, now: &Summary) {
        self.note_end(now);
        match &self.output {
            Output::Bar { at: Some(at), .. } if at.elapsed() < OFTEN && !now.is_over() => {}
            Output::Bar { .. } => self.draw(now, now.is_over()),
            Output::Lines { at, .. } if at.elapsed() < self.every => {}
            Output::Lines { .. } => self.write(now, now.is_over()),
        }
    }

    /// Shows these counts as the last ones, and leaves them on the screen.
    pub fn finish(mut self, now: &Summary) {
        self.note_end(now);
        self.draw(now, true);
        self.write(now, true);
        if let Output::Bar { bar, .. } = &self.output {
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

    fn draw(&mut self, now: &Summary, is_last: bool) {
        let Output::Bar { width, .. } = &self.output else {
            return;
        };
        let (room, name) = (room_of(width()), measure_text_width(&self.name));
        let figures = self.figures(now, is_last, room.saturating_sub(name.min(room / 5)));
        let left = room.saturating_sub(measure_text_width(&figures));
        let name = truncate_str(&self.name, left.min(name), "…").into_owned();
        if let Output::Bar { bar, at, .. } = &mut self.output {
            *at = Some(Instant::now());
            // Each of these calls draws.
            bar.update(|state| {
                state.set_len(now.total());
                state.set_pos(now.total() - now.open - now.running);
            });
            if bar.prefix() != name {
                bar.set_prefix(name);
            }
            bar.set_message(figures);
        }
    }

    /// As many figures as there is room for, in columns.
    fn figures(&self, now: &Summary, is_last: bool, room: usize) -> String {
        let (total, over) = (now.total(), now.total() - now.open - now.running);
        let pace = self.pace.text(now, self.elapsed(), is_last, ", ");
        let troubles = troubles(now);
        let all = format!("{over}/{total}, {}{pace}", counts(now));
        let fewer = format!("{over}/{total}{troubles}{pace}");
        let few = format!("{over}/{total}{troubles}");
        let mut choices = [all, fewer, few].into_iter();
        let fits = choices.find(|text| measure_text_width(text) <= room);
        fits.unwrap_or_else(|| format!("{over}/{total}"))
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

/// The columns for the name and the figures beside the shortest bar.
fn room_of(width: u16) -> usize {
    let rest = SHORTEST + ": [".len() + "] ".len();
    usize::from(width).saturating_sub(rest)
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("name", &self.name)
            .field("first", &self.pace.first)
            .field("is_bar", &matches!(self.output, Output::Bar { .. }))
            .finish_non_exhaustive()
    }
}
