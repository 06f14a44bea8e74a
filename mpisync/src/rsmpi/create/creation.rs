//! The beginning of every creation: checks of this process, and mutual exclusion of its threads.

use crate::error::CreateError;
use crate::rsmpi::attribute;
use crate::rsmpi::comm::check;
use crate::rsmpi::context::Context;
use crate::rsmpi::create::{CreationArguments, launcher};
use crate::rsmpi::threads;
use crate::shm::lock;
use mpi::ffi;
use mpi::traits::Communicator;
use std::panic::Location;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The creation of an object, or of several that belong together, on a communicator.
///
/// The checks that need no other rank have passed. No other thread of this process makes an object
/// on the communicator at the same time: the collective calls of two creations would be mixed.
pub(crate) struct Creation<'a, C> {
    comm: &'a C,
    place: &'static Location<'static>,
    _turn: ThreadTurn,
}

impl<'a, C: Communicator> Creation<'a, C> {
    /// Begins a creation that the user's program calls at `place`. Local: waits for other threads
    /// of this process only.
    pub(crate) fn begin(
        comm: &'a C,
        place: &'static Location<'static>,
    ) -> Result<Self, CreateError> {
        check_running()?;
        check_thread()?;
        check_groups(comm.as_raw())?;
        launcher::check()?;
        Ok(Creation {
            comm,
            place,
            _turn: ThreadTurn::take(comm.as_raw()),
        })
    }

    pub(crate) fn comm(&self) -> &'a C {
        self.comm
    }

    /// The context of the communicator, on which an object has been made.
    pub(crate) fn context(&self) -> Result<Arc<Context>, CreateError> {
        let context = attribute::context(self.comm.as_raw())?;
        Ok(context.expect("an object has been made on it"))
    }

    /// The arguments of an object of this kind and name, without further arguments.
    pub(crate) fn arguments<'n>(
        &self,
        object: &'static str,
        name: &'n str,
    ) -> CreationArguments<'n> {
        CreationArguments::of(object, name, self.place)
    }
}

/// Checks that MPI is initialized and not finalized, before other calls of MPI.
fn check_running() -> Result<(), CreateError> {
    let (mut initialized, mut finalized) = (0, 0);
    // SAFETY: these two may be called at any time (MPI 4.1, 11.4.1 and 11.2.2).
    unsafe {
        check("MPI_Initialized", ffi::MPI_Initialized(&mut initialized))?;
        check("MPI_Finalized", ffi::MPI_Finalized(&mut finalized))?;
    }
    if initialized == 0 {
        return Err(CreateError::NotInitialized);
    }
    if finalized != 0 {
        return Err(CreateError::Finalized);
    }
    Ok(())
}

fn check_thread() -> Result<(), CreateError> {
    if threads::may_call_mpi() {
        threads::note_maker();
        return Ok(());
    }
    Err(CreateError::WrongThread {
        provided: format!("{:?}", mpi::environment::threading_support()),
    })
}

/// Checks that the communicator has one group. The type is not enough: `duplicate` of an
/// inter-communicator returns a `SimpleCommunicator`.
fn check_groups(comm: ffi::MPI_Comm) -> Result<(), CreateError> {
    let mut is_inter = 0;
    // SAFETY: a valid communicator, for it is borrowed, and the result goes to a live variable.
    let code = unsafe { ffi::MPI_Comm_test_inter(comm, &mut is_inter) };
    check("MPI_Comm_test_inter", code)?;
    if is_inter != 0 {
        return Err(CreateError::InterCommunicator);
    }
    Ok(())
}

/// The communicators on which a thread of this process makes an object.
static BUSY: Mutex<Vec<Handle>> = Mutex::new(Vec::new());
static NO_LONGER_BUSY: Condvar = Condvar::new();

#[derive(Clone, Copy, PartialEq)]
struct Handle(ffi::MPI_Comm);

// SAFETY: any thread may hold handles of MPI, and these are only compared.
unsafe impl Send for Handle {}

/// The right of this thread to make objects on a communicator, until this is dropped.
struct ThreadTurn(Handle);

impl ThreadTurn {
    /// Waits while another thread has it.
    fn take(comm: ffi::MPI_Comm) -> Self {
        let handle = Handle(comm);
        let busy = NO_LONGER_BUSY.wait_while(lock(&BUSY), |busy| busy.contains(&handle));
        busy.unwrap_or_else(PoisonError::into_inner).push(handle);
        ThreadTurn(handle)
    }
}

impl Drop for ThreadTurn {
    fn drop(&mut self) {
        lock(&BUSY).retain(|handle| *handle != self.0);
        NO_LONGER_BUSY.notify_all();
    }
}
