//! The turn, which passes from rank to rank.

use crate::limit::timeout;
use crate::object::Own;
use mpisync_bindings::held::{self, Held};
use mpisync_bindings::limit::Limit;
use pyo3::prelude::*;

/// A turn that passes from rank to rank, in the order of their numbers.
#[pyclass(frozen, module = "mpisync")]
pub struct Turn {
    own: Own<Held<mpisync::Turn>>,
}

impl Turn {
    fn take(&self, py: Python<'_>, limit: Limit) -> PyResult<()> {
        self.own.wait(py, move |held| {
            held.hold(|turn| Ok(turn.take_timeout(limit.duration())?))
        })
    }

    fn pass(&self, py: Python<'_>) -> PyResult<()> {
        self.own
            .with(py, |held| held.release(|guard, _| drop(guard)))
    }
}

#[pymethods]
impl Turn {
    #[new]
    #[pyo3(signature = (comm, *, name = None))]
    fn new(comm: &Bound<'_, PyAny>, name: Option<String>) -> PyResult<Self> {
        let own = Own::make(comm, name, |comm, name| {
            Ok(Held::new(match comm {
                Some(comm) => mpisync::Turn::builder(comm).name(name).build()?,
                None => mpisync::Turn::local(),
            }))
        })?;
        Ok(Turn { own })
    }

    #[pyo3(signature = (timeout = None))]
    fn acquire(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.take(py, self::timeout(py, timeout)?)
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.pass(py)
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.own
            .close(py, held::take_free::<mpisync::Turn>, |turn| {
                Ok(turn.close()?)
            })
    }

    #[getter]
    fn name(&self) -> &str {
        self.own.name()
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().take(slf.py(), Limit::NEVER)?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.pass(py)
    }

    fn __repr__(&self) -> String {
        format!("<mpisync.Turn {:?}>", self.own.name())
    }
}
