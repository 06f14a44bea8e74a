//! The counter: numbers that are given out once.

use crate::object::Own;
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::handle;
use mpisync_bindings::objects::Numbers;
use pyo3::prelude::*;
use pyo3::types::PyRange;
use std::sync::{Mutex, PoisonError};

/// A number that all ranks increment together.
#[pyclass(frozen, module = "mpisync")]
pub struct Counter {
    own: Own<Numbers>,
    step: i64,
    is_on_one_node: bool,
}

impl Counter {
    /// Calls `act`, which waits for an answer of the root's node if the ranks are on several.
    fn call(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut Numbers) -> Result<i64, Failure> + Send,
    ) -> PyResult<i64> {
        match self.is_on_one_node {
            true => self.own.with(py, act),
            false => self.own.wait(py, act),
        }
    }

    /// The first of the next `count` numbers.
    fn take(&self, py: Python<'_>, count: u64) -> PyResult<i64> {
        self.call(py, move |counter| {
            let first = counter.try_reserve(count)?.next();
            first.ok_or_else(|| Failure::argument("`count` is 0; take 1 at least".into()))
        })
    }
}

#[pymethods]
impl Counter {
    #[new]
    #[pyo3(signature = (comm, *, start = 0, step = 1, root = 0, name = None))]
    fn new(
        comm: &Bound<'_, PyAny>,
        start: i64,
        step: i64,
        root: i32,
        name: Option<String>,
    ) -> PyResult<Self> {
        let own = Own::make(comm, name, move |comm, name| {
            Ok(match comm {
                Some(comm) => Numbers::builder(comm)
                    .root(root)
                    .start(start)
                    .step(step)
                    .name(name)
                    .build()?,
                None => Numbers::local_from(start, step)?,
            })
        })?;
        let is_on_one_node = own.with(comm.py(), |counter| Ok(counter.nodes() == 1))?;
        Ok(Counter {
            own,
            step,
            is_on_one_node,
        })
    }

    /// Takes the next number.
    fn next(&self, py: Python<'_>) -> PyResult<i64> {
        self.call(py, |counter| Ok(counter.try_next()?))
    }

    /// Adds to the counter. Returns what it was before.
    fn add(&self, py: Python<'_>, amount: i64) -> PyResult<i64> {
        self.call(py, move |counter| Ok(counter.try_add(amount)?))
    }

    /// The next number, which stays.
    fn get(&self, py: Python<'_>) -> PyResult<i64> {
        self.call(py, |counter| Ok(counter.try_add(0)?))
    }

    /// Takes the next `count` numbers.
    fn reserve<'py>(&self, py: Python<'py>, count: u64) -> PyResult<Bound<'py, PyRange>> {
        let first = self.take(py, count)?;
        let length = i64::try_from(count).unwrap_or(i64::MAX);
        let end = length
            .checked_mul(self.step)
            .and_then(|numbers| first.checked_add(numbers));
        let end = end.ok_or_else(|| {
            let message = format!("{count} numbers are more than there are");
            self.own.exception(py, Failure::new(Kind::UsedUp, message))
        })?;
        PyRange::new_with_step(py, first as isize, end as isize, self.step as isize)
    }

    /// The numbers up to `end`, each on one rank, which takes `block` of them at a time.
    #[pyo3(signature = (end, *, block = 1))]
    fn up_to(slf: Bound<'_, Self>, end: i64, block: u64) -> PyResult<UpTo> {
        if block == 0 {
            let failure = Failure::argument("`block` is 0; take 1 at least".into());
            return Err(slf.get().own.exception(slf.py(), failure));
        }
        Ok(UpTo {
            counter: slf.unbind(),
            end,
            block,
            left: Mutex::new((0, 0)),
        })
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let take = |counter| handle::remove::<Numbers>(counter, |_| Ok(()));
        self.own.close(py, take, |counter| Ok(counter.close()?))
    }

    #[getter]
    fn step(&self) -> i64 {
        self.step
    }

    #[getter]
    fn name(&self) -> &str {
        self.own.name()
    }

    fn __repr__(&self) -> String {
        format!("<mpisync.Counter {:?}>", self.own.name())
    }
}

/// The numbers of a counter up to an end, each on one rank.
#[pyclass(frozen, module = "mpisync")]
pub struct UpTo {
    counter: Py<Counter>,
    end: i64,
    block: u64,
    /// The next number that this rank has taken, and how many it has.
    left: Mutex<(i64, u64)>,
}

#[pymethods]
impl UpTo {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<i64>> {
        let counter = self.counter.get();
        let (mut number, mut count) = *self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if count == 0 {
            (number, count) = (counter.take(py, self.block)?, self.block);
        }
        let is_over = match counter.step > 0 {
            true => number >= self.end,
            false => number <= self.end,
        };
        let next = number.saturating_add(counter.step);
        let left = if is_over {
            (number, count)
        } else {
            (next, count - 1)
        };
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
        Ok((!is_over).then_some(number))
    }
}
