//! Bars on a terminal, and lines elsewhere.

use crate::batch::Summary;
use crate::batch::progress::meter::{BAR, LINES, Meter};
use crate::batch::progress::tests::Paper;
use indicatif::{ProgressDrawTarget, TermLike};
use std::io;
use std::io::Write;
use std::time::{Duration, Instant};

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

/// A terminal that records its output.
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
    // No task runs any more.
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
