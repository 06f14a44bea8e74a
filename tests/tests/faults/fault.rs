//! What the victim does.

use std::fmt;
use std::hint::black_box;
use std::process;
use std::thread;
use std::time::Duration;

use mpisync::CollectiveError;
use mpisync::sync::OnceError;
use mpisync_tests::signals::{Signal, raise};

/// How long a stopped victim stays stopped.
pub const STOPPED: Duration = Duration::from_secs(5);

/// A fault of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It panics, and its `main` unwinds.
    Panic,
    /// It passes an error on with `?` up to its `main`, which returns.
    Error,
    /// `SIGKILL`.
    Kill,
    /// `SIGTERM`.
    Term,
    /// `std::process::exit(0)`.
    Exit,
    /// `std::process::abort()`.
    Abort,
    /// Its stack overflows.
    Overflow,
    /// `SIGSTOP`, and `SIGCONT` [later](STOPPED).
    Stop,
    /// It is in another call that all ranks make.
    Elsewhere,
    /// It leaks the guard, and goes on without a further call.
    Leak,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 10] = [
        Self::Panic,
        Self::Error,
        Self::Kill,
        Self::Term,
        Self::Exit,
        Self::Abort,
        Self::Overflow,
        Self::Stop,
        Self::Elsewhere,
        Self::Leak,
    ];

    /// Those that end the process without its destructors.
    pub const DEATHS: [Self; 5] = [
        Self::Kill,
        Self::Term,
        Self::Exit,
        Self::Abort,
        Self::Overflow,
    ];

    /// The name in names of tests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Error => "error",
            Self::Kill => "sigkill",
            Self::Term => "sigterm",
            Self::Exit => "exit",
            Self::Abort => "abort",
            Self::Overflow => "overflow",
            Self::Stop => "sigstop",
            Self::Elsewhere => "elsewhere",
            Self::Leak => "leak",
        }
    }

    /// The fault of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }

    /// Does it. Returns after `SIGSTOP` only. [`Elsewhere`](Self::Elsewhere) and [`Leak`](Self::Leak) are up to the
    /// caller.
    ///
    /// # Errors
    /// [`Failure::Struck`], if this is [`Error`](Self::Error).
    pub fn happen(self) -> Result<(), Failure> {
        match self {
            Self::Panic => panic!("the fault of this cell"),
            Self::Error => Err(Failure::Struck),
            Self::Kill => die_by(Signal::KILL),
            Self::Term => die_by(Signal::TERM),
            Self::Exit => process::exit(0),
            Self::Abort => process::abort(),
            Self::Overflow => unreachable!("{}", overflow(0)),
            Self::Stop => {
                raise(Signal::STOP);
                Ok(())
            }
            Self::Elsewhere | Self::Leak => unreachable!("the caller does it"),
        }
    }
}

fn die_by(signal: Signal) -> ! {
    raise(signal);
    // Another thread may be the one that takes it.
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

#[allow(unconditional_recursion, reason = "the stack is to overflow")]
fn overflow(depth: u64) -> u64 {
    let frame = black_box([depth; 512]);
    overflow(depth + 1) + black_box(&frame)[0]
}

/// The error type of the functions that the ranks run.
#[derive(Debug)]
pub enum Failure {
    /// The victim's own error.
    Struck,
    /// The error of a fenced call.
    Call(CollectiveError),
    /// The error of a value that is computed once.
    Once(OnceError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Struck => f.write_str("the fault of this cell"),
            Failure::Call(error) => error.fmt(f),
            Failure::Once(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl From<CollectiveError> for Failure {
    fn from(error: CollectiveError) -> Self {
        Failure::Call(error)
    }
}

impl From<OnceError> for Failure {
    fn from(error: OnceError) -> Self {
        Failure::Once(error)
    }
}
