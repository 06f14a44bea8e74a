//! The controller: a reader-writer lock, and the calls that ranks make under it.

use crate::collective::Collective;
use crate::limit::timeout;
use crate::object::Own;
use crate::single_write::SingleWrite;
use mpisync::{UpgradeError, WindowController};
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::held::{self, Held, Lend};
use mpisync_bindings::limit::Limit;
use mpisync_bindings::objects::ControllerGuard;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicU8, Ordering};

/// A controller, and the collective calls that this rank is in.
pub struct Ctrl {
    pub controller: WindowController,
    pub collectives: Vec<mpisync::Collective>,
}

/// What this rank holds of a controller. A lock that it takes again inside itself is counted.
pub struct Holding<'a> {
    pub guard: ControllerGuard<'a>,
    depth: u32,
}

impl<'a> Holding<'a> {
    pub fn new(guard: ControllerGuard<'a>) -> Self {
        Holding { guard, depth: 1 }
    }

    /// Takes the lock once more. A writer may read and write.
    fn enter_again(&mut self, mode: Mode) -> Result<(), Failure> {
        let message = match (&self.guard, mode) {
            (ControllerGuard::Write(_), _) | (ControllerGuard::Read(_), Mode::Read) => {
                self.depth += 1;
                return Ok(());
            }
            (ControllerGuard::Read(_), Mode::Write) => {
                "this rank holds the lock for reading, and would wait for itself; leave the `with` block before, or call \
                 `upgrade()` of its guard"
            }
            (ControllerGuard::Call(_), _) => {
                "a single write has begun on this rank; its writer has the lock already, and the others have to collect"
            }
        };
        Err(Failure::new(Kind::Held, message.to_owned()))
    }
}

impl Lend for Ctrl {
    type Guard<'a> = Holding<'a>;
    const KIND: &'static str = "controller";
    const HOLDS: &'static str = "the lock, or a single write,";
}

/// How a lock is held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    Write,
}

/// Takes the lock.
fn take(held: &mut Held<Ctrl>, mode: Mode, limit: Limit) -> Result<(), Failure> {
    if held.is_held() {
        return held.with_guard(|holding| holding.enter_again(mode))?;
    }
    held.hold(|ctrl| {
        let controller = &mut ctrl.controller;
        Ok(Holding::new(match mode {
            Mode::Read => ControllerGuard::Read(controller.read_timeout(limit.duration())?),
            Mode::Write => {
                let limit = limit.for_writing(controller.nodes());
                ControllerGuard::Write(controller.write_timeout(limit)?)
            }
        }))
    })
}

/// A reader-writer lock that all ranks of a communicator share.
#[pyclass(frozen, module = "mpisync")]
pub struct Controller {
    own: Own<Held<Ctrl>>,
    rank: i32,
    size: i32,
    master: i32,
    is_on_one_node: bool,
}

impl Controller {
    pub fn own(&self) -> &Own<Held<Ctrl>> {
        &self.own
    }

    pub fn this_rank(&self) -> i32 {
        self.rank
    }

    pub fn master(&self) -> i32 {
        self.master
    }

    fn lock(&self, py: Python<'_>, mode: Mode, limit: Limit) -> PyResult<()> {
        let at_once = mode == Mode::Read || self.is_on_one_node;
        self.own.take(py, at_once, limit, move |held, limit| {
            take(held, mode, limit)
        })
    }

    fn unlock(&self, py: Python<'_>) -> PyResult<()> {
        self.own.with(py, |held| {
            held.release(|mut holding, kept| {
                if let ControllerGuard::Call(_) = holding.guard {
                    *kept = Some(holding);
                    let message =
                        "a single write has begun on this rank, and no lock is held besides";
                    return Err(Failure::new(Kind::Held, message.to_owned()));
                }
                holding.depth -= 1;
                *kept = (holding.depth > 0).then_some(holding);
                Ok(())
            })?
        })
    }

    fn guard(slf: Bound<'_, Self>, mode: Mode, timeout: Option<f64>) -> PyResult<Guard> {
        Ok(Guard {
            limit: self::timeout(slf.py(), timeout)?,
            controller: slf.unbind(),
            mode,
            state: AtomicU8::new(FRESH),
        })
    }

    fn try_guard(slf: Bound<'_, Self>, mode: Mode) -> PyResult<Option<Guard>> {
        let py = slf.py();
        let guard = Self::guard(slf, mode, Some(0.0))?;
        match guard.acquire(py) {
            Ok(()) => Ok(Some(guard)),
            Err(error) if error.is_instance_of::<pyo3::exceptions::PyTimeoutError>(py) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[pymethods]
impl Controller {
    #[new]
    #[pyo3(signature = (comm, *, master = 0, name = None))]
    fn new(comm: &Bound<'_, PyAny>, master: i32, name: Option<String>) -> PyResult<Self> {
        let own = Own::make(comm, name, move |comm, name| {
            let controller = match comm {
                Some(comm) => WindowController::builder(comm)
                    .master(master)
                    .name(name)
                    .build()?,
                None => WindowController::local(),
            };
            Ok(Held::new(Ctrl {
                controller,
                collectives: Vec::new(),
            }))
        })?;
        let facts = |held: &mut Held<Ctrl>| {
            let controller = &held.owner()?.controller;
            let (rank, size) = (controller.rank(), controller.size());
            Ok((rank, size, controller.master(), controller.nodes() == 1))
        };
        let (rank, size, master, is_on_one_node) = own.with(comm.py(), facts)?;
        Ok(Controller {
            own,
            rank,
            size,
            master,
            is_on_one_node,
        })
    }

    /// The lock for reading, in a `with` block. Waits while another rank writes or waits to write.
    #[pyo3(signature = (*, timeout = None))]
    fn read(slf: Bound<'_, Self>, timeout: Option<f64>) -> PyResult<Guard> {
        Self::guard(slf, Mode::Read, timeout)
    }

    /// The lock for writing, in a `with` block. Waits until no other rank reads or writes.
    #[pyo3(signature = (*, timeout = None))]
    fn write(slf: Bound<'_, Self>, timeout: Option<f64>) -> PyResult<Guard> {
        Self::guard(slf, Mode::Write, timeout)
    }

    /// The lock for reading, taken already; None if it is not free.
    fn try_read(slf: Bound<'_, Self>) -> PyResult<Option<Guard>> {
        Self::try_guard(slf, Mode::Read)
    }

    /// The lock for writing, taken already; None if it is not free.
    fn try_write(slf: Bound<'_, Self>) -> PyResult<Option<Guard>> {
        Self::try_guard(slf, Mode::Write)
    }

    /// A call in which `rank`, by default the master, writes under the write lock. Collective.
    ///
    /// The ranks compare the place of the call, or its `name`.
    #[pyo3(signature = (rank = None, *, timeout = None, name = None))]
    fn single_write(
        slf: Bound<'_, Self>,
        rank: Option<i32>,
        timeout: Option<f64>,
        name: Option<String>,
    ) -> PyResult<SingleWrite> {
        SingleWrite::new(slf, rank, timeout, name)
    }

    /// A call that all ranks make, and whose outcome they agree on. Collective.
    ///
    /// The ranks compare the place of the call, or its `name`.
    #[pyo3(signature = (name = None))]
    fn collective(slf: Bound<'_, Self>, name: Option<String>) -> Collective {
        Collective::new(slf, name)
    }

    /// The write lock in place of a rank that died with it, taken already; None if no rank has.
    fn take_over(slf: Bound<'_, Self>) -> PyResult<Option<Guard>> {
        let py = slf.py();
        let guard = Self::guard(slf, Mode::Write, None)?;
        let own = &guard.controller.get().own;
        let taken = own.wait(py, |held| {
            held.hold_some(|ctrl| {
                let guard = ctrl.controller.take_over()?;
                Ok(guard.map(|guard| Holding::new(ControllerGuard::Write(guard))))
            })
        })?;
        guard.state.store(HELD, Ordering::Relaxed);
        Ok(taken.then_some(guard))
    }

    /// Makes the lock usable again after the death of a rank that wrote. Returns whether there was one.
    fn clear_poison(&self, py: Python<'_>) -> PyResult<bool> {
        self.own
            .wait(py, |held| Ok(held.owner()?.controller.clear_poison()?))
    }

    /// Frees the memory on all ranks. Collective.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.own.close(py, held::take_free::<Ctrl>, |ctrl| {
            Ok(ctrl.controller.close()?)
        })
    }

    #[getter]
    fn rank(&self) -> i32 {
        self.rank
    }

    #[getter]
    fn size(&self) -> i32 {
        self.size
    }

    #[getter(master)]
    fn master_rank(&self) -> i32 {
        self.master
    }

    #[getter]
    fn name(&self) -> &str {
        self.own.name()
    }

    fn __repr__(&self) -> String {
        format!(
            "<mpisync.Controller {:?}, rank {} of {}>",
            self.own.name(),
            self.rank,
            self.size
        )
    }
}

/// [`Guard`]: not entered yet.
const FRESH: u8 = 0;
/// [`Guard`]: this rank holds the lock.
const HELD: u8 = 1;
/// [`Guard`]: the lock is released.
const OVER: u8 = 2;

/// A lock of a controller, as a context manager.
#[pyclass(frozen, module = "mpisync")]
pub struct Guard {
    controller: Py<Controller>,
    mode: Mode,
    limit: Limit,
    /// Changed by the thread of the controller only.
    state: AtomicU8,
}

impl Guard {
    fn acquire(&self, py: Python<'_>) -> PyResult<()> {
        self.controller.get().lock(py, self.mode, self.limit)?;
        self.state.store(HELD, Ordering::Relaxed);
        Ok(())
    }

    fn check_held(&self, py: Python<'_>) -> PyResult<()> {
        let message = match self.state.load(Ordering::Relaxed) {
            HELD => return Ok(()),
            FRESH => "the lock is not taken yet; enter the guard by `with`",
            _ => "this guard has ended, and its lock is released; take another one",
        };
        Err(self.controller.get().own.misuse(py, message))
    }

    /// Replaces the lock of this rank by what `change` makes of it.
    fn change(
        &self,
        py: Python<'_>,
        change: impl for<'a> FnOnce(
            ControllerGuard<'a>,
        ) -> (Option<ControllerGuard<'a>>, Result<(), Failure>)
        + Send,
    ) -> PyResult<()> {
        self.check_held(py)?;
        let (holds, outcome) = self.controller.get().own.wait(py, |held| {
            held.release(|holding, kept| {
                if holding.depth > 1 {
                    *kept = Some(holding);
                    let message = "this rank has taken the lock several times; leave the inner `with` blocks before";
                    return (true, Err(Failure::new(Kind::Held, message.to_owned())));
                }
                let (guard, outcome) = change(holding.guard);
                *kept = guard.map(Holding::new);
                (kept.is_some(), outcome)
            })
        })?;
        if !holds {
            self.state.store(OVER, Ordering::Relaxed);
        }
        outcome.map_err(|failure| self.controller.get().own.exception(py, failure))
    }
}

#[pymethods]
impl Guard {
    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let guard = slf.get();
        match guard.state.load(Ordering::Relaxed) {
            FRESH => guard.acquire(slf.py())?,
            _ => guard.check_held(slf.py())?,
        }
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyAny>) -> PyResult<()> {
        match self.state.load(Ordering::Relaxed) {
            // Released inside the block.
            OVER => Ok(()),
            _ => self.release(py),
        }
    }

    /// Releases the lock before the end of the block.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.check_held(py)?;
        self.controller.get().unlock(py)?;
        self.state.store(OVER, Ordering::Relaxed);
        Ok(())
    }

    /// Releases the lock for reading and takes that for writing; another rank may write in between.
    fn upgrade(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, |guard| match guard {
            ControllerGuard::Read(guard) => match guard.upgrade() {
                Ok(guard) => (Some(ControllerGuard::Write(guard)), Ok(())),
                Err(UpgradeError::Shared(guard)) => {
                    let message = "this rank holds the lock for reading several times";
                    let failure = Failure::new(Kind::Held, message.to_owned());
                    (Some(ControllerGuard::Read(guard)), Err(failure))
                }
                Err(UpgradeError::Lock(error)) => (None, Err(error.into())),
                Err(error) => (None, Err(Failure::new(Kind::Internal, error.to_string()))),
            },
            guard => (Some(guard), Ok(())),
        })
    }

    /// Turns the lock for writing into one for reading; no other rank writes in between.
    fn downgrade(&self, py: Python<'_>) -> PyResult<()> {
        self.change(py, |guard| match guard {
            ControllerGuard::Write(guard) => {
                (Some(ControllerGuard::Read(guard.downgrade())), Ok(()))
            }
            guard => (Some(guard), Ok(())),
        })
    }

    #[getter]
    fn held(&self) -> bool {
        self.state.load(Ordering::Relaxed) == HELD
    }

    fn __repr__(&self) -> String {
        let state = match self.state.load(Ordering::Relaxed) {
            FRESH => "not taken yet",
            HELD => "held",
            _ => "released",
        };
        format!(
            "<mpisync.Guard of {:?}, {state}>",
            self.controller.get().own.name()
        )
    }
}

impl Drop for Guard {
    /// Releases a lock that was taken by `try_read` and the like and never entered.
    fn drop(&mut self) {
        if *self.state.get_mut() != HELD {
            return;
        }
        Python::attach(|py| {
            // In another thread the lock stays held until the controller is dropped.
            let _ = self.controller.get().unlock(py);
        });
    }
}
