//! Communicators of mpi4py.

use crate::errors::exception;
use mpi::ffi::MPI_Comm;
use mpi::topology::SimpleCommunicator;
use mpisync_bindings::comm::borrow;
use mpisync_bindings::failure::{Failure, Kind};
use pyo3::intern;
use pyo3::prelude::*;
use std::ptr;

/// Where an object is made.
#[derive(Clone, Copy)]
pub enum Comm {
    /// In this process alone, without MPI.
    Local,
    /// On a communicator that the program keeps.
    Mpi(Raw),
}

/// A handle of MPI.
#[derive(Clone, Copy)]
pub struct Raw(MPI_Comm);

// SAFETY: a handle of MPI is a number or an address that MPI alone dereferences, and any thread may hold it.
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

impl Comm {
    /// The communicator that an argument names. The argument has to live as long as the result is used.
    pub fn of(comm: &Bound<'_, PyAny>) -> PyResult<Self> {
        if comm.is_none() {
            return Ok(Comm::Local);
        }
        let py = comm.py();
        let modules = py
            .import(intern!(py, "sys"))?
            .getattr(intern!(py, "modules"))?;
        // A communicator of mpi4py comes from a module that is loaded.
        let mpi = modules.call_method1(intern!(py, "get"), (intern!(py, "mpi4py.MPI"),))?;
        if mpi.is_none() || !comm.is_instance(&mpi.getattr(intern!(py, "Comm"))?)? {
            let message = format!(
                "`comm` is a `{}`; pass a communicator of mpi4py, or None for this process alone",
                comm.get_type().name()?
            );
            return Err(exception(py, Failure::argument(message), None));
        }
        check_same_mpi(&mpi)?;
        let address: usize = mpi
            .call_method1(intern!(py, "_addressof"), (comm,))?
            .extract()?;
        let address = ptr::with_exposed_provenance::<MPI_Comm>(address);
        // SAFETY: mpi4py promises the address of the handle in the object, which the caller's reference keeps alive; and
        // both were built with one MPI, so the handle is of this type.
        Ok(Comm::Mpi(Raw(unsafe { address.read() })))
    }

    /// Calls `act` with the communicator, or with none.
    ///
    /// # Safety
    /// The argument that it comes from lives, and the program does not free the communicator meanwhile.
    pub unsafe fn with<R>(
        self,
        act: impl FnOnce(Option<&SimpleCommunicator>) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        match self {
            Comm::Local => act(None),
            // SAFETY: a handle of a communicator of mpi4py, which the caller keeps.
            Comm::Mpi(raw) => act(Some(&*unsafe { borrow(raw.0) }?)),
        }
    }
}

/// Checks that mpi4py uses the MPI that this module was built with: a handle of another MPI means nothing here.
fn check_same_mpi(mpi: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = mpi.py();
    let theirs: String = mpi
        .call_method0(intern!(py, "Get_library_version"))?
        .extract()?;
    let size: usize = {
        let class = mpi.getattr(intern!(py, "Comm"))?;
        mpi.call_method1(intern!(py, "_sizeof"), (class,))?
            .extract()?
    };
    let ours = mpi::environment::library_version().unwrap_or_default();
    let first_line = |text: &str| text.lines().next().unwrap_or_default().trim().to_owned();
    let (theirs, ours) = (first_line(&theirs), first_line(&ours));
    if theirs == ours && size == size_of::<MPI_Comm>() {
        return Ok(());
    }
    let message = format!(
        "mpi4py uses {theirs}, and this package was built with {ours}; build both with one MPI: `MPICC=... pip install \
         --no-binary mpi4py mpi4py`, then this package with the same MPICC"
    );
    Err(exception(py, Failure::new(Kind::Create, message), None))
}
