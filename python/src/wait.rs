//! Calls that may wait: without the interpreter lock, and with an ear for signals.

use crate::errors::misuse;
use crate::site;
use mpisync_bindings::failure::{Failure, Kind, catch};
use pyo3::intern;
use pyo3::prelude::*;
use std::cell::{Cell, RefCell};

thread_local! {
    /// What a signal handler has raised while this thread waited.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
    /// Whether signal handlers run while this thread waits.
    static HANDLES_SIGNALS: Cell<bool> = const { Cell::new(false) };
    /// Whether it is known that this is the main thread, or not.
    static IS_PREPARED: Cell<bool> = const { Cell::new(false) };
}

/// The wait of this thread asks whether it has to end: runs the handlers of signals that have come.
fn run_signal_handlers() -> bool {
    HANDLES_SIGNALS.set(true);
    let checked = Python::attach(|py| py.check_signals());
    HANDLES_SIGNALS.set(false);
    let Err(error) = checked else { return false };
    RAISED.replace(Some(error));
    true
}

/// Whether this thread is in a signal handler that runs while it waits in a call of mpisync.
pub fn handles_signals() -> bool {
    HANDLES_SIGNALS.get()
}

/// Checks that this thread does not wait in another call, from which a signal handler has been called.
pub fn check_not_in_wait(py: Python<'_>) -> PyResult<()> {
    if !handles_signals() {
        return Ok(());
    }
    Err(misuse(
        py,
        "a signal handler runs while this thread waits in a call of mpisync; set a variable in the handler, or raise an \
         exception, and call mpisync after the wait",
        None,
    ))
}

/// Lets reports of the waits of this thread name places in the program, and its waits run the handlers of signals, if it is
/// the main thread: Python runs them there only.
fn prepare_thread(py: Python<'_>) -> PyResult<()> {
    if IS_PREPARED.get() {
        return Ok(());
    }
    mpisync::__private::find_places_by(site::of_program);
    let threading = py.import(intern!(py, "threading"))?;
    let main = threading.call_method0(intern!(py, "main_thread"))?;
    let current = threading.call_method0(intern!(py, "current_thread"))?;
    if main.is(&current) {
        mpisync::interrupt_waits(Some(run_signal_handlers));
    }
    IS_PREPARED.set(true);
    Ok(())
}

/// Runs `call` without the interpreter lock. A failure is an exception, which `explain` makes; if a signal handler has
/// raised one, it is that.
///
/// `call` runs on this thread. It is `Send`, so it brings no object of mpisync and no guard with it: these it finds in
/// the table of the thread.
pub fn wait<R: Send>(
    py: Python<'_>,
    call: impl FnOnce() -> Result<R, Failure> + Send,
    explain: impl FnOnce(Failure) -> PyErr,
) -> PyResult<R> {
    check_not_in_wait(py)?;
    prepare_thread(py)?;
    match py.detach(|| catch(call)) {
        Ok(value) => Ok(value),
        Err(failure) if failure.kind == Kind::Interrupted => {
            Err(RAISED.take().unwrap_or_else(|| explain(failure)))
        }
        Err(failure) => Err(explain(failure)),
    }
}
