//! Calls in which one rank writes, and the others get the object that it shares.

use crate::controller::{Controller, Holding};
use crate::errors::text_of;
use crate::limit::timeout;
use crate::pickle::{pickled, unpickled};
use crate::site::{self, interned};
use mpisync::__private::{Function, single_write_within};
use mpisync::Access;
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::limit::Limit;
use mpisync_bindings::objects::{Call, ControllerGuard};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::panic::Location;
use std::sync::{Mutex, MutexGuard};

/// A call in which one rank writes, as a context manager.
#[pyclass(frozen, module = "mpisync")]
pub struct SingleWrite {
    controller: Py<Controller>,
    writer: i32,
    limit: Limit,
    name: Option<String>,
    state: Mutex<State>,
}

/// How far the call is.
enum State {
    /// Not entered yet.
    Fresh,
    /// On the writer, with the object to be shared and its bytes.
    Writes(Option<(Py<PyAny>, Py<PyBytes>)>),
    /// On another rank.
    Waits,
    /// Over, with the shared object.
    Over(Py<PyAny>),
    /// Over without one.
    Failed,
}

impl SingleWrite {
    pub fn new(
        controller: Bound<'_, Controller>,
        rank: Option<i32>,
        timeout: Option<f64>,
        name: Option<String>,
    ) -> PyResult<Self> {
        Ok(SingleWrite {
            writer: rank.unwrap_or(controller.get().master()),
            limit: self::timeout(controller.py(), timeout)?,
            controller: controller.unbind(),
            name,
            state: Mutex::new(State::Fresh),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn misuse(&self, py: Python<'_>, message: &str) -> PyErr {
        self.controller.get().own().misuse(py, message)
    }

    /// The exception for a call that does not fit the state.
    #[cold]
    fn wrong(&self, py: Python<'_>) -> PyErr {
        let message = match *self.state() {
            State::Fresh => "the single write has not begun; enter it by `with`",
            State::Writes(_) => {
                "this rank writes; it shares an object by `share`, and the others collect it"
            }
            State::Waits => "this rank does not write here; ask `writes` before, and share nothing",
            State::Over(_) => "this single write has ended",
            State::Failed => "this single write has failed, so there is no object",
        };
        self.misuse(py, message)
    }

    /// Ends this rank's part.
    fn end<R: Send>(
        &self,
        py: Python<'_>,
        end: impl FnOnce(Access<'_>) -> Result<R, Failure> + Send,
    ) -> PyResult<R> {
        self.controller.get().own().wait(py, |held| {
            held.release(|holding, kept| match holding.guard {
                ControllerGuard::Call(call) => end(call.into_access()),
                _ => {
                    *kept = Some(holding);
                    let message = "no single write has begun".to_owned();
                    Err(Failure::new(Kind::NotHeld, message))
                }
            })?
        })
    }

    /// On the writer: releases the lock and shares the object.
    fn share_now(&self, py: Python<'_>, shared: Option<(Py<PyAny>, Py<PyBytes>)>) -> PyResult<()> {
        let (object, bytes) = match shared {
            Some(shared) => shared,
            None => (py.None(), pickled(&py.None().into_bound(py))?),
        };
        let slice = bytes.as_bytes(py);
        self.end(py, |access| match access {
            Access::Writer(fence) => Ok(fence.share_slice(slice)?),
            Access::Excluded(fence) => {
                fence.skip();
                Err(Failure::new(
                    Kind::Internal,
                    "a writer has no fence".to_owned(),
                ))
            }
        })?;
        *self.state() = State::Over(object);
        Ok(())
    }

    /// On another rank: waits for the object.
    fn collect_now(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let bytes = self.end(py, |access| match access {
            Access::Excluded(fence) => Ok(fence.collect_vec::<u8>()?),
            Access::Writer(fence) => Err(fence.fail("it collects").into()),
        })?;
        let object = unpickled(py, &bytes)?;
        *self.state() = State::Over(object.clone_ref(py));
        Ok(object)
    }
}

#[pymethods]
impl SingleWrite {
    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (py, this) = (slf.py(), slf.get());
        if !matches!(*this.state(), State::Fresh) {
            return Err(this.misuse(
                py,
                "this single write was entered before; begin another one",
            ));
        }
        let name = match &this.name {
            Some(name) => format!("single_write {name}"),
            None => format!("single_write {}", site::caller(py)?),
        };
        let function = Function {
            label: interned(&name),
            place: Location::caller(),
        };
        let (writer, limit) = (this.writer, this.limit.duration());
        *this.state() = State::Failed;
        let writes = this.controller.get().own().wait(py, move |held| {
            held.hold(|ctrl| {
                let controller = &mut ctrl.controller;
                let access = single_write_within(controller, writer, limit, function)?;
                Ok(Holding::new(ControllerGuard::Call(Call::new(access))))
            })?;
            held.with_guard(|holding| match &holding.guard {
                ControllerGuard::Call(call) => call.is_writer(),
                _ => false,
            })
        })?;
        *this.state() = match writes {
            true => State::Writes(None),
            false => State::Waits,
        };
        Ok(slf)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _class: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let state = std::mem::replace(&mut *self.state(), State::Failed);
        match state {
            State::Writes(shared) if exception.is_none() => self.share_now(py, shared),
            State::Writes(_) => {
                let reason = text_of(exception);
                self.end(py, |access| {
                    if let Access::Writer(fence) = access {
                        // The program has the exception itself.
                        let _ = fence.fail(reason);
                    }
                    Ok(())
                })
            }
            State::Waits if exception.is_none() => self.collect_now(py).map(drop),
            State::Waits => self.end(py, |access| {
                if let Access::Excluded(fence) = access {
                    fence.skip();
                }
                Ok(())
            }),
            over => {
                *self.state() = over;
                Ok(())
            }
        }
    }

    /// Whether this rank writes.
    #[getter]
    fn writes(&self, py: Python<'_>) -> PyResult<bool> {
        match *self.state() {
            State::Writes(_) => return Ok(true),
            State::Waits | State::Over(_) | State::Failed => {}
            State::Fresh => return Err(self.misuse(py, "enter the single write by `with` before")),
        }
        Ok(self.writer == self.controller.get().this_rank())
    }

    /// On the writer: shares an object at the end of the block. It is pickled at once.
    fn share(&self, object: Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = object.py();
        if !matches!(*self.state(), State::Writes(_)) {
            return Err(self.wrong(py));
        }
        // At once, so that what cannot be pickled is an exception here.
        let bytes = pickled(&object)?;
        let object = object.unbind();
        *self.state() = State::Writes(Some((object.clone_ref(py), bytes)));
        Ok(object)
    }

    /// On another rank: waits for the object.
    fn collect(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let State::Over(object) = &*self.state() {
            return Ok(object.clone_ref(py));
        }
        if !matches!(*self.state(), State::Waits) {
            return Err(self.wrong(py));
        }
        *self.state() = State::Failed;
        self.collect_now(py)
    }

    /// The shared object.
    #[getter]
    fn value(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let message = match &*self.state() {
            State::Over(object) => return Ok(object.clone_ref(py)),
            State::Failed => "this single write has failed, so there is no object",
            _ => "the object is there after the `with` block, or by `collect`",
        };
        Err(self.misuse(py, message))
    }
}
