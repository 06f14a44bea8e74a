//! Panics that a case expects, and panics that fail it.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe, UnwindSafe};

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the message of each panic, and prints the unexpected ones.
pub fn install() {
    panic::set_hook(Box::new(|info| {
        LAST.set(info.to_string());
        if !EXPECTED.get() {
            // At once, because a destructor may hang while the stack unwinds. If the launcher has
            // ended, standard error is closed, which must not cause another panic.
            // In one piece, because standard output goes to the same file.
            let _ = io::stderr().write_all(format!("{info}\n").as_bytes());
        }
    }));
}

/// Runs `work`. Returns its result, or the place and message of its panic.
///
/// # Errors
/// The place and message of the panic.
pub fn caught<R>(work: impl FnOnce() -> R + UnwindSafe) -> Result<R, String> {
    panic::catch_unwind(work).map_err(|_| LAST.take())
}

/// Runs `work`, which must panic, and returns the place and message of its panic without printing
/// them.
///
/// # Panics
/// If `work` returns.
pub fn expect_panic<R>(work: impl FnOnce() -> R) -> String {
    EXPECTED.set(true);
    let outcome = caught(AssertUnwindSafe(work));
    EXPECTED.set(false);
    match outcome {
        Ok(_) => panic!("a panic was expected, and there was none"),
        Err(words) => words,
    }
}

/// Runs `work` without printing a panic that is caught inside it.
pub fn quietly<R>(work: impl FnOnce() -> R) -> R {
    EXPECTED.set(true);
    let outcome = caught(AssertUnwindSafe(work));
    EXPECTED.set(false);
    outcome.unwrap_or_else(|words| panic!("not caught: {words}"))
}
