//! The terminal: shows a text in place of the last one, and waits for the key that ends the program.

use crate::output::print;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{IsTerminal, Read, stdin, stdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// The key Ctrl-C, where the terminal does not make a signal of it.
const INTERRUPT: u8 = 3;

/// Standard output and input. The terminal is as before after this is dropped.
pub struct Screen {
    is_terminal: bool,
    /// The attributes of the terminal before, if the keys come from one.
    before: Option<Termios>,
    /// Gets a message when the user wants to leave.
    left: Option<Receiver<()>>,
}

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

impl Screen {
    /// Sets the terminal up.
    pub fn new() -> Self {
        let before = (stdin().is_terminal())
            .then(|| tcgetattr(stdin()).ok())
            .flatten();
        let left = before.as_ref().map(|before| {
            let mut attributes = before.clone();
            // Each key at once and unseen, and Ctrl-C as a key, so that the terminal is set back.
            attributes.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
            // If it cannot be set, `q` needs the key Enter.
            let _ = tcsetattr(stdin(), OptionalActions::Now, &attributes);
            keys()
        });
        Screen {
            is_terminal: stdout().is_terminal(),
            before,
            left,
        }
    }

    /// Shows these lines. Returns false if nobody sees them any more.
    ///
    /// # Errors
    /// Those of writing.
    pub fn show(&self, lines: &[String]) -> std::io::Result<bool> {
        if !self.is_terminal {
            return print(&[lines, &[String::new()]].concat());
        }
        let rows = tcgetwinsize(stdout()).map_or(0, |size| usize::from(size.ws_row));
        // A terminal that does not know its size has the usual one.
        let most = if rows > 2 { rows - 1 } else { 24 };
        let mut shown = lines.to_vec();
        if shown.len() > most {
            shown.truncate(most - 1);
            shown.push(format!("... and {} more lines", lines.len() - shown.len()));
        }
        // Each line is cleared behind its text, and the rest of the screen behind the last one.
        let mut shown: Vec<String> = shown.into_iter().map(|line| line + "\x1b[K").collect();
        if let Some(first) = shown.first_mut() {
            first.insert_str(0, "\x1b[H");
        }
        if let Some(last) = shown.last_mut() {
            last.push_str("\x1b[J");
        }
        print(&shown)
    }

    /// Waits for that long, or until the user leaves; returns whether that is so.
    pub fn is_left_within(&self, time: Duration) -> bool {
        match &self.left {
            Some(left) => left.recv_timeout(time) != Err(RecvTimeoutError::Timeout),
            None => {
                thread::sleep(time);
                false
            }
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

/// Reads keys, in a thread. Ends with the key that leaves, or with the input.
fn keys() -> Receiver<()> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for key in stdin().lock().bytes() {
            match key {
                Ok(b'q' | b'Q' | INTERRUPT) | Err(_) => break,
                Ok(_) => {}
            }
        }
        drop(sender);
    });
    receiver
}
