//! What shows how far tasks are: a bar on a terminal, lines elsewhere.

use crate::batch::Summary;
use crate::batch::progress::pace::{Pace, counts};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt;
use std::io;
use std::io::Write;
use std::time::{Duration, Instant};

/// How often a bar is drawn.
const BAR: Duration = Duration::from_millis(100);
/// How often a line is written, if not said.
pub(super) const LINES: Duration = Duration::from_secs(5);

/// Shows on standard error how far tasks are: by a bar where that is a terminal, and by a line
/// every few seconds elsewhere.
///
/// [`Batch::progress`](crate::Batch::progress) has one. A program that gets its counts elsewhere,
/// from a [`Directory`](crate::batch::directory::Directory) for example, tells one of its own. What
/// cannot be written is lost without an error.
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
    since: Instant,
    /// How long it took until all was over.
    over: Option<Duration>,
    every: Duration,
    output: Output,
}

enum Output {
    Bar(ProgressBar),
    Lines {
        to: Box<dyn Write + Send>,
        at: Instant,
        /// The counts that were written last.
        said: Option<Summary>,
    },
}

impl Meter {
    /// Begins with these counts. What is done in them does not count for the rate, nor for the time
    /// left. The name is for who reads it.
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
        let (at, said) = (Instant::now(), None);
        Self::with(name.into(), first, Output::Lines { to, at, said })
    }

    fn with_bar(name: impl Into<String>, first: &Summary, target: ProgressDrawTarget) -> Self {
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

    /// How often a line is written where there is no terminal. Defaults to 5 seconds.
    pub fn every(mut self, time: Duration) -> Self {
        self.set_every(time);
        self
    }

    pub(super) fn set_every(&mut self, time: Duration) {
        self.every = time;
    }

    /// In how long it wants to show the counts again.
    pub fn pause(&self) -> Duration {
        match &self.output {
            Output::Bar(_) => BAR,
            // Whoever wants lines all the time gets many.
            Output::Lines { at, .. } => self.every.saturating_sub(at.elapsed()).max(BAR / 10),
        }
    }

    /// Shows these counts, if it is time to.
    pub fn show(&mut self, now: &Summary) {
        self.note_end(now);
        match &self.output {
            Output::Bar(_) => self.draw(now, now.is_over()),
            Output::Lines { at, .. } if at.elapsed() < self.every => {}
            Output::Lines { .. } => self.write(now, now.is_over()),
        }
    }

    /// Shows these counts as the last ones, and leaves them there.
    pub fn finish(mut self, now: &Summary) {
        self.note_end(now);
        self.draw(now, true);
        self.write(now, true);
        if let Output::Bar(bar) = &self.output {
            bar.abandon();
        }
    }

    /// From then on nobody works, and the rate stays what it was.
    fn note_end(&mut self, now: &Summary) {
        self.over = match now.is_over() {
            true => self.over.or_else(|| Some(self.since.elapsed())),
            false => None,
        };
    }

    fn elapsed(&self) -> Duration {
        self.over.unwrap_or_else(|| self.since.elapsed())
    }

    fn draw(&self, now: &Summary, is_last: bool) {
        if let Output::Bar(bar) = &self.output {
            let (total, over) = (now.total(), now.total() - now.open - now.running);
            let pace = self.pace.text(now, self.elapsed(), is_last, ", ");
            bar.set_length(total);
            bar.set_position(over);
            // All figures in one piece, for each of these calls may draw.
            bar.set_message(format!("{over}/{total}, {}{pace}", counts(now)));
        }
    }

    fn write(&mut self, now: &Summary, is_last: bool) {
        let elapsed = self.elapsed();
        let Output::Lines { to, at, said } = &mut self.output else {
            return;
        };
        *at = Instant::now();
        // When all is over there is nothing new any more.
        if now.is_over() && *said == Some(*now) {
            return;
        }
        *said = Some(*now);
        let pace = self.pace.text(now, elapsed, is_last, "; ");
        let (name, counts, total) = (&self.name, counts(now), now.total());
        // In one piece, for other processes write there too. There is nobody to tell that it cannot be written.
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

#[cfg(test)]
mod tests {
    use super::super::tests::Paper;
    use super::*;
    use indicatif::TermLike;

    const OPEN: Summary = Summary {
        open: 3,
        running: 0,
        done: 7,
        failed: 0,
        invalid: 0,
    };
    const OVER: Summary = Summary {
        open: 0,
        running: 0,
        done: 9,
        failed: 1,
        invalid: 0,
    };

    /// A terminal that keeps all that is written to it.
    #[derive(Debug, Default)]
    struct Screen(Paper);

    impl Screen {
        fn put(&self, text: &str) -> io::Result<()> {
            self.0.clone().write_all(text.as_bytes())
        }
    }

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            100
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, line: &str) -> io::Result<()> {
            self.put(line)?;
            self.put("\n")
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.put(text)
        }
        fn clear_line(&self) -> io::Result<()> {
            self.put("\r")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bar_is_drawn_and_left_as_it_was_last() {
        let paper = Paper::default();
        let target = ProgressDrawTarget::term_like(Box::new(Screen(paper.clone())));
        let mut meter = Meter::with_bar("b", &OPEN, target);
        meter.show(&OPEN);
        let drawn = paper.text();
        assert!(drawn.starts_with("b: ["), "{drawn}");
        assert!(
            drawn.ends_with("] 7/10, 7 done, 0 failed, 0 running"),
            "{drawn}"
        );
        assert_eq!(meter.pause(), BAR);
        meter.finish(&OVER);
        let drawn = paper.text();
        let last = drawn.rsplit('\r').next().expect("there is one");
        assert!(
            last.contains("] 10/10, 9 done, 1 failed, 0 running, "),
            "{drawn}"
        );
        assert!(last.contains("/s, after 0 s"), "{drawn}");
    }

    #[test]
    fn a_bar_that_ends_early_is_not_full() {
        let paper = Paper::default();
        let target = ProgressDrawTarget::term_like(Box::new(Screen(paper.clone())));
        Meter::with_bar("b", &OPEN, target).finish(&OPEN);
        let drawn = paper.text();
        let last = drawn.rsplit('\r').next().expect("there is one");
        assert!(last.contains("] 7/10, "), "{drawn}");
    }

    #[test]
    fn lines_are_written_when_it_is_time_and_at_the_end() {
        let paper = Paper::default();
        let mut meter = Meter::with_lines("b", &OPEN, Box::new(paper.clone()));
        meter.show(&OPEN);
        assert_eq!(paper.text(), "");
        assert!(meter.pause() > LINES / 2);
        meter.set_every(Duration::ZERO);
        assert!(meter.pause() > Duration::ZERO);
        meter.show(&OPEN);
        meter.show(&OPEN);
        let same = "b: 7 done, 0 failed, 0 running of 10\n";
        assert_eq!(paper.text(), same.repeat(2));
        meter.finish(&OPEN);
        let last = "b: 7 done, 0 failed, 0 running of 10; after 0 s\n";
        assert_eq!(paper.text(), same.repeat(2) + last);
    }

    #[test]
    fn that_all_is_over_is_said_once_with_the_time_that_it_took() {
        let paper = Paper::default();
        let lines = Box::new(paper.clone());
        let mut meter = Meter::with_lines("b", &OPEN, lines).every(Duration::ZERO);
        meter.since = Instant::now() - Duration::from_secs(6);
        meter.show(&OVER);
        // Nobody works any more.
        meter.since -= Duration::from_secs(3600);
        assert_eq!(meter.elapsed().as_secs(), 6);
        meter.show(&OVER);
        meter.finish(&OVER);
        let line = "b: 9 done, 1 failed, 0 running of 10; 0.5/s, after 6 s\n";
        assert_eq!(paper.text(), line);
    }

    #[test]
    fn paper_that_takes_nothing_is_no_error() {
        struct Wet;
        impl Write for Wet {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut meter = Meter::with_lines("b", &OPEN, Box::new(Wet)).every(Duration::ZERO);
        meter.show(&OPEN);
        meter.finish(&OVER);
    }
}
