//! The mutex: a lock granted in the order of arrival.

use crate::comm::{Creation, creation};
use crate::handle::{self, Object};
use crate::status::{call, mpisync_status};
use mpi::ffi::MPI_Comm;
use mpisync::Mutex;
use mpisync_bindings::failure::Failure;
use mpisync_bindings::held::Held;
use mpisync_bindings::limit::limit;
use std::ffi::{c_char, c_double, c_int};
use std::time::Duration;

/// A lock that is granted in the order of arrival.
pub struct mpisync_mutex {
    _opaque: [u8; 0],
}

impl Object for Held<Mutex> {
    type Opaque = mpisync_mutex;
}

/// Makes a mutex on `comm`. Collective. `name` is for messages, and may be NULL. `root` is the rank on
/// whose node the mutex lives. Both are the same on all ranks.
///
/// Errors: those of mpisync_controller_new().
///
/// # Safety
/// As for mpisync_controller_new().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_mutex_new(
    comm: MPI_Comm,
    name: *const c_char,
    root: c_int,
    mutex: *mut *mut mpisync_mutex,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        let Creation { comm, name, place } = unsafe { creation::<Held<Mutex>>(comm, name, mutex) }?;
        let builder = Mutex::builder(&*comm).root(root);
        let builder = builder.name(name);
        handle::store(place, Held::new(builder.build()?))
    })
}

fn lock(mutex: *mut mpisync_mutex, limit: Duration) -> Result<(), Failure> {
    handle::with::<Held<Mutex>, _>(mutex, |held| {
        held.hold(|mutex| Ok(mutex.lock_timeout(limit)?))
    })
}

/// Takes the lock; waits behind the ranks that came before. Not collective.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_HELD, MPISYNC_ERR_POISONED, MPISYNC_ERR_RANK_ENDED,
/// MPISYNC_ERR_DEADLOCK, MPISYNC_ERR_FINALIZED.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_mutex_lock(mutex: *mut mpisync_mutex) -> mpisync_status {
    call(|| lock(mutex, Duration::MAX))
}

/// Takes the lock if no other rank holds it or waits for it. Not collective. Does not wait, except for a
/// round trip over several hosts.
///
/// Errors: MPISYNC_BUSY if it is not free, and those of mpisync_mutex_lock().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_mutex_try_lock(mutex: *mut mpisync_mutex) -> mpisync_status {
    call(|| lock(mutex, Duration::ZERO).map_err(Failure::busy_at_once))
}

/// Takes the lock; waits for at most `seconds`, which may be INFINITY. Not collective.
///
/// Errors: MPISYNC_TIMEOUT, and those of mpisync_mutex_lock().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_mutex_lock_timeout(
    mutex: *mut mpisync_mutex,
    seconds: c_double,
) -> mpisync_status {
    call(|| lock(mutex, limit(seconds)?))
}

/// Releases the lock. Local.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_NOT_HELD if this rank does not hold it.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_mutex_unlock(mutex: *mut mpisync_mutex) -> mpisync_status {
    call(|| handle::with::<Held<Mutex>, _>(mutex, |held| held.release(|guard, _| drop(guard))))
}

/// Makes a mutex usable again that a rank has poisoned by its death. Not collective.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_HELD, MPISYNC_ERR_RANK_ENDED, MPISYNC_ERR_FINALIZED.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_mutex_clear_poison(mutex: *mut mpisync_mutex) -> mpisync_status {
    call(|| {
        handle::with::<Held<Mutex>, _>(mutex, |held| {
            held.owner()?.clear_poison()?;
            Ok(())
        })
    })
}

/// Frees the memory of the mutex on all ranks. Collective. As mpisync_controller_close().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_mutex_close(mutex: *mut mpisync_mutex) -> mpisync_status {
    call(|| Ok(handle::take_free::<Mutex>(mutex)?.close()?))
}

/// Drops the mutex on this rank, and releases it. Local. As mpisync_controller_free().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_mutex_free(mutex: *mut mpisync_mutex) -> mpisync_status {
    call(|| handle::free::<Held<Mutex>>(mutex))
}
