//! The beginning of every creation: may this process make objects here, and is it this thread's
//! turn?

use crate::error::CreateError;
use crate::rsmpi::attribute;
use crate::rsmpi::comm::check;
use crate::rsmpi::context::Context;
use crate::rsmpi::create::{CreationArguments, launcher};
use crate::rsmpi::shape::may_call_mpi;
use crate::shm::lock;
use mpi::ffi;
use mpi::traits::Communicator;
use std::panic::Location;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// An object, or several that belong together, while this thread makes them on a communicator.
///
/// Whoever has it has passed the checks that need no other rank. No other thread of this process
/// makes anything on the communicator meanwhile: the collective calls of two creations would be
/// mixed.
pub(crate) struct Creation<'a, C> {
    comm: &'a C,
    place: &'static Location<'static>,
    _turn: ThreadTurn,
}

impl<'a, C: Communicator> Creation<'a, C> {
    /// Begins to make what the user's program makes at `place`. Local: waits for other threads of
    /// this process only.
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

    /// What mpisync keeps for the communicator, on which an object has been made.
    pub(crate) fn context(&self) -> Result<Arc<Context>, CreateError> {
        let context = attribute::context(self.comm.as_raw())?;
        Ok(context.expect("an object has been made on it"))
    }

    /// The arguments of an object of that kind and name, without further ones.
    pub(crate) fn arguments<'n>(
        &self,
        object: &'static str,
        name: &'n str,
    ) -> CreationArguments<'n> {
        CreationArguments::of(object, name, self.place)
    }
}

/// MPI must have been initialized, and not finalized; before anything else is asked of a
/// communicator.
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
    if may_call_mpi() {
        return Ok(());
    }
    Err(CreateError::WrongThread {
        provided: format!("{:?}", mpi::environment::threading_support()),
    })
}

/// The type alone does not tell: `duplicate` of an inter-communicator returns one that looks like
/// any other.
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

/// The communicators on which a thread of this process makes something.
static BUSY: Mutex<Vec<Handle>> = Mutex::new(Vec::new());
static NO_LONGER_BUSY: Condvar = Condvar::new();

#[derive(Clone, Copy, PartialEq)]
struct Handle(ffi::MPI_Comm);

// SAFETY: handles of MPI may be held by any thread, and these are compared only.
unsafe impl Send for Handle {}

/// This thread's turn to make something on a communicator; it ends when this is dropped.
struct ThreadTurn(Handle);

impl ThreadTurn {
    /// Waits while another thread has the turn.
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
