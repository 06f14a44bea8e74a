//! The terminal: shows lines in place of the last ones, and waits until the user leaves.
//!
//! The lines stay where the program has begun to write, below what was on the terminal before, and
//! they stay when it ends.

use crate::line::Line;
use crate::output::{has_colours, print};
use crate::text::width;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{self, IsTerminal, Read, Write, stdin, stdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// The columns of a terminal that does not say how many it has, and of a file.
pub const COLUMNS: usize = 80;
/// The rows of a terminal that does not say how many it has.
const ROWS: usize = 24;

/// Between these two a terminal shows nothing, if it knows them: a picture appears as a whole.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";
/// Erases the rest of the line.
const ERASE_LINE: &str = "\x1b[K";
/// Erases the rest of the screen.
const ERASE_BELOW: &str = "\x1b[J";

/// Whether standard output is a terminal on which lines can be replaced.
pub fn is_terminal() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stdout().is_terminal() && !is_dumb
}

/// The columns of the terminal; none if standard output is no terminal.
pub fn columns() -> Option<usize> {
    stdout().is_terminal().then(|| size().0)
}

/// The columns and rows of the terminal.
fn size() -> (usize, usize) {
    let size = tcgetwinsize(stdout()).ok();
    let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    let (columns, rows) = size.unwrap_or_default();
    let or = |number, usual| if number > 2 { number } else { usual };
    (or(columns, COLUMNS), or(rows, ROWS))
}

/// Standard output and input. The terminal is as before after this is dropped.
pub struct Screen {
    is_terminal: bool,
    has_colours: bool,
    /// The attributes of the terminal before, if the keys come from one.
    before: Option<Termios>,
    /// Gets a message when the user wants to leave.
    left: Receiver<()>,
    /// The widths of the lines that are shown.
    shown: Vec<usize>,
}

impl Screen {
    /// Sets the terminal up, if there is one. From then on a signal that would end the process only
    /// makes [`is_left_within`](Self::is_left_within) return. May be called once per process.
    ///
    /// # Errors
    /// If signals cannot be handled.
    pub fn new() -> io::Result<Self> {
        let is_terminal = is_terminal();
        let (sender, left) = channel();
        let mut before = None;
        if is_terminal {
            let leave = sender.clone();
            let handled = ctrlc::set_handler(move || {
                // Nobody receives it at the end.
                let _ = leave.send(());
            });
            handled.map_err(io::Error::other)?;
            if stdin().is_terminal() {
                before = tcgetattr(stdin()).ok();
                set_keys(before.as_ref());
                keys(sender);
            }
        }
        Ok(Screen {
            is_terminal,
            has_colours: has_colours(&stdout()),
            before,
            left,
            shown: Vec::new(),
        })
    }

    /// The columns that lines may have.
    pub fn columns(&self) -> usize {
        if self.is_terminal { size().0 } else { COLUMNS }
    }

    /// The rows that lines may have.
    pub fn rows(&self) -> usize {
        // The cursor is in the line below them.
        size().1 - 1
    }

    /// Shows these lines in place of the last ones, as many as there is room for. Where there is no
    /// terminal, they follow the last ones. Returns false if nobody sees them any more.
    ///
    /// # Errors
    /// Those of writing.
    pub fn show(&mut self, lines: &[Line]) -> io::Result<bool> {
        let mut lines = lines.to_vec();
        if !self.is_terminal {
            lines.push(Line::new());
            return print(&lines);
        }
        let most = self.rows();
        let all = lines.len();
        if all > most {
            lines.truncate(most - 1);
            lines.push(Line::from(format!("… and {} more lines", all - most + 1)));
        }
        self.replace(&lines)
    }

    fn replace(&mut self, lines: &[Line]) -> io::Result<bool> {
        let columns = self.columns();
        let picture = picture(lines, &self.shown, columns, self.has_colours);
        self.shown = (lines.iter())
            .map(|line| line.width().min(columns))
            .collect();
        let mut output = stdout().lock();
        // In one call, so that no half of it is seen.
        output.write_all(picture.as_bytes())?;
        output.flush()?;
        Ok(true)
    }

    /// Waits for that long, or until the user leaves; returns whether that is so.
    pub fn is_left_within(&self, time: Duration) -> bool {
        if !self.is_terminal {
            thread::sleep(time);
            return false;
        }
        match self.left.recv_timeout(time) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            // There is always the signal.
            Err(RecvTimeoutError::Disconnected) => true,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

/// What a terminal of that many columns gets, to show these lines in place of others.
fn picture(lines: &[Line], shown: &[usize], columns: usize, has_colours: bool) -> String {
    let mut picture = BEGIN.to_owned();
    // If the terminal has become narrower, it has wrapped them.
    let rows = |width: &usize| width.div_ceil(columns).max(1);
    let above: usize = shown.iter().map(rows).sum();
    if above > 0 {
        picture += &format!("\x1b[{above}A");
    }
    for line in lines {
        let line = line.cut(columns);
        picture += "\r";
        picture += &line.render(has_colours);
        // Behind the last column the cursor is still on it, and would erase it.
        if width(&line.render(false)) < columns {
            picture += ERASE_LINE;
        }
        picture += "\n";
    }
    picture += "\r";
    picture += ERASE_BELOW;
    picture += END;
    picture
}

/// Each key comes at once and unseen.
fn set_keys(before: Option<&Termios>) {
    if let Some(before) = before {
        let mut attributes = before.clone();
        attributes.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        // If it cannot be set, `q` needs the key Enter.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &attributes);
    }
}

/// Reads keys, in a thread, up to the one that leaves, or to the end of the input.
fn keys(sender: Sender<()>) {
    thread::spawn(move || {
        for key in stdin().lock().bytes() {
            match key {
                Ok(b'q' | b'Q') | Err(_) => break,
                Ok(_) => {}
            }
        }
        // Nobody receives it at the end.
        let _ = sender.send(());
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_replaces_the_last_one() {
        let lines = ["a", "0123456789", "b"].map(Line::from);
        let mut terminal = vt100::Parser::new(8, 10, 0);
        terminal.process(b"before\r\n");
        terminal.process(
            picture(&lines, &[], 10, false)
                .replace('\n', "\r\n")
                .as_bytes(),
        );
        assert_eq!(terminal.screen().contents(), "before\na\n0123456789\nb");
        // Some terminals would erase the last character.
        let full = picture(&lines[1..2], &[], 10, false);
        assert!(!full.contains(&format!("9{ERASE_LINE}")), "{full:?}");
        let lines = ["ab", "c"].map(Line::from);
        let next = picture(&lines, &[1, 10, 1], 10, false);
        terminal.process(next.replace('\n', "\r\n").as_bytes());
        assert_eq!(terminal.screen().contents(), "before\nab\nc");
        assert_eq!(terminal.screen().cursor_position(), (3, 0));
    }

    #[test]
    fn a_picture_has_no_line_beyond_the_terminal() {
        let line = Line::from("0123456789abc");
        let mut terminal = vt100::Parser::new(8, 10, 0);
        let first = picture(&[line], &[], 10, false);
        terminal.process(first.replace('\n', "\r\n").as_bytes());
        assert_eq!(terminal.screen().contents(), "012345678…");
    }
}
