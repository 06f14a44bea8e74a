//! The beginning and the end of MPI, and the version.

use crate::status::{call, mpisync_status};
use mpisync::Universe;
use mpisync_bindings::comm;
use mpisync_bindings::failure::{Failure, Kind};
use std::cell::RefCell;
use std::ffi::c_char;
use std::mem;

thread_local! {
    /// MPI, if this thread has initialized it by `mpisync_init`. It is never dropped: at the end of
    /// the process that would wait for other ranks.
    static UNIVERSE: &'static RefCell<Option<Universe>> = Box::leak(Box::default());
}

/// Initializes MPI with the level MPI_THREAD_MULTIPLE if MPI has it, in place of MPI_Init_thread.
/// Collective over all processes. End MPI by mpisync_finalize() on the same thread.
///
/// Programs that run on several hosts use these two. There a thread of the library answers the other
/// hosts, which takes MPI_THREAD_MULTIPLE. It has to end before MPI is finalized: with MPICH, MPI_Finalize
/// may hang otherwise. mpisync_finalize() ends it. On one host there is no such thread, and MPI_Init and
/// MPI_Finalize do as well.
///
/// Errors: MPISYNC_ERR_ARGUMENT if MPI was initialized before.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_init() -> mpisync_status {
    call(|| {
        let universe = mpisync::initialize().ok_or_else(|| {
            let kind = Kind::Argument;
            let message = "MPI was initialized before; leave out MPI_Init, or mpisync_init";
            Failure::new(kind, message.to_owned())
        })?;
        UNIVERSE.with(|kept| *kept.borrow_mut() = Some(universe));
        Ok(())
    })
}

/// Waits for all ranks and finalizes MPI, in place of MPI_Finalize after mpisync_init(). Collective over
/// all processes.
///
/// Errors: MPISYNC_ERR_FINALIZED if this thread has not initialized MPI by mpisync_init(), or if MPI is
/// finalized already, by this function or by MPI_Finalize.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_finalize() -> mpisync_status {
    call(|| {
        let universe = UNIVERSE.with(|kept| kept.borrow_mut().take());
        let universe = universe.ok_or_else(|| {
            let kind = Kind::Finalized;
            let message = "this thread has not initialized MPI by mpisync_init, or has finalized it; after MPI_Init call \
                           MPI_Finalize";
            Failure::new(kind, message.to_owned())
        })?;
        if let Err(finalized) = comm::check_running() {
            // Dropping it would finalize MPI again.
            mem::forget(universe);
            return Err(finalized);
        }
        drop(universe);
        Ok(())
    })
}

/// The version of the library, such as "0.1.0". Local. The text stays valid.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
