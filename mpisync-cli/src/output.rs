//! Output on standard output and standard error.

use std::fmt::Write as _;
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

/// Standard output, line by line. It is not an error if the reader closes it early.
pub struct Output {
    to: BufWriter<StdoutLock<'static>>,
    is_closed: bool,
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

impl Output {
    /// Standard output of this process.
    pub fn new() -> Self {
        Output {
            to: BufWriter::new(io::stdout().lock()),
            is_closed: false,
        }
    }

    /// Whether the reader has closed standard output.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Writes a line.
    ///
    /// # Errors
    /// Those of writing.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let written = writeln!(self.to, "{line}");
        self.ignore_closed(written)
    }

    /// Writes out the rest.
    ///
    /// # Errors
    /// Those of writing.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()
    }

    /// Writes out the lines so far.
    ///
    /// # Errors
    /// Those of writing.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let written = self.to.flush();
        self.ignore_closed(written)
    }

    fn ignore_closed(&mut self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            written => written,
        }
    }
}

/// Prints lines. Returns false if nobody reads them any more.
///
/// # Errors
/// Those of writing.
pub fn print(lines: &[String]) -> io::Result<bool> {
    let mut output = Output::new();
    for line in lines {
        output.line(line)?;
    }
    output.flush()?;
    Ok(!output.is_closed())
}

/// Prints an error on standard error, on one line.
pub fn complain(text: &str) {
    // `eprintln` would panic if standard error is closed.
    let _ = writeln!(io::stderr(), "{}", name_line(text));
}

/// A name on one line. Backslashes stay.
pub fn name_line(name: &str) -> String {
    escaped(name, false)
}

/// A text on one line, escaped so that the original text can be recovered.
pub fn text_line(text: &str) -> String {
    escaped(text, true)
}

/// Escapes control characters, which end lines or control a terminal, and backslashes if
/// `and_backslashes`.
fn escaped(text: &str, and_backslashes: bool) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() || (and_backslashes && char == '\\') {
            // Writing to a string does not fail.
            let _ = write!(line, "{}", char.escape_default());
        } else {
            line.push(char);
        }
    }
    line
}

/// JSON with all control characters but line breaks escaped.
pub fn json_lines(json: &str) -> String {
    let mut lines = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            '\n' => lines.push(char),
            char if char.is_control() => {
                // Writing to a string does not fail.
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
