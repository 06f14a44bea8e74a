//! The semaphore: a limited number of permits.

use crate::limit::timeout;
use crate::object::Own;
use mpisync::sync::Permit;
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::held::{self, Held};
use mpisync_bindings::limit::Limit;
use pyo3::prelude::*;

/// A limited number of permits that ranks take and give back.
#[pyclass(frozen, module = "mpisync")]
pub struct Semaphore {
    own: Own<Held<mpisync::Semaphore>>,
    is_on_one_node: bool,
}

impl Semaphore {
    fn take(&self, py: Python<'_>, permits: u32, limit: Limit) -> PyResult<()> {
        let at_once = self.is_on_one_node;
        self.own.take(py, at_once, limit, move |held, limit| {
            held.lend(|semaphore, taken| {
                let permit = semaphore.acquire_many_timeout(permits, limit.duration())?;
                taken.get_or_insert_default().push(permit);
                Ok(())
            })
        })
    }

    fn give_back(&self, py: Python<'_>, permits: u32) -> PyResult<()> {
        self.end(py, permits, |permit| drop(permit))
    }

    /// Ends what one call has taken.
    fn end(
        &self,
        py: Python<'_>,
        permits: u32,
        end: impl FnOnce(Permit<'_>) + Send,
    ) -> PyResult<()> {
        self.own.wait(py, move |held| {
            let is_released = held.release(|mut taken, kept| {
                let place = taken.iter().rposition(|permit| permit.count() == permits);
                if let Some(place) = place {
                    end(taken.swap_remove(place));
                }
                *kept = (!taken.is_empty()).then_some(taken);
                place.is_some()
            })?;
            is_released.then_some(()).ok_or_else(|| {
                let message = format!(
                    "this rank has not taken {permits} permits in one call; release as many as a call has acquired"
                );
                Failure::new(Kind::NotHeld, message)
            })
        })
    }
}

#[pymethods]
impl Semaphore {
    #[new]
    #[pyo3(signature = (comm, permits, *, bounded = true, root = 0, name = None))]
    fn new(
        comm: &Bound<'_, PyAny>,
        permits: u32,
        bounded: bool,
        root: i32,
        name: Option<String>,
    ) -> PyResult<Self> {
        let own = Own::make(comm, name, move |comm, name| {
            Ok(Held::new(match comm {
                Some(comm) => {
                    let builder = mpisync::Semaphore::builder(comm, permits);
                    let builder = builder.root(root).name(name);
                    match bounded {
                        true => builder.build()?,
                        false => builder.unbounded().build()?,
                    }
                }
                None if bounded => mpisync::Semaphore::local(permits)?,
                None => mpisync::Semaphore::local_unbounded(permits)?,
            }))
        })?;
        let nodes = own.with(comm.py(), |held| {
            Ok(held.lend(|semaphore, _| semaphore.nodes()))
        })?;
        Ok(Semaphore {
            own,
            is_on_one_node: nodes == 1,
        })
    }

    #[pyo3(signature = (permits = 1, *, timeout = None))]
    fn acquire(&self, py: Python<'_>, permits: u32, timeout: Option<f64>) -> PyResult<()> {
        self.take(py, permits, self::timeout(py, timeout)?)
    }

    #[pyo3(signature = (permits = 1))]
    fn try_acquire(&self, py: Python<'_>, permits: u32) -> PyResult<bool> {
        self.own.wait(py, move |held| {
            held.lend(|semaphore, taken| {
                let limit = Limit::Try.duration();
                match semaphore
                    .acquire_many_timeout(permits, limit)
                    .map_err(Failure::from)
                {
                    Ok(permit) => {
                        taken.get_or_insert_default().push(permit);
                        Ok(true)
                    }
                    // This rank has those that are missing.
                    Err(Failure {
                        kind: Kind::Timeout | Kind::Held,
                        ..
                    }) => Ok(false),
                    Err(failure) => Err(failure),
                }
            })
        })
    }

    /// Gives permits back that one call has acquired.
    #[pyo3(signature = (permits = 1))]
    fn release(&self, py: Python<'_>, permits: u32) -> PyResult<()> {
        self.give_back(py, permits)
    }

    /// Permits in a `with` block.
    #[pyo3(signature = (permits = 1, *, timeout = None))]
    fn permits(slf: Bound<'_, Self>, permits: u32, timeout: Option<f64>) -> PyResult<Permits> {
        Ok(Permits {
            limit: self::timeout(slf.py(), timeout)?,
            semaphore: slf.unbind(),
            permits,
        })
    }

    /// Keeps permits that one call has acquired from being given back. Any rank may `add` them later.
    #[pyo3(signature = (permits = 1))]
    fn forget(&self, py: Python<'_>, permits: u32) -> PyResult<()> {
        self.end(py, permits, |permit| permit.forget())
    }

    /// Adds free permits: those that a rank has forgotten, or new ones if the semaphore is not bounded.
    #[pyo3(signature = (permits = 1))]
    fn add(&self, py: Python<'_>, permits: u32) -> PyResult<()> {
        self.own.wait(py, move |held| {
            Ok(held.lend(|semaphore, _| semaphore.release(permits))?)
        })
    }

    /// How many permits are free now.
    #[getter]
    fn available(&self, py: Python<'_>) -> PyResult<u32> {
        self.own.check_running(py)?;
        self.own.wait(py, |held| {
            Ok(held.lend(|semaphore, _| semaphore.available()))
        })
    }

    fn clear_poison(&self, py: Python<'_>) -> PyResult<bool> {
        self.own.wait(py, |held| {
            Ok(held.lend(|semaphore, _| semaphore.clear_poison())?)
        })
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let take = held::take_free::<mpisync::Semaphore>;
        self.own.close(py, take, |semaphore| Ok(semaphore.close()?))
    }

    #[getter]
    fn name(&self) -> &str {
        self.own.name()
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().take(slf.py(), 1, Limit::NEVER)?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.give_back(py, 1)
    }

    fn __repr__(&self) -> String {
        format!("<mpisync.Semaphore {:?}>", self.own.name())
    }
}

/// Permits of a semaphore, as a context manager.
#[pyclass(frozen, module = "mpisync")]
pub struct Permits {
    semaphore: Py<Semaphore>,
    permits: u32,
    limit: Limit,
}

#[pymethods]
impl Permits {
    fn __enter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Semaphore>> {
        self.semaphore.get().take(py, self.permits, self.limit)?;
        Ok(self.semaphore.bind(py).clone())
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        self.semaphore.get().give_back(py, self.permits)
    }
}
