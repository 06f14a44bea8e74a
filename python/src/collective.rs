//! Calls that all ranks make together, and whose outcome they agree on.

use crate::controller::{Controller, Ctrl};
use crate::errors::text_of;
use crate::site::{self, interned};
use mpisync::CollectiveError;
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::held::Held;
use pyo3::prelude::*;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A call that all ranks make together, as a context manager.
#[pyclass(frozen, module = "mpisync")]
pub struct Collective {
    controller: Py<Controller>,
    name: Option<String>,
    /// Its place among the calls that this rank is in, counted from 1; 0 outside. Changed by the thread of the
    /// controller only.
    depth: AtomicUsize,
}

impl Collective {
    pub fn new(controller: Bound<'_, Controller>, name: Option<String>) -> Self {
        Collective {
            controller: controller.unbind(),
            name,
            depth: AtomicUsize::new(0),
        }
    }
}

/// Why the body of a call has failed: on this rank, or on another.
enum Reason {
    Own(String),
    Other(CollectiveError),
}

impl From<CollectiveError> for Reason {
    fn from(error: CollectiveError) -> Self {
        Reason::Other(error)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Own(text) => f.write_str(text),
            Reason::Other(error) => error.fmt(f),
        }
    }
}

#[pymethods]
impl Collective {
    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (py, this) = (slf.py(), slf.get());
        let own = this.controller.get().own();
        if this.depth.load(Ordering::Relaxed) != 0 {
            return Err(own.misuse(py, "this rank is in the collective call already"));
        }
        let name = match &this.name {
            Some(name) => interned(name),
            None => interned(&site::caller(py)?),
        };
        let depth = own.wait(py, move |held| {
            let ctrl = held.owner()?;
            let call = mpisync::Collective::enter(&mut ctrl.controller, name)?;
            ctrl.collectives.push(call);
            Ok(ctrl.collectives.len())
        })?;
        this.depth.store(depth, Ordering::Relaxed);
        Ok(slf)
    }

    /// Agrees on the outcome. This rank's own exception goes on; that of another rank becomes one.
    fn __exit__(
        &self,
        py: Python<'_>,
        _class: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let depth = self.depth.swap(0, Ordering::Relaxed);
        let outcome = match exception.is_none() {
            true => Ok(()),
            false => Err(text_of(exception)),
        };
        self.controller
            .get()
            .own()
            .wait(py, move |held: &mut Held<Ctrl>| {
                let ctrl = held.owner()?;
                if depth == 0 || ctrl.collectives.len() != depth {
                    let message =
                        "this rank is not in the collective call, or in another one inside it";
                    return Err(Failure::new(Kind::NotHeld, message.to_owned()));
                }
                let call = ctrl.collectives.pop().expect("there are as many");
                match call.agree(&mut ctrl.controller, Ok(outcome.map_err(Reason::Own))) {
                    Ok(()) | Err(Reason::Own(_)) => Ok(()),
                    Err(Reason::Other(error)) => Err(error.into()),
                }
            })
    }
}
