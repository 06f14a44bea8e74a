//! The barrier: all ranks wait for all.

use crate::limit::timeout;
use crate::object::Own;
use mpisync_bindings::handle;
use pyo3::prelude::*;

/// A meeting point of all ranks that notices ranks that do not come.
#[pyclass(frozen, module = "mpisync")]
pub struct Barrier {
    own: Own<mpisync::Barrier>,
}

#[pymethods]
impl Barrier {
    #[new]
    #[pyo3(signature = (comm, *, name = None))]
    fn new(comm: &Bound<'_, PyAny>, name: Option<String>) -> PyResult<Self> {
        let own = Own::make(comm, name, |comm, name| {
            Ok(match comm {
                Some(comm) => mpisync::Barrier::builder(comm).name(name).build()?,
                None => mpisync::Barrier::local(),
            })
        })?;
        Ok(Barrier { own })
    }

    /// Arrives, and waits for all ranks. `TimedOut.missing` has those that did not come; this rank stays arrived.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        let limit = self::timeout(py, timeout)?.duration();
        self.own
            .wait(py, move |barrier| Ok(barrier.wait_timeout(limit)?))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let take = |barrier| handle::remove::<mpisync::Barrier>(barrier, |_| Ok(()));
        self.own.close(py, take, |barrier| Ok(barrier.close()?))
    }

    #[getter]
    fn name(&self) -> &str {
        self.own.name()
    }

    fn __repr__(&self) -> String {
        format!("<mpisync.Barrier {:?}>", self.own.name())
    }
}
