//! What is printed.

use std::fmt::Write as _;
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

/// Standard output, for lines. Whoever reads them may stop at any time, which is no error.
pub struct Output {
    to: BufWriter<StdoutLock<'static>>,
    is_closed: bool,
}

impl Output {
    pub fn new() -> Self {
        Output {
            to: BufWriter::new(io::stdout().lock()),
            is_closed: false,
        }
    }

    /// Whether nobody reads any more.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub fn line(&mut self, line: &str) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let written = writeln!(self.to, "{line}");
        self.heed(written)
    }

    pub fn finish(mut self) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let written = self.to.flush();
        self.heed(written)
    }

    fn heed(&mut self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            written => written,
        }
    }
}

/// Says on standard error what is wrong, in a line.
pub fn complain(text: &str) {
    // `eprintln` panics where standard error is closed.
    let _ = writeln!(io::stderr(), "{}", name_line(text));
}

/// A name on one line.
pub fn name_line(name: &str) -> String {
    escaped(name, false)
}

/// Any text on one line, so that it can be told what it was.
pub fn text_line(text: &str) -> String {
    escaped(text, true)
}

/// Without the characters that end lines, or do things to a terminal. Names keep their backslashes,
/// to be what they are.
fn escaped(text: &str, and_backslashes: bool) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() || (and_backslashes && char == '\\') {
            // A string takes everything.
            let _ = write!(line, "{}", char.escape_default());
        } else {
            line.push(char);
        }
    }
    line
}

/// JSON without the control characters that it may have in its texts as they are.
pub fn json_lines(json: &str) -> String {
    let mut lines = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            '\n' => lines.push(char),
            char if char.is_control() => {
                // A string takes everything.
                let _ = write!(lines, "\\u{:04x}", u32::from(char));
            }
            char => lines.push(char),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_one_line() {
        assert_eq!(text_line("a\nb\tc\\n\r\u{1b}[1m"), r"a\nb\tc\\n\r\u{1b}[1m");
        assert_eq!(text_line("größer als 7"), "größer als 7");
        assert_eq!(name_line("a\\b\n"), r"a\b\n");
        assert_eq!(
            json_lines("{\n \"\u{9b}\u{7f}é\"}"),
            "{\n \"\\u009b\\u007fé\"}"
        );
    }
}
