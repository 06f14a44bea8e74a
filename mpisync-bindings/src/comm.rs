//! Communicators of programs in other languages, and whether MPI runs.

use crate::failure::{Failure, Kind};
use mpi::Threading;
use mpi::environment::threading_support;
use mpi::ffi::{self, MPI_Comm};
use mpi::topology::SimpleCommunicator;
use mpi::traits::FromRaw;
use mpisync::CreateError;
use std::mem::ManuallyDrop;

/// A communicator that the program keeps and frees.
pub type Borrowed = ManuallyDrop<SimpleCommunicator>;

/// Checks a communicator.
///
/// # Errors
/// [`Kind::Argument`], [`Kind::Finalized`], [`Kind::Create`] if this thread must not call MPI.
///
/// # Safety
/// `MPI_COMM_NULL`, or a communicator that was not freed and is not freed before the value is dropped.
pub unsafe fn borrow(comm: MPI_Comm) -> Result<Borrowed, Failure> {
    check_running()?;
    check_thread()?;
    // SAFETY: constants of MPI, and calls of an initialized MPI with a communicator that is valid, as
    // the caller promises.
    unsafe {
        if comm == ffi::RSMPI_COMM_NULL {
            return Err(Failure::argument(
                "`comm` is MPI_COMM_NULL; only the ranks of a communicator make objects on it"
                    .into(),
            ));
        }
        if comm == ffi::RSMPI_COMM_WORLD {
            return Ok(ManuallyDrop::new(SimpleCommunicator::world()));
        }
        let mut is_inter = 0;
        if ffi::MPI_Comm_test_inter(comm, &mut is_inter) != ffi::MPI_SUCCESS as i32 {
            return Err(Failure::argument("`comm` is not a communicator".into()));
        }
        if is_inter != 0 {
            return Err(Failure::argument(
                "`comm` is an inter-communicator; pass what MPI_Intercomm_merge returns".into(),
            ));
        }
        if comm == ffi::RSMPI_COMM_SELF {
            return Ok(ManuallyDrop::new(SimpleCommunicator::self_comm()));
        }
        Ok(ManuallyDrop::new(SimpleCommunicator::from_raw(comm)))
    }
}

/// Checks that this thread may call MPI, which runs. The library checks the same before it makes an
/// object, and this is before the first call here.
fn check_thread() -> Result<(), Failure> {
    let mut is_main = 0;
    // SAFETY: MPI runs, and any thread may ask this (MPI 4.1, 11.6.2).
    unsafe { ffi::MPI_Is_thread_main(&mut is_main) };
    let provided = threading_support();
    if is_main != 0 || provided >= Threading::Serialized {
        return Ok(());
    }
    let provided = format!("{provided:?}");
    Err(CreateError::WrongThread { provided }.into())
}

/// Whether MPI is finalized.
pub fn is_finalized() -> bool {
    let mut finalized = 0;
    // SAFETY: it may be called at any time (MPI 4.1, 11.2.2).
    unsafe { ffi::MPI_Finalized(&mut finalized) };
    finalized != 0
}

/// Checks that MPI runs.
///
/// # Errors
/// [`Kind::Finalized`], also before MPI is initialized.
pub fn check_running() -> Result<(), Failure> {
    let (mut initialized, mut finalized) = (0, 0);
    // SAFETY: these two may be called at any time (MPI 4.1, 11.4.1 and 11.2.2).
    unsafe {
        ffi::MPI_Initialized(&mut initialized);
        ffi::MPI_Finalized(&mut finalized);
    }
    let message = match (initialized, finalized) {
        (0, _) => "MPI is not initialized; initialize it before",
        (_, 0) => return Ok(()),
        _ => "MPI is finalized; make and use objects before MPI_Finalize",
    };
    Err(Failure::new(Kind::Finalized, message.to_owned()))
}
