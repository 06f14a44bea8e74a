//! The region: items in memory that the ranks of a node share.

use crate::argument::Out;
use crate::comm::{Creation, creation};
use crate::handle::{self, Object};
use crate::status::{call, mpisync_status};
use mpi::ffi::MPI_Comm;
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::held::Held;
use mpisync_bindings::limit::{Limit, limit};
use mpisync_bindings::objects::{Items, RegionGuard as Guard};
use std::ffi::{c_char, c_double, c_void};
use std::time::Duration;

/// An array in memory that the ranks of a node share, one copy on each node, with a reader-writer
/// lock.
pub struct mpisync_region {
    _opaque: [u8; 0],
}

impl Object for Held<Items> {
    type Opaque = mpisync_region;
}

/// Makes a region of `items` items of `item_size` bytes on `comm`, all of whose bytes are 0.
/// Collective. `name` is for messages, and may be NULL. All are the same on all ranks. The memory
/// begins at a multiple of 128 bytes.
///
/// Errors: those of mpisync_controller_new().
///
/// # Safety
/// As for mpisync_controller_new().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_region_new(
    comm: MPI_Comm,
    name: *const c_char,
    items: usize,
    item_size: usize,
    region: *mut *mut mpisync_region,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        let Creation { comm, name, place } =
            unsafe { creation::<Held<Items>>(comm, name, region) }?;
        let builder = Items::builder(&*comm, [items, item_size]);
        let builder = builder.name(name);
        handle::store(place, Held::new(builder.build()?))
    })
}

/// # Safety
/// As for [`mpisync_region_read_lock`].
unsafe fn lock_read(
    region: *mut mpisync_region,
    limit: Duration,
    size: usize,
    data: *mut *const c_void,
) -> Result<(), Failure> {
    // SAFETY: the caller promises what `Out` needs.
    let data = unsafe { Out::new(data, "data") }?;
    handle::with::<Held<Items>, _>(region, |held| {
        check_size(held, size)?;
        held.hold(|items| Ok(Guard::Read(items.read_timeout(limit)?)))?;
        held.with_guard(|guard| {
            if let Guard::Read(items) = guard {
                data.set(items.as_ptr().cast());
            }
        })
    })
}

/// # Safety
/// As for [`mpisync_region_write_lock`].
unsafe fn lock_write(
    region: *mut mpisync_region,
    wait: Limit,
    size: usize,
    data: *mut *mut c_void,
) -> Result<(), Failure> {
    // SAFETY: the caller promises what `Out` needs.
    let data = unsafe { Out::new(data, "data") }?;
    handle::with::<Held<Items>, _>(region, |held| {
        check_size(held, size)?;
        held.hold(|items| {
            let limit = wait.for_writing(items.nodes());
            Ok(Guard::Write(items.write_timeout(limit)?))
        })?;
        held.with_guard(|guard| {
            if let Guard::Write(items) = guard {
                data.set(items.as_slice_mut().as_mut_ptr().cast());
            }
        })
    })
}

/// Checks that the region has as many bytes as the program is about to use.
fn check_size(held: &mut Held<Items>, size: usize) -> Result<(), Failure> {
    let has = held.owner()?.len();
    if size <= has {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Size,
        format!(
            "the region has {has} bytes, and `size` is {size}; use fewer, or make a larger region"
        ),
    ))
}

/// Takes the lock for reading; waits while another rank writes or waits to write. Not collective.
/// `data` receives the address of the items on this node, which may be read until the lock is
/// released. `size` is the number of bytes that the program will read.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT, MPISYNC_ERR_HELD, MPISYNC_ERR_SIZE if the region is
/// smaller, MPISYNC_ERR_POISONED, MPISYNC_ERR_RANK_ENDED, MPISYNC_ERR_DEADLOCK, MPISYNC_ERR_FINALIZED.
///
/// # Safety
/// `data` is NULL or points to a pointer. The program neither writes to the items nor keeps the
/// address after mpisync_region_unlock().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_region_read_lock(
    region: *mut mpisync_region,
    size: usize,
    data: *mut *const c_void,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        unsafe { lock_read(region, Duration::MAX, size, data) }
    })
}

/// Takes the lock for reading if no rank writes or waits to write. Local.
///
/// Errors: MPISYNC_BUSY if it is not free, and those of mpisync_region_read_lock().
///
/// # Safety
/// As for mpisync_region_read_lock().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_region_try_read_lock(
    region: *mut mpisync_region,
    size: usize,
    data: *mut *const c_void,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        unsafe { lock_read(region, Duration::ZERO, size, data) }.map_err(Failure::busy_at_once)
    })
}

/// Takes the lock for reading; waits for at most `seconds`, which may be INFINITY. Not collective.
///
/// Errors: MPISYNC_TIMEOUT, and those of mpisync_region_read_lock().
///
/// # Safety
/// As for mpisync_region_read_lock().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_region_read_lock_timeout(
    region: *mut mpisync_region,
    seconds: c_double,
    size: usize,
    data: *mut *const c_void,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        unsafe { lock_read(region, limit(seconds)?, size, data) }
    })
}

/// Takes the lock for writing; waits until no other rank writes or reads. Not collective. `data`
/// receives the address of the items on this node, which may be read and written until the lock is
/// released. `size` is the number of bytes that the program will use.
///
/// Errors: those of mpisync_region_read_lock().
///
/// # Safety
/// `data` is NULL or points to a pointer. The program does not keep the address after
/// mpisync_region_unlock().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_region_write_lock(
    region: *mut mpisync_region,
    size: usize,
    data: *mut *mut c_void,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        unsafe { lock_write(region, Limit::For(Duration::MAX), size, data) }
    })
}

/// Takes the lock for writing if no other rank holds it. Not collective. Does not wait, except for a few
/// round trips over several hosts.
///
/// Errors: MPISYNC_BUSY if it is not free, and those of mpisync_region_read_lock().
///
/// # Safety
/// As for mpisync_region_write_lock().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_region_try_write_lock(
    region: *mut mpisync_region,
    size: usize,
    data: *mut *mut c_void,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        unsafe { lock_write(region, Limit::Try, size, data) }.map_err(Failure::busy_at_once)
    })
}

/// Takes the lock for writing; waits for at most `seconds`, which may be INFINITY. Not collective.
///
/// Errors: MPISYNC_TIMEOUT, and those of mpisync_region_read_lock().
///
/// # Safety
/// As for mpisync_region_write_lock().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_region_write_lock_timeout(
    region: *mut mpisync_region,
    seconds: c_double,
    size: usize,
    data: *mut *mut c_void,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        unsafe { lock_write(region, Limit::For(limit(seconds)?), size, data) }
    })
}

/// Releases the lock that this rank took for reading or writing. Not collective. If the region spans
/// nodes and this rank wrote, it first sends the items to the other nodes, and waits until they are
/// there. The address of the items must not be used any more.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_NOT_HELD if this rank holds no lock. If this rank wrote to a
/// region that spans nodes, also MPISYNC_ERR_FINALIZED, and MPISYNC_ERR_RANK_DIED and
/// MPISYNC_ERR_HOST_SILENT, after which some nodes may have the items and others not: so no rank gets the
/// lock any more, and mpisync_region_clear_poison() does not change that.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_region_unlock(region: *mut mpisync_region) -> mpisync_status {
    call(|| {
        handle::with::<Held<Items>, _>(region, |held| {
            held.release(|guard, _| match guard {
                Guard::Read(_) => Ok(()),
                Guard::Write(mut items) => Ok(items.publish()?),
                Guard::Part(mut items) => Ok(items.publish()?),
            })?
        })
    })
}

/// Makes a region usable again that a rank has poisoned by its death, with the items as they are. Not
/// collective.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_HELD, MPISYNC_ERR_RANK_ENDED, MPISYNC_ERR_FINALIZED.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_region_clear_poison(region: *mut mpisync_region) -> mpisync_status {
    call(|| {
        handle::with::<Held<Items>, _>(region, |held| {
            held.owner()?.clear_poison()?;
            Ok(())
        })
    })
}

/// Frees the memory of the region on all ranks. Collective. As mpisync_controller_close().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_region_close(region: *mut mpisync_region) -> mpisync_status {
    call(|| Ok(handle::take_free::<Items>(region)?.close()?))
}

/// Drops the region on this rank, and releases it. Local, unless this rank holds the lock for writing of a
/// region that spans nodes: then it waits as mpisync_region_unlock(). As mpisync_controller_free(). The
/// address of the items must not be used any more.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_region_free(region: *mut mpisync_region) -> mpisync_status {
    call(|| handle::free::<Held<Items>>(region))
}
