//! Panics that a case expects, and panics that fail it.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe, UnwindSafe};

thread_local! {
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps the words of each panic, and prints those that nobody expects.
pub fn install() {
    panic::set_hook(Box::new(|info| {
        LAST.set(info.to_string());
        if !EXPECTED.get() {
            // At once, since a destructor may hang while the stack unwinds.
            // The launcher may be gone, and with it standard error, which is no reason to panic again.
            let _ = writeln!(io::stderr(), "{info}");
        }
    }));
}

/// Runs `work`; its result, or the words (place and message) of its panic.
///
/// # Errors
/// The words of the panic.
pub fn caught<R>(work: impl FnOnce() -> R + UnwindSafe) -> Result<R, String> {
    panic::catch_unwind(work).map_err(|_| LAST.take())
}

/// Runs `work`, which must panic, and returns the words of its panic without printing them.
///
/// # Panics
/// When `work` returns.
pub fn expect_panic<R>(work: impl FnOnce() -> R) -> String {
    EXPECTED.set(true);
    let outcome = caught(AssertUnwindSafe(work));
    EXPECTED.set(false);
    match outcome {
        Ok(_) => panic!("a panic was expected, and there was none"),
        Err(words) => words,
    }
}

/// Runs `work` without printing a panic in it that is caught inside.
pub fn quietly<R>(work: impl FnOnce() -> R) -> R {
    EXPECTED.set(true);
    let outcome = caught(AssertUnwindSafe(work));
    EXPECTED.set(false);
    outcome.unwrap_or_else(|words| panic!("not caught: {words}"))
}
