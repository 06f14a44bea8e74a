//! Output on standard output and standard error.
//!
//! It has colours if it goes to a terminal, and as `NO_COLOR`, `CLICOLOR` and `CLICOLOR_FORCE` say.

use crate::line::{BAD, Line, PLAIN};
use crate::text::json_lines;
use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};
use std::process::ExitCode;

/// Whether a stream is to have colours.
pub fn has_colours(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// Standard output, line by line. It is not an error if the reader closes it early.
pub struct Output {
    to: BufWriter<StdoutLock<'static>>,
    has_colours: bool,
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
            has_colours: has_colours(&io::stdout()),
            is_closed: false,
        }
    }

    /// Whether the reader has closed standard output.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Writes a line for a reader.
    ///
    /// # Errors
    /// Those of writing.
    pub fn line(&mut self, line: &Line) -> io::Result<()> {
        let line = line.render(self.has_colours);
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// Writes a text in a format of its own, such as JSON, as it is.
    ///
    /// # Errors
    /// Those of writing.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        let written = self.to.write_all(bytes);
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
pub fn print(lines: &[Line]) -> io::Result<bool> {
    let mut output = Output::new();
    for line in lines {
        output.line(line)?;
    }
    output.flush()?;
    Ok(!output.is_closed())
}

/// Prints JSON, whose control characters are escaped, and a line break. Returns false if nobody reads it
/// any more.
///
/// # Errors
/// Those of writing.
pub fn print_json(json: &str) -> io::Result<bool> {
    let mut output = Output::new();
    output.bytes((json_lines(json) + "\n").as_bytes())?;
    output.flush()?;
    Ok(!output.is_closed())
}

/// The exit code of a program that has done all of its work, or a part, or none. Prints the error.
pub fn exit_code(done: anyhow::Result<bool>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints on standard error, on one line, that something has failed.
pub fn complain(text: &str) {
    let line = Line::new().with(BAD.bold(), "error:");
    note(&line.with(PLAIN, format!(" {text}")));
}

/// Prints a line on standard error.
pub fn note(line: &Line) {
    let line = line.render(has_colours(&io::stderr()));
    // `eprintln` would panic if standard error is closed.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
