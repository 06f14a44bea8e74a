//! An object of mpisync as an object of Python has it: by its number.

use crate::comm::Comm;
use crate::errors::{exception, misuse};
use crate::process::{self, is_forked};
use crate::wait;
use mpi::topology::SimpleCommunicator;
use mpisync_bindings::comm::check_running;
use mpisync_bindings::failure::{Failure, Kind, catch};
use mpisync_bindings::handle::{self, Handle, Object};
use mpisync_bindings::limit::Limit;
use pyo3::prelude::*;
use std::marker::PhantomData;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ThreadId};

/// An object in the table of the thread that made it. It may be dropped by any thread.
pub struct Own<T: Object> {
    /// 0 once it is closed.
    handle: AtomicUsize,
    thread: ThreadId,
    name: String,
    /// Whether it is on a communicator.
    needs_mpi: bool,
    kind: PhantomData<fn() -> T>,
}

impl<T: Object> Own<T> {
    /// Makes an object on a communicator.
    pub fn make(
        comm: &Bound<'_, PyAny>,
        name: Option<String>,
        build: impl FnOnce(Option<&SimpleCommunicator>, &str) -> Result<T, Failure> + Send,
    ) -> PyResult<Self> {
        let py = comm.py();
        drop_orphans();
        let name = name.unwrap_or_else(|| T::KIND.to_owned());
        let from = Comm::of(comm)?;
        if let Comm::Mpi(_) = from {
            process::end_with_interpreter(py)?;
        }
        let make = || {
            // SAFETY: `comm` is borrowed. That no other thread frees the communicator of a collective call that is under way
            // is MPI's own rule.
            let object = unsafe { from.with(|comm| build(comm, &name)) }?;
            handle::add(object)
        };
        let handle = wait::wait(py, make, |failure| exception(py, failure, Some(&name)))?;
        Ok(Own {
            handle: AtomicUsize::new(handle),
            thread: thread::current().id(),
            name,
            needs_mpi: matches!(from, Comm::Mpi(_)),
            kind: PhantomData,
        })
    }

    /// Checks that MPI runs, for calls of the library that return no error after its end.
    pub fn check_running(&self, py: Python<'_>) -> PyResult<()> {
        match self.needs_mpi {
            true => check_running().map_err(|failure| self.exception(py, failure)),
            false => Ok(()),
        }
    }

    /// The name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The exception for a failure of a call of this object.
    #[cold]
    pub fn exception(&self, py: Python<'_>, failure: Failure) -> PyErr {
        exception(py, failure, Some(&self.name))
    }

    /// The exception for a call that is made in the wrong place.
    #[cold]
    pub fn misuse(&self, py: Python<'_>, message: &str) -> PyErr {
        misuse(py, message, Some(&self.name))
    }

    /// The handle, for a call of this thread.
    pub fn handle(&self, py: Python<'_>) -> PyResult<Handle> {
        wait::check_not_in_wait(py)?;
        if is_forked() {
            let message = format!(
                "this process was forked from the rank that made the {}, and is no rank; start processes by `spawn`",
                T::KIND
            );
            return Err(self.misuse(py, &message));
        }
        if thread::current().id() != self.thread {
            let message = format!(
                "the {} belongs to the thread that made it, and its locks, too; make one for each thread, on a duplicate of the \
                 communicator, or use it in that thread",
                T::KIND
            );
            return Err(self.misuse(py, &message));
        }
        drop_orphans();
        match self.handle.load(Ordering::Relaxed) {
            0 => Err(self.misuse(py, &format!("the {} is closed; make another one", T::KIND))),
            handle => Ok(handle),
        }
    }

    /// Calls `act`, which may wait, with the object.
    pub fn wait<R: Send>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut T) -> Result<R, Failure> + Send,
    ) -> PyResult<R> {
        let handle = self.handle(py)?;
        let call = move || handle::with::<T, R>(handle, act);
        wait::wait(py, call, |failure| self.exception(py, failure))
    }

    /// Calls `act`, which does not wait for other ranks, with the object.
    pub fn with<R>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut T) -> Result<R, Failure>,
    ) -> PyResult<R> {
        self.attempt(py, act)?
            .map_err(|failure| self.exception(py, failure))
    }

    /// [`with`](Self::with), with a failure of `act` as the value.
    pub fn attempt<R>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut T) -> Result<R, Failure>,
    ) -> PyResult<Result<R, Failure>> {
        let handle = self.handle(py)?;
        Ok(catch(|| handle::with::<T, R>(handle, act)))
    }

    /// Takes something of the object with `take`: at once if it is free and `at_once` says that this sends no message, and with
    /// a wait if it is not. After a wait this thread might have to wait for the interpreter lock, too.
    pub fn take(
        &self,
        py: Python<'_>,
        at_once: bool,
        limit: Limit,
        take: impl Fn(&mut T, Limit) -> Result<(), Failure> + Send,
    ) -> PyResult<()> {
        if at_once {
            match self.attempt(py, |object| take(object, Limit::Try))? {
                Err(failure) if failure.kind == Kind::Timeout && limit != Limit::Try => {}
                taken => return taken.map_err(|failure| self.exception(py, failure)),
            }
        }
        self.wait(py, move |object| take(object, limit))
    }

    /// Takes the object out of the table and closes it, unless `take` fails. Collective.
    pub fn close<O>(
        &self,
        py: Python<'_>,
        take: impl FnOnce(Handle) -> Result<O, Failure> + Send,
        close: impl FnOnce(O) -> Result<(), Failure> + Send,
    ) -> PyResult<()> {
        let handle = self.handle(py)?;
        let explain = |failure| self.exception(py, failure);
        let call = move || {
            let object = take(handle)?;
            self.handle.store(0, Ordering::Relaxed);
            close(object)
        };
        wait::wait(py, call, explain)
    }
}

impl<T: Object> Drop for Own<T> {
    fn drop(&mut self) {
        let handle = *self.handle.get_mut();
        if handle == 0 || is_forked() {
            return;
        }
        if thread::current().id() == self.thread && !wait::handles_signals() {
            free::<T>(handle);
            return;
        }
        let orphan = Orphan {
            thread: self.thread,
            handle,
            free: free::<T>,
        };
        orphans().push(orphan);
        ORPHAN_COUNT.fetch_add(1, Ordering::Release);
    }
}

/// Drops an object of this thread. A panic must not leave a destructor.
fn free<T: Object>(handle: Handle) {
    // The table of a thread that ends may be gone, and its objects with it.
    let _ = catch(|| handle::free::<T>(handle));
}

/// An object whose Python object was dropped by another thread than the one that made it, for example by the garbage
/// collector, or while its thread waited.
struct Orphan {
    thread: ThreadId,
    handle: Handle,
    free: fn(Handle),
}

static ORPHANS: Mutex<Vec<Orphan>> = Mutex::new(Vec::new());
static ORPHAN_COUNT: AtomicUsize = AtomicUsize::new(0);

fn orphans() -> std::sync::MutexGuard<'static, Vec<Orphan>> {
    ORPHANS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Drops the orphans of this thread. Those of a thread that has ended went with its table.
#[inline]
fn drop_orphans() {
    if ORPHAN_COUNT.load(Ordering::Acquire) > 0 {
        drop_my_orphans();
    }
}

#[cold]
fn drop_my_orphans() {
    let me = thread::current().id();
    let mut orphans = orphans();
    let mine: Vec<Orphan> = orphans
        .extract_if(.., |orphan| orphan.thread == me)
        .collect();
    ORPHAN_COUNT.fetch_sub(mine.len(), Ordering::Relaxed);
    drop(orphans);
    for orphan in mine {
        (orphan.free)(orphan.handle);
    }
}
