//! An object that the first rank computes which needs it, and all others get.

use crate::limit::timeout;
use crate::object::Own;
use crate::pickle::{pickled, unpickled};
use mpisync::sync::OnceError;
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::handle;
use mpisync_bindings::objects::OnceBytes;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// An object that one rank computes, and all ranks have.
#[pyclass(frozen, module = "mpisync")]
pub struct OnceShared {
    own: Own<OnceBytes>,
    /// The object, once this rank has it.
    object: PyOnceLock<Py<PyAny>>,
}

/// Why a rank has not got the object.
enum NoObject {
    /// What computes it has raised an exception.
    Raised(PyErr),
    Failed(Failure),
}

impl From<OnceError> for NoObject {
    fn from(error: OnceError) -> Self {
        NoObject::Failed(error.into())
    }
}

impl OnceShared {
    fn keep(&self, py: Python<'_>, object: Py<PyAny>) -> Py<PyAny> {
        self.object.get_or_init(py, || object).clone_ref(py)
    }
}

#[pymethods]
impl OnceShared {
    #[new]
    #[pyo3(signature = (comm, *, capacity = 65536, root = 0, name = None))]
    fn new(
        comm: &Bound<'_, PyAny>,
        capacity: usize,
        root: i32,
        name: Option<String>,
    ) -> PyResult<Self> {
        let own = Own::make(comm, name, move |comm, name| {
            Ok(match comm {
                Some(comm) => OnceBytes::builder(comm)
                    .capacity(capacity)
                    .root(root)
                    .name(name)
                    .build()?,
                None => OnceBytes::local(),
            })
        })?;
        let object = PyOnceLock::new();
        Ok(OnceShared { own, object })
    }

    /// The object. Calls `compute` if no rank has computed it or is computing it.
    #[pyo3(signature = (compute, *, timeout = None))]
    fn get_or_init(&self, compute: Bound<'_, PyAny>, timeout: Option<f64>) -> PyResult<Py<PyAny>> {
        let py = compute.py();
        if let Some(object) = self.object.get(py) {
            return Ok(object.clone_ref(py));
        }
        let limit = self::timeout(py, timeout)?.duration();
        let compute = compute.unbind();
        let (mut computed, mut raised) = (None, None);
        let run = || {
            Python::attach(|py| {
                let object = compute.call0(py).map_err(NoObject::Raised)?;
                let bytes = pickled(object.bind(py)).map_err(NoObject::Raised)?;
                let bytes = bytes.as_bytes(py).to_vec();
                computed = Some(object);
                Ok(bytes)
            })
        };
        let shared = self
            .own
            .wait(py, |once| match once.get_or_try_init_timeout(limit, run) {
                Ok(bytes) => Ok(bytes.clone()),
                Err(NoObject::Failed(failure)) => Err(failure),
                Err(NoObject::Raised(error)) => {
                    raised = Some(error);
                    Err(Failure::new(
                        Kind::Internal,
                        "it raised an exception".to_owned(),
                    ))
                }
            });
        if let Some(error) = raised {
            return Err(error);
        }
        let bytes = shared?;
        let object = match computed {
            Some(object) => object,
            None => unpickled(py, &bytes)?,
        };
        Ok(self.keep(py, object))
    }

    /// The object; None if no rank has computed it.
    fn get(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if let Some(object) = self.object.get(py) {
            return Ok(Some(object.clone_ref(py)));
        }
        self.own.check_running(py)?;
        match self.own.wait(py, |once| Ok(once.get().cloned()))? {
            None => Ok(None),
            Some(bytes) => {
                let object = unpickled(py, &bytes)?;
                Ok(Some(self.keep(py, object)))
            }
        }
    }

    fn clear_poison(&self, py: Python<'_>) -> PyResult<bool> {
        self.own.wait(py, |once| Ok(once.clear_poison()?))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let take = |once| handle::remove::<OnceBytes>(once, |_| Ok(()));
        self.own.close(py, take, |once| Ok(once.close()?))
    }

    #[getter]
    fn name(&self) -> &str {
        self.own.name()
    }

    fn __repr__(&self) -> String {
        format!("<mpisync.OnceShared {:?}>", self.own.name())
    }
}
