//! The end of the process, and processes that are forked from it.

use mpisync_bindings::comm::check_running;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyDict;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether Python has forked this process from the one that loaded the module. It has copies of the objects, which are those of
/// a rank that it is not: using or dropping them would release the rank's locks.
static IS_FORKED: AtomicBool = AtomicBool::new(false);

/// Whether this process is a child that has no part in the objects.
#[inline]
pub fn is_forked() -> bool {
    IS_FORKED.load(Ordering::Relaxed)
}

#[pyfunction]
fn _note_fork() {
    IS_FORKED.store(true, Ordering::Relaxed);
}

/// Notices when Python forks this process.
pub fn watch_for_forks(py: Python<'_>) -> PyResult<()> {
    let options = PyDict::new(py);
    options.set_item(
        intern!(py, "after_in_child"),
        wrap_pyfunction!(_note_fork, py)?,
    )?;
    let os = py.import(intern!(py, "os"))?;
    os.call_method(intern!(py, "register_at_fork"), (), Some(&options))?;
    Ok(())
}

/// Before the interpreter ends, and mpi4py calls `MPI_Finalize`: ends what goes on between ranks. It may wait for the other
/// ranks of objects that span hosts.
#[pyfunction]
fn _end(py: Python<'_>) {
    if !is_forked() && check_running().is_ok() {
        py.detach(mpisync::__private::end);
    }
}

/// Has [`_end`] called when the interpreter ends. Called before the first object is made on a communicator, so that what the
/// program registers later, and may use objects, comes before.
pub fn end_with_interpreter(py: Python<'_>) -> PyResult<()> {
    static IS_REGISTERED: PyOnceLock<()> = PyOnceLock::new();
    IS_REGISTERED
        .get_or_try_init(py, || {
            let end = wrap_pyfunction!(_end, py)?;
            let atexit = py.import(intern!(py, "atexit"))?;
            atexit.call_method1(intern!(py, "register"), (end,))?;
            Ok::<(), PyErr>(())
        })
        .copied()
}
