//! Bars on a terminal, and lines elsewhere.

use crate::batch::Summary;
use crate::batch::progress::meter::{BAR, LINES, Meter};
use crate::batch::progress::tests::Paper;
use console::measure_text_width;
use indicatif::TermLike;
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

/// A terminal of a width that records its output.
#[derive(Clone, Debug)]
struct Screen(u16, Paper);

impl Screen {
    fn put(&self, text: &str) -> io::Result<()> {
        self.1.clone().write_all(text.as_bytes())
    }

    fn last_drawn(&self) -> String {
        let drawn = self.1.text();
        drawn.rsplit('\r').next().expect("there is one").to_owned()
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.0
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
    let screen = Screen(100, Paper::default());
    let mut meter = Meter::with_bar("b", &OPEN, screen.clone());
    meter.show(&OPEN);
    let drawn = screen.last_drawn();
    assert!(drawn.starts_with("b: ["), "{drawn}");
    assert!(
        drawn.ends_with("] 7/10, 7 done, 0 failed, 0 running"),
        "{drawn}"
    );
    assert_eq!(meter.pause(), BAR);
    meter.finish(&OVER);
    let last = screen.last_drawn();
    assert!(
        last.contains("] 10/10, 9 done, 1 failed, 0 running, "),
        "{last}"
    );
    assert!(last.contains("/s, after 0 s"), "{last}");
}

#[test]
fn a_bar_that_ends_early_is_not_full() {
    let screen = Screen(100, Paper::default());
    Meter::with_bar("b", &OPEN, screen.clone()).finish(&OPEN);
    let last = screen.last_drawn();
    assert!(last.contains("] 7/10, "), "{last}");
}

#[test]
fn a_bar_takes_one_line_of_any_width() {
    let many = Summary {
        open: 123_456,
        running: 1024,
        done: 9_000_000,
        failed: 77,
        invalid: 0,
    };
    for name in ["survey", "a-survey-of-all-there-is-with-解析-in-its-name"] {
        for width in 40..200 {
            let screen = Screen(width, Paper::default());
            let first = Summary {
                done: 8_999_000,
                ..many
            };
            let mut meter = Meter::with_bar(name, &first, screen.clone());
            meter.since -= Duration::from_secs(100);
            meter.show(&many);
            let drawn = screen.last_drawn();
            assert_eq!(measure_text_width(&drawn), usize::from(width), "{drawn}");
            assert!(drawn.contains("9000077/9124557"), "{drawn}");
            assert!(width < 60 || drawn.contains(", 77 failed"), "{drawn}");
            let has_pace = drawn.contains("/s, 3 h 27 min left");
            assert!(width < 80 || has_pace, "{drawn}");
        }
    }
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
