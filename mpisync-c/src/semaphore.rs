//! The semaphore: a limited number of permits.

use crate::argument::count;
use crate::comm::{Creation, creation};
use crate::handle::{self, Object};
use crate::status::{call, mpisync_status};
use mpi::ffi::MPI_Comm;
use mpisync::Semaphore;
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::held::Held;
use mpisync_bindings::limit::limit;
use std::ffi::{c_char, c_double, c_int};
use std::time::Duration;

/// A limited number of permits that ranks take and give back.
pub struct mpisync_semaphore {
    _opaque: [u8; 0],
}

impl Object for Held<Semaphore> {
    type Opaque = mpisync_semaphore;
}

/// Makes a semaphore with a number of permits on `comm`. Collective. `name` is for messages, and may
/// be NULL. `root` is the rank on whose node the semaphore lives. All are the same on all ranks.
///
/// Errors: those of mpisync_controller_new().
///
/// # Safety
/// As for mpisync_controller_new().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_semaphore_new(
    comm: MPI_Comm,
    name: *const c_char,
    root: c_int,
    permits: c_int,
    semaphore: *mut *mut mpisync_semaphore,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        let Creation { comm, name, place } =
            unsafe { creation::<Held<Semaphore>>(comm, name, semaphore) }?;
        let permits = count(permits.into(), "permits")?;
        let builder = Semaphore::builder(&*comm, permits).root(root);
        let builder = builder.name(name);
        handle::store(place, Held::new(builder.build()?))
    })
}

fn acquire(
    semaphore: *mut mpisync_semaphore,
    permits: c_int,
    limit: Duration,
) -> Result<(), Failure> {
    let permits = count(permits.into(), "permits")?;
    handle::with::<Held<Semaphore>, _>(semaphore, |held| {
        held.lend(|semaphore, taken| {
            let permit = semaphore.acquire_many_timeout(permits, limit)?;
            taken.get_or_insert_default().push(permit);
            Ok(())
        })
    })
}

/// Takes permits; waits until as many are free. Not collective.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT, MPISYNC_ERR_USED_UP if the semaphore has fewer,
/// MPISYNC_ERR_HELD if this rank holds those that are missing, MPISYNC_ERR_POISONED if a rank died while
/// it changed the semaphore, MPISYNC_ERR_RANK_ENDED, MPISYNC_ERR_DEADLOCK, MPISYNC_ERR_FINALIZED.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_semaphore_acquire(
    semaphore: *mut mpisync_semaphore,
    permits: c_int,
) -> mpisync_status {
    call(|| acquire(semaphore, permits, Duration::MAX))
}

/// Takes permits if as many are free and no rank waits. Not collective. Does not wait, except for a round
/// trip over several hosts.
///
/// Errors: MPISYNC_BUSY if they are not free, and those of mpisync_semaphore_acquire().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_semaphore_try_acquire(
    semaphore: *mut mpisync_semaphore,
    permits: c_int,
) -> mpisync_status {
    call(|| acquire(semaphore, permits, Duration::ZERO).map_err(Failure::busy_at_once))
}

/// Takes permits; waits for at most `seconds`, which may be INFINITY. Not collective.
///
/// Errors: MPISYNC_TIMEOUT, and those of mpisync_semaphore_acquire().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_semaphore_acquire_timeout(
    semaphore: *mut mpisync_semaphore,
    seconds: c_double,
    permits: c_int,
) -> mpisync_status {
    call(|| acquire(semaphore, permits, limit(seconds)?))
}

/// Gives permits back that one call of this rank has taken: `permits` is the number of that call.
/// Local.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT, MPISYNC_ERR_NOT_HELD if this rank has not taken as
/// many in one call, or has given them back.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_semaphore_release(
    semaphore: *mut mpisync_semaphore,
    permits: c_int,
) -> mpisync_status {
    call(|| {
        let permits: u32 = count(permits.into(), "permits")?;
        handle::with::<Held<Semaphore>, _>(semaphore, |held| {
            let is_released = held.release(|mut taken, kept| {
                let place = taken.iter().rposition(|permit| permit.count() == permits);
                drop(place.map(|place| taken.swap_remove(place)));
                *kept = (!taken.is_empty()).then_some(taken);
                place.is_some()
            })?;
            is_released.then_some(()).ok_or_else(|| {
                let kind = Kind::NotHeld;
                let message = format!(
                    "this rank has not taken {permits} permits in one call; release as many as a call has acquired"
                );
                Failure::new(kind, message)
            })
        })
    })
}

/// Makes a semaphore usable again whose words a rank was changing when it died. The permits of a rank
/// that dies at another time are free again, and need no such call. Not collective.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_FINALIZED.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_semaphore_clear_poison(
    semaphore: *mut mpisync_semaphore,
) -> mpisync_status {
    call(|| {
        handle::with::<Held<Semaphore>, _>(semaphore, |held| {
            held.lend(|semaphore, _| semaphore.clear_poison())?;
            Ok(())
        })
    })
}

/// Frees the memory of the semaphore on all ranks. Collective. As mpisync_controller_close().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_semaphore_close(semaphore: *mut mpisync_semaphore) -> mpisync_status {
    call(|| Ok(handle::take_free::<Semaphore>(semaphore)?.close()?))
}

/// Drops the semaphore on this rank, and gives its permits back. Local. As mpisync_controller_free().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_semaphore_free(semaphore: *mut mpisync_semaphore) -> mpisync_status {
    call(|| handle::free::<Held<Semaphore>>(semaphore))
}
