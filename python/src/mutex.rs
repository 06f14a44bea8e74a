//! The mutex: a lock granted in the order of arrival.

use crate::limit::timeout;
use crate::object::Own;
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::held::{self, Held};
use mpisync_bindings::limit::Limit;
use pyo3::prelude::*;

/// A lock that all ranks of a communicator share, granted in the order of arrival.
#[pyclass(frozen, module = "mpisync")]
pub struct Mutex {
    own: Own<Held<mpisync::Mutex>>,
    is_on_one_node: bool,
}

impl Mutex {
    fn lock(&self, py: Python<'_>, limit: Limit) -> PyResult<()> {
        self.own
            .take(py, self.is_on_one_node, limit, |held, limit| {
                held.hold(|mutex| Ok(mutex.lock_timeout(limit.duration())?))
            })
    }

    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        self.own
            .with(py, |held| held.release(|guard, _| drop(guard)))
    }

    /// Releases the lock at the end of a `with` block. A wait of a condition that was given up in the block has released
    /// it before.
    fn leave(&self, py: Python<'_>, exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.own
            .with(py, |held| match held.is_held() || exception.is_none() {
                true => held.release(|guard, _| drop(guard)),
                false => Ok(()),
            })
    }

    pub fn own(&self) -> &Own<Held<mpisync::Mutex>> {
        &self.own
    }
}

#[pymethods]
impl Mutex {
    #[new]
    #[pyo3(signature = (comm, *, root = 0, name = None))]
    fn new(comm: &Bound<'_, PyAny>, root: i32, name: Option<String>) -> PyResult<Self> {
        let own = Own::make(comm, name, move |comm, name| {
            Ok(Held::new(match comm {
                Some(comm) => mpisync::Mutex::builder(comm)
                    .root(root)
                    .name(name)
                    .build()?,
                None => mpisync::Mutex::local(),
            }))
        })?;
        let is_on_one_node = own.with(comm.py(), |held| Ok(held.owner()?.nodes() == 1))?;
        Ok(Mutex {
            own,
            is_on_one_node,
        })
    }

    /// Takes the lock; waits behind the ranks that came before. Raises `TimedOut`.
    #[pyo3(signature = (timeout = None))]
    fn acquire(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<()> {
        self.lock(py, self::timeout(py, timeout)?)
    }

    /// Takes the lock if it is free. Returns whether it was.
    fn try_acquire(&self, py: Python<'_>) -> PyResult<bool> {
        self.own.wait(py, |held| {
            let taken = held.hold(|mutex| Ok(mutex.lock_timeout(Limit::Try.duration())?));
            match taken {
                Ok(()) => Ok(true),
                Err(Failure {
                    kind: Kind::Timeout,
                    ..
                }) => Ok(false),
                Err(failure) => Err(failure),
            }
        })
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.unlock(py)
    }

    /// The lock with a time limit, in a `with` block.
    #[pyo3(name = "lock", signature = (timeout = None))]
    fn lock_within(slf: Bound<'_, Self>, timeout: Option<f64>) -> PyResult<MutexLock> {
        let limit = self::timeout(slf.py(), timeout)?;
        Ok(MutexLock {
            mutex: slf.unbind(),
            limit,
        })
    }

    /// Takes the lock in place of a rank that died with it. Returns whether one has.
    fn take_over(&self, py: Python<'_>) -> PyResult<bool> {
        self.own
            .wait(py, |held| held.hold_some(|mutex| Ok(mutex.take_over()?)))
    }

    fn clear_poison(&self, py: Python<'_>) -> PyResult<bool> {
        self.own.wait(py, |held| Ok(held.owner()?.clear_poison()?))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.own
            .close(py, held::take_free::<mpisync::Mutex>, |mutex| {
                Ok(mutex.close()?)
            })
    }

    /// Whether this rank holds the lock.
    #[getter]
    fn held(&self, py: Python<'_>) -> PyResult<bool> {
        self.own.with(py, |held| Ok(held.is_held()))
    }

    #[getter]
    fn name(&self) -> &str {
        self.own.name()
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().lock(slf.py(), Limit::NEVER)?;
        Ok(slf)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _class: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.leave(py, exception)
    }

    fn __repr__(&self) -> String {
        format!("<mpisync.Mutex {:?}>", self.own.name())
    }
}

/// A lock of a mutex with a time limit, as a context manager.
#[pyclass(frozen, module = "mpisync")]
pub struct MutexLock {
    mutex: Py<Mutex>,
    limit: Limit,
}

#[pymethods]
impl MutexLock {
    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Mutex>> {
        self.mutex.get().lock(py, self.limit)?;
        Ok(self.mutex.bind(py).clone())
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        _class: &Bound<'_, PyAny>,
        exception: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        self.mutex.get().leave(py, exception)
    }
}
