//! The extension module of the Python package `mpisync`.
//!
//! An object of Python has the number of an object of mpisync, which lies in a table of the thread that
//! made it, together with its guards ([`mpisync_bindings`]). So a class of this module is `Send` and
//! `Sync`, as Python needs it, and no guard leaves its thread: a call in another thread finds the thread
//! differs, and raises an exception (module `object`). A call that may wait lets the interpreter lock go
//! meanwhile, and passes signals on (module `wait`). No panic reaches Python.

mod barrier;
mod batch;
mod channel;
mod collective;
mod comm;
mod condvar;
mod controller;
mod counter;
mod errors;
mod latch;
mod limit;
mod mutex;
mod object;
mod once;
mod pickle;
mod process;
mod region;
mod semaphore;
mod single_write;
mod site;
mod turn;
mod wait;

use pyo3::prelude::*;

/// The classes of the package that are written in Rust.
#[pymodule(gil_used = true)]
mod _mpisync {
    #[pymodule_export]
    use crate::barrier::Barrier;
    #[pymodule_export]
    use crate::batch::{Batch, Task};
    #[pymodule_export]
    use crate::channel::Channel;
    #[pymodule_export]
    use crate::collective::Collective;
    #[pymodule_export]
    use crate::condvar::Condvar;
    #[pymodule_export]
    use crate::controller::{Controller, Guard};
    #[pymodule_export]
    use crate::counter::{Counter, UpTo};
    #[pymodule_export]
    use crate::latch::Latch;
    #[pymodule_export]
    use crate::mutex::{Mutex, MutexLock};
    #[pymodule_export]
    use crate::once::OnceShared;
    #[pymodule_export]
    use crate::region::{Lent, RegionMemory};
    #[pymodule_export]
    use crate::semaphore::{Permits, Semaphore};
    #[pymodule_export]
    use crate::single_write::SingleWrite;
    #[pymodule_export]
    use crate::turn::Turn;

    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        process::watch_for_forks(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
