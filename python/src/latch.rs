//! The latch: a count that goes down to zero once.

use crate::limit::timeout;
use crate::object::Own;
use mpisync_bindings::handle;
use pyo3::prelude::*;

/// A count that goes down to zero once.
#[pyclass(frozen, module = "mpisync")]
pub struct Latch {
    own: Own<mpisync::Latch>,
}

#[pymethods]
impl Latch {
    #[new]
    #[pyo3(signature = (comm, count, *, root = 0, name = None))]
    fn new(comm: &Bound<'_, PyAny>, count: u64, root: i32, name: Option<String>) -> PyResult<Self> {
        let own = Own::make(comm, name, move |comm, name| {
            Ok(match comm {
                Some(comm) => {
                    let builder = mpisync::Latch::builder(comm, count);
                    builder.root(root).name(name).build()?
                }
                None => mpisync::Latch::local(count),
            })
        })?;
        Ok(Latch { own })
    }

    /// Counts down. The latch is open at zero.
    #[pyo3(signature = (count = 1))]
    fn count_down(&self, py: Python<'_>, count: u64) -> PyResult<()> {
        self.own.wait(py, move |latch| Ok(latch.count_down(count)?))
    }

    /// Waits until the latch is open. `TimedOut.missing` has the ranks that have not counted down.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let limit = self::timeout(py, timeout)?.duration();
        self.own
            .wait(py, move |latch| Ok(latch.wait_timeout(limit)?))
    }

    /// The count that is left.
    #[getter]
    fn remaining(&self, py: Python<'_>) -> PyResult<u64> {
        self.own.check_running(py)?;
        self.own.wait(py, |latch| Ok(latch.remaining()))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let take = |latch| handle::remove::<mpisync::Latch>(latch, |_| Ok(()));
        self.own.close(py, take, |latch| Ok(latch.close()?))
    }

    #[getter]
    fn name(&self) -> &str {
        self.own.name()
    }

    fn __repr__(&self) -> String {
        format!("<mpisync.Latch {:?}>", self.own.name())
    }
}
