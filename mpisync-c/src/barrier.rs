//! The barrier: all ranks wait for all.

use crate::comm::{Creation, creation};
use crate::handle::{self, Object};
use crate::status::{call, mpisync_status};
use mpi::ffi::MPI_Comm;
use mpisync::Barrier;
use mpisync_bindings::limit::limit;
use std::ffi::{c_char, c_double};
use std::time::Duration;

/// A meeting point of all ranks that notices ranks that do not come.
pub struct mpisync_barrier {
    _opaque: [u8; 0],
}

impl Object for Barrier {
    type Opaque = mpisync_barrier;
}

/// Makes a barrier on `comm`. Collective. `name` is for messages, may be NULL, and is the same on all
/// ranks.
///
/// Errors: those of mpisync_controller_new().
///
/// # Safety
/// As for mpisync_controller_new().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_barrier_new(
    comm: MPI_Comm,
    name: *const c_char,
    barrier: *mut *mut mpisync_barrier,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        let Creation { comm, name, place } = unsafe { creation::<Barrier>(comm, name, barrier) }?;
        let builder = Barrier::builder(&*comm).name(name);
        handle::store(place, builder.build()?)
    })
}

/// Arrives, and waits until all ranks have arrived. Collective: all ranks call it, or the function with
/// a time limit, equally often.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_RANK_DIED, MPISYNC_ERR_RANK_ENDED, MPISYNC_ERR_DEADLOCK,
/// MPISYNC_ERR_FINALIZED.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_barrier_wait(barrier: *mut mpisync_barrier) -> mpisync_status {
    call(|| handle::with::<Barrier, _>(barrier, |barrier| Ok(barrier.wait_timeout(Duration::MAX)?)))
}

/// Arrives, and waits for at most `seconds`, which may be INFINITY. After MPISYNC_TIMEOUT this rank has
/// arrived, the message names the missing ranks, and the next call waits for them again. Collective.
///
/// Errors: MPISYNC_TIMEOUT, and those of mpisync_barrier_wait().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_barrier_wait_timeout(
    barrier: *mut mpisync_barrier,
    seconds: c_double,
) -> mpisync_status {
    call(|| {
        let limit = limit(seconds)?;
        handle::with::<Barrier, _>(barrier, |barrier| Ok(barrier.wait_timeout(limit)?))
    })
}

/// Frees the memory of the barrier on all ranks. Collective. As mpisync_controller_close().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_barrier_close(barrier: *mut mpisync_barrier) -> mpisync_status {
    call(|| Ok(handle::take::<Barrier>(barrier)?.close()?))
}

/// Drops the barrier on this rank. Local. As mpisync_controller_free().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_barrier_free(barrier: *mut mpisync_barrier) -> mpisync_status {
    call(|| handle::free::<Barrier>(barrier))
}
