//! A terminal of a test's own, in which a program runs. The tests of several crates use it.

pub use rustix::process::Signal;
use vt100::Parser;

use rustix::process::{Pid, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a program may take for anything.
const LIMIT: Duration = Duration::from_secs(30);

/// The terminal, and the program in it.
pub struct Terminal {
    child: Child,
    /// The side of the one who looks and types.
    own: File,
    /// The program's side. It stays open, so that its settings can be read afterwards.
    other: File,
    shown: Arc<Mutex<Shown>>,
    reader: Option<JoinHandle<()>>,
}

/// What it shows.
pub struct Shown {
    /// The screen, and what has left it at the top.
    pub parser: Parser,
    /// All that was written.
    pub bytes: Vec<u8>,
    /// Whether the program has ended, and all that it has written is here.
    is_complete: bool,
}

/// Written to the terminal when the program has ended: an application program command, which a terminal does not show.
const MARK: &[u8] = b"\x1b_end\x1b\\";

impl Terminal {
    /// Starts a program in a terminal of this size, whose name is `xterm`.
    ///
    /// # Panics
    /// If the system has no terminal or no such program.
    pub fn start(mut program: Command, columns: u16, rows: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let own = openpt(flags).expect("there are terminals");
        grantpt(&own).expect("it is ours");
        unlockpt(&own).expect("it is ours");
        let other = File::from(ioctl_tiocgptpeer(&own, flags).expect("it has another side"));
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&own, size).expect("it is a terminal");
        let side = || other.try_clone().expect("a descriptor");
        program.env("TERM", "xterm");
        program.stdin(side()).stdout(side()).stderr(side());
        let child = program.spawn().expect("the program is there");
        drop(program);
        let own = File::from(own);
        let shown = Arc::new(Mutex::new(Shown {
            parser: Parser::new(rows, columns, 1000),
            bytes: Vec::new(),
            is_complete: false,
        }));
        let reader = {
            let shown = Arc::clone(&shown);
            let mut own = own.try_clone().expect("a descriptor");
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(read @ 1..) = own.read(&mut bytes) {
                    let mut shown = shown.lock().expect("no test has failed");
                    shown.parser.process(&bytes[..read]);
                    shown.bytes.extend_from_slice(&bytes[..read]);
                    // Processes that the program has left may write behind it.
                    let mut places = shown.bytes.windows(MARK.len());
                    if let Some(place) = places.position(|part| part == MARK) {
                        shown.bytes.drain(place..place + MARK.len());
                        shown.is_complete = true;
                    }
                }
            })
        };
        Terminal {
            child,
            own,
            other,
            shown,
            reader: Some(reader),
        }
    }

    /// What it shows now. The output waits as long as the value is there.
    ///
    /// # Panics
    /// If the thread that reads has.
    pub fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().expect("no test has failed")
    }

    /// The rows of the screen. In the [text](Self::text), one that goes on in the next row is joined
    /// with it.
    pub fn rows(&self) -> Vec<String> {
        let shown = self.shown();
        let screen = shown.parser.screen();
        screen.rows(0, screen.size().1).collect()
    }

    /// The lines on the screen.
    pub fn text(&self) -> String {
        self.shown().parser.screen().contents()
    }

    /// Waits until the screen is as the test wants it.
    ///
    /// # Panics
    /// If that takes more than 30 seconds.
    #[track_caller]
    pub fn wait_for(&self, is_so: impl Fn(&str) -> bool) {
        let start = Instant::now();
        while !is_so(&self.text()) {
            assert!(start.elapsed() < LIMIT, "{}", self.text());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Types this text.
    ///
    /// # Panics
    /// If the terminal takes no more.
    pub fn press(&mut self, key: &str) {
        let pressed = self.own.write_all(key.as_bytes());
        pressed.expect("it is a terminal");
    }

    /// Sends a signal to the program.
    ///
    /// # Panics
    /// If it has ended.
    pub fn signal(&self, signal: Signal) {
        let process = Pid::from_child(&self.child);
        kill_process(process, signal).expect("it runs");
    }

    /// Whether typed characters are shown.
    ///
    /// # Panics
    /// Never: it is a terminal.
    pub fn has_echo(&self) -> bool {
        let attributes = tcgetattr(&self.other).expect("it is a terminal");
        attributes.local_modes.contains(LocalModes::ECHO)
    }

    /// The process of the program.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end of the program, and returns its exit code.
    ///
    /// # Panics
    /// If that takes more than 30 seconds.
    #[track_caller]
    pub fn end(&mut self) -> Option<i32> {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(start.elapsed() < LIMIT, "{}", self.text());
            thread::sleep(Duration::from_millis(10));
        };
        // What it has written last may still be on its way, and this comes after it.
        self.other.write_all(MARK).expect("it is a terminal");
        while !self.shown().is_complete {
            assert!(start.elapsed() < 2 * LIMIT, "{}", self.text());
            thread::sleep(Duration::from_millis(1));
        }
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Only a test that has failed leaves it running.
        let _ = self.child.kill().and_then(|()| self.child.wait());
        // The reader ends with the test: the terminal's other side is still open.
        drop(self.reader.take());
    }
}
