//! The region: memory that the ranks of a node share, lent to arrays of numpy.

use crate::errors::text_of;
use crate::limit::timeout;
use crate::object::Own;
use crate::pickle::{pickled, unpickled};
use crate::site::{self, interned};
use mpisync::__private::{Function, update_on};
use mpisync::ndarray::{Ix2, s};
use mpisync::{CollectiveError, RegionError, RegionWriteGuard};
use mpisync_bindings::block::runs;
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::handle::{self, Object};
use mpisync_bindings::held::Held;
use mpisync_bindings::limit::Limit;
use mpisync_bindings::objects::{Items, RegionGuard};
use pyo3::exceptions::PyKeyError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::fmt;
use std::mem;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;

/// A region, and the count of the arrays that use its memory.
struct Memory {
    /// None once it is closed.
    held: Option<Held<Items>>,
    lent: Arc<()>,
}

impl Object for Memory {
    const KIND: &'static str = "region";
}

impl Memory {
    fn held(&mut self) -> Result<&mut Held<Items>, Failure> {
        let closed = || Failure::new(Kind::Handle, "the region is closed".to_owned());
        self.held.as_mut().ok_or_else(closed)
    }

    /// Checks that no array of the memory is left.
    fn check_not_lent(&self) -> Result<(), Failure> {
        if Arc::strong_count(&self.lent) == 1 {
            return Ok(());
        }
        let message = "an array of the region's memory is still there, perhaps as the variable of a `with` block; `del` it, or \
                       let the garbage collector free the region";
        Err(Failure::new(Kind::Held, message.to_owned()))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.check_not_lent().is_err() {
            // Its thread ends, and another one has an array. The memory stays.
            mem::forget(self.held.take());
        }
    }
}

/// Memory that the ranks of a node share, with a reader-writer lock.
#[pyclass(frozen, module = "mpisync")]
pub struct RegionMemory {
    own: Own<Memory>,
    shape: Vec<usize>,
    item_size: usize,
    rank: i32,
    size: i32,
    master: i32,
}

/// The memory that a guard lends: its address and length, and the count of the arrays that use it.
struct Loan {
    address: usize,
    length: usize,
    lent: Arc<()>,
}

/// Memory that an array uses, as numpy asks for it.
#[pyclass(frozen, module = "mpisync")]
pub struct Lent {
    address: usize,
    length: usize,
    writable: bool,
    /// Dropped before the region, which is freed with the last array only if it counts none any more.
    _lent: Arc<()>,
    /// Keeps the region from being freed.
    _region: Py<RegionMemory>,
}

#[pymethods]
impl Lent {
    /// The array of bytes that this memory is, see numpy's array interface.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        interface.set_item(intern!(py, "version"), 3)?;
        interface.set_item(intern!(py, "typestr"), "|u1")?;
        interface.set_item(intern!(py, "shape"), (self.length,))?;
        interface.set_item(intern!(py, "data"), (self.address, !self.writable))?;
        Ok(interface)
    }
}

/// Why an update has failed: what changes the memory has raised an exception here, or the call has failed.
enum NoUpdate {
    Raised(PyErr, String),
    Failed(CollectiveError),
}

impl From<CollectiveError> for NoUpdate {
    fn from(error: CollectiveError) -> Self {
        NoUpdate::Failed(error)
    }
}

impl fmt::Display for NoUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoUpdate::Raised(_, text) => f.write_str(text),
            NoUpdate::Failed(error) => error.fmt(f),
        }
    }
}

impl RegionMemory {
    /// Memory for arrays.
    fn lend(slf: &Bound<'_, Self>, loan: Loan, writable: bool) -> Lent {
        Lent {
            address: loan.address,
            length: loan.length,
            writable,
            _region: slf.clone().unbind(),
            _lent: loan.lent,
        }
    }

    /// Lets `write` change the memory on one rank, and returns its bytes on all. Collective.
    fn write_on(
        &self,
        py: Python<'_>,
        rank: i32,
        call: Function,
        write: impl FnOnce(&mut Guard<'_>, Arc<()>) -> PyResult<Vec<u8>> + Send,
    ) -> PyResult<Vec<u8>> {
        let mut raised = None;
        let outcome = self.own.wait(py, |memory| {
            let lent = Arc::clone(&memory.lent);
            let write = |guard: &mut Guard<'_>| {
                write(guard, lent).map_err(|error| {
                    let text = Python::attach(|py| text_of(error.value(py).as_any()));
                    NoUpdate::Raised(error, text)
                })
            };
            let outcome = update_on(memory.held()?.owner()?, rank, call, write);
            outcome.map_err(|error| match error {
                NoUpdate::Failed(error) => error.into(),
                NoUpdate::Raised(error, text) => {
                    raised = Some(error);
                    Failure::new(Kind::WriterFailed, text)
                }
            })
        });
        match raised {
            Some(error) => Err(error),
            None => outcome,
        }
    }

    /// Copies an array of numpy in row-major order, the first item to the index `first`.
    fn copy(&self, items: &Bound<'_, PyAny>, first: &[i64], guard: &mut Guard<'_>) -> PyResult<()> {
        let py = items.py();
        let argument = |message| self.own.exception(py, Failure::argument(message));
        let interface = items.getattr(intern!(py, "__array_interface__"))?;
        let interface = interface.cast::<PyDict>()?;
        let field = |name| {
            interface
                .get_item(name)?
                .ok_or_else(|| PyKeyError::new_err(name))
        };
        let shape: Vec<usize> = field("shape")?.extract()?;
        let (source, _): (usize, bool) = field("data")?.extract()?;
        let bytes: usize = items.getattr(intern!(py, "nbytes"))?.extract()?;
        let has_gaps = interface
            .get_item("strides")?
            .is_some_and(|strides| !strides.is_none());
        if has_gaps || bytes != shape.iter().product::<usize>() * self.item_size {
            let message = "the array is not in row-major order, or its items have another size";
            return Err(argument(message.to_owned()));
        }
        let runs = runs(&self.shape, first, &shape).ok_or_else(|| {
            argument(format!(
                "items of the shape {shape:?} at {first:?} do not fit into the shape {:?}",
                self.shape
            ))
        })?;
        let mut source = ptr::with_exposed_provenance::<u8>(source);
        for run in runs {
            let mut target = guard.slice_mut(s![run, ..]);
            // SAFETY: numpy's array interface gives the address of its `nbytes` bytes, which lie in one piece, and the array
            // is borrowed, so they stay. `runs` has as many items as the array, so `source` stays in it. Other threads of
            // Python do not change it, because this one has the interpreter lock. It may be an array of the same memory:
            // neither is a reference here, and `copy` is for memory that overlaps.
            unsafe {
                ptr::copy(source, target.as_mut_ptr(), target.len());
                source = source.add(target.len());
            }
        }
        Ok(())
    }
}

/// What lends the bytes for writing, an item in each row.
type Guard<'a> = RegionWriteGuard<'a, u8, Ix2>;

/// Why a part is not to be had.
fn no_part(error: RegionError) -> Failure {
    match error {
        RegionError::Lock(error) => error.into(),
        error => Failure::argument(error.to_string()),
    }
}

/// The address and length of the bytes that a guard lends for writing.
fn bytes_of(bytes: &mut [u8]) -> (usize, usize) {
    (bytes.as_mut_ptr().expose_provenance(), bytes.len())
}

impl Memory {
    /// The memory that the guard lends that this rank holds.
    fn loan(&mut self) -> Result<Loan, Failure> {
        let (address, length) = self.held()?.with_guard(|guard| match guard {
            RegionGuard::Read(items) => (items.as_ptr().expose_provenance(), items.len()),
            RegionGuard::Write(items) => bytes_of(items.as_slice_mut()),
            RegionGuard::Part(items) => bytes_of(items.as_slice_mut()),
        })?;
        Ok(Loan {
            address,
            length,
            lent: Arc::clone(&self.lent),
        })
    }
}

#[pymethods]
impl RegionMemory {
    #[new]
    #[pyo3(signature = (comm, shape, item_size, *, master, name))]
    fn new(
        comm: &Bound<'_, PyAny>,
        shape: Vec<usize>,
        item_size: usize,
        master: i32,
        name: String,
    ) -> PyResult<Self> {
        let items = (shape.iter()).try_fold(1, |items: usize, axis| items.checked_mul(*axis));
        let own = Own::make(comm, Some(name), move |comm, name| {
            // Of too many items the library says so.
            let shape = [items.unwrap_or(usize::MAX), item_size];
            let region = match comm {
                Some(comm) => {
                    let builder = Items::builder(comm, shape);
                    builder.master(master).name(name).build()?
                }
                None => Items::local(shape)?,
            };
            Ok(Memory {
                held: Some(Held::new(region)),
                lent: Arc::new(()),
            })
        })?;
        let facts = |memory: &mut Memory| {
            let region = memory.held()?.owner()?;
            Ok((region.rank(), region.size(), region.master()))
        };
        let (rank, size, master) = own.with(comm.py(), facts)?;
        Ok(RegionMemory {
            own,
            shape,
            item_size,
            rank,
            size,
            master,
        })
    }

    #[pyo3(signature = (timeout = None))]
    fn lock_read(slf: &Bound<'_, Self>, timeout: Option<f64>) -> PyResult<Lent> {
        let limit = self::timeout(slf.py(), timeout)?.duration();
        let lent = slf.get().own.wait(slf.py(), move |memory| {
            let held = memory.held()?;
            held.hold(|region| Ok(RegionGuard::Read(region.read_timeout(limit)?)))?;
            memory.loan()
        })?;
        Ok(Self::lend(slf, lent, false))
    }

    #[pyo3(signature = (timeout = None))]
    fn lock_write(slf: &Bound<'_, Self>, timeout: Option<f64>) -> PyResult<Lent> {
        let limit: Limit = self::timeout(slf.py(), timeout)?;
        let lent = slf.get().own.wait(slf.py(), move |memory| {
            let held = memory.held()?;
            held.hold(|region| {
                let limit = limit.for_writing(region.nodes());
                Ok(RegionGuard::Write(region.write_timeout(limit)?))
            })?;
            memory.loan()
        })?;
        Ok(Self::lend(slf, lent, true))
    }

    /// Lends the items from `start` to before `stop` for writing.
    #[pyo3(signature = (start, stop, timeout = None))]
    fn lock_part(
        slf: &Bound<'_, Self>,
        start: usize,
        stop: usize,
        timeout: Option<f64>,
    ) -> PyResult<Lent> {
        let limit: Limit = self::timeout(slf.py(), timeout)?;
        let lent = slf.get().own.wait(slf.py(), move |memory| {
            let held = memory.held()?;
            held.hold(|region| {
                let limit = limit.for_writing(region.nodes());
                let part = region.write_part_timeout(start..stop, limit);
                Ok(RegionGuard::Part(part.map_err(no_part)?))
            })?;
            memory.loan()
        })?;
        Ok(Self::lend(slf, lent, true))
    }

    /// Releases the lock. If the region spans nodes, waits until all have what was written.
    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        self.own.wait(py, |memory| {
            memory.held()?.release(|guard, _| match guard {
                RegionGuard::Read(guard) => {
                    drop(guard);
                    Ok(())
                }
                RegionGuard::Write(mut guard) => Ok(guard.publish()?),
                RegionGuard::Part(mut guard) => Ok(guard.publish()?),
            })?
        })
    }

    fn take_over(slf: &Bound<'_, Self>) -> PyResult<Option<Lent>> {
        let lent = slf.get().own.wait(slf.py(), |memory| {
            let held = memory.held()?;
            let taken = held.hold_some(|region| Ok(region.take_over()?.map(RegionGuard::Write)))?;
            if !taken {
                return Ok(None);
            }
            memory.loan().map(Some)
        })?;
        Ok(lent.map(|lent| Self::lend(slf, lent, true)))
    }

    fn clear_poison(&self, py: Python<'_>) -> PyResult<bool> {
        self.own.wait(py, |memory| {
            Ok(memory.held()?.owner()?.clear_poison()?.is_some())
        })
    }

    /// Lets `function` change the memory on one rank, and returns what it returns on all. Collective.
    #[pyo3(signature = (function, rank, name = None))]
    fn update(
        slf: &Bound<'_, Self>,
        function: Bound<'_, PyAny>,
        rank: i32,
        name: Option<&str>,
    ) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let name = match name {
            Some(name) => format!("update {name}"),
            None => format!("update {}", site::caller(py)?),
        };
        let call = Function {
            label: interned(&name),
            place: Location::caller(),
        };
        let (region, function) = (slf.clone().unbind(), function.unbind());
        let mut returned = None;
        let bytes = slf.get().write_on(py, rank, call, |guard, lent| {
            let (address, length) = bytes_of(guard.as_slice_mut());
            let loan = Loan {
                address,
                length,
                lent,
            };
            Python::attach(|py| {
                let lent = Self::lend(region.bind(py), loan, true);
                let object = function.call1(py, (lent,))?;
                let bytes = pickled(object.bind(py))?.as_bytes(py).to_vec();
                returned = Some(object);
                Ok(bytes)
            })
        })?;
        match returned {
            Some(object) => Ok(object),
            None => unpickled(py, &bytes),
        }
    }

    /// Copies items of `root` into the memory. `prepare` is called there, and returns them as an array in row-major order, and
    /// the index of the first one. Collective.
    fn set(&self, py: Python<'_>, prepare: Bound<'_, PyAny>, root: i32) -> PyResult<()> {
        let prepare = prepare.unbind();
        let call = Function {
            label: "set",
            place: Location::caller(),
        };
        self.write_on(py, root, call, |guard, _| {
            Python::attach(|py| {
                let (items, first): (Bound<'_, PyAny>, Vec<i64>) =
                    prepare.bind(py).call0()?.extract()?;
                self.copy(&items, &first, guard)?;
                Ok(Vec::new())
            })
        })?;
        Ok(())
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let take = |memory| {
            handle::remove::<Memory>(memory, |memory| {
                memory.held()?.check_free()?;
                memory.check_not_lent()
            })
        };
        self.own
            .close(py, take, |mut memory| match memory.held.take() {
                Some(held) => Ok(held.into_owner().close()?),
                None => Ok(()),
            })
    }

    #[getter]
    fn name(&self) -> &str {
        self.own.name()
    }

    #[getter]
    fn rank(&self) -> i32 {
        self.rank
    }

    #[getter]
    fn size(&self) -> i32 {
        self.size
    }

    #[getter]
    fn master(&self) -> i32 {
        self.master
    }
}
