//! The condition: ranks wait under a mutex until another rank notifies them.

use crate::limit::timeout;
use crate::mutex::Mutex;
use crate::object::Own;
use mpisync::sync::Wake;
use mpisync_bindings::handle;
use pyo3::prelude::*;

/// A condition that ranks wait for under a mutex.
#[pyclass(frozen, module = "mpisync")]
pub struct Condvar {
    own: Own<mpisync::Condvar>,
}

#[pymethods]
impl Condvar {
    #[new]
    #[pyo3(signature = (comm, *, root = 0, name = None))]
    fn new(comm: &Bound<'_, PyAny>, root: i32, name: Option<String>) -> PyResult<Self> {
        let own = Own::make(comm, name, move |comm, name| {
            Ok(match comm {
                Some(comm) => {
                    let builder = mpisync::Condvar::builder(comm);
                    builder.root(root).name(name).build()?
                }
                None => mpisync::Condvar::local(),
            })
        })?;
        Ok(Condvar { own })
    }

    /// Releases the mutex, waits for a notification, and takes the mutex again. Returns False after the time limit.
    #[pyo3(signature = (mutex, *, timeout = None))]
    fn wait(&self, py: Python<'_>, mutex: &Mutex, timeout: Option<f64>) -> PyResult<bool> {
        let limit = self::timeout(py, timeout)?.duration();
        let condition = self.own.handle(py)?;
        mutex.own().wait(py, move |held| {
            held.release(|guard, kept| {
                handle::with::<mpisync::Condvar, _>(condition, |condition| {
                    let (guard, wake) = condition.wait_timeout(guard, limit)?;
                    *kept = Some(guard);
                    Ok(wake == Wake::Notified)
                })
            })?
        })
    }

    /// Wakes the ranks that have waited longest. Returns how many.
    #[pyo3(signature = (most = 1))]
    fn notify(&self, py: Python<'_>, most: u32) -> PyResult<u32> {
        self.own.check_running(py)?;
        self.own
            .wait(py, move |condition| Ok(condition.notify(most)))
    }

    fn notify_all(&self, py: Python<'_>) -> PyResult<u32> {
        self.notify(py, u32::MAX)
    }

    fn clear_poison(&self, py: Python<'_>) -> PyResult<bool> {
        self.own.wait(py, |condition| Ok(condition.clear_poison()?))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let take = |condition| handle::remove::<mpisync::Condvar>(condition, |_| Ok(()));
        self.own.close(py, take, |condition| Ok(condition.close()?))
    }

    #[getter]
    fn name(&self) -> &str {
        self.own.name()
    }

    fn __repr__(&self) -> String {
        format!("<mpisync.Condvar {:?}>", self.own.name())
    }
}
