//! The controller: a reader-writer lock, and calls in which one rank writes for all.

use crate::argument::{Buffer, Out, reason};
use crate::comm::{Creation, creation};
use crate::handle::{self, Object};
use crate::status::{call, mpisync_status};
use mpi::ffi::MPI_Comm;
use mpisync::{Access, WindowController};
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::held::Held;
use mpisync_bindings::limit::{Limit, limit};
use mpisync_bindings::objects::{Call, ControllerGuard as Guard};
use std::ffi::{c_char, c_double, c_int, c_void};
use std::time::Duration;

/// A reader-writer lock that all ranks of a communicator share.
pub struct mpisync_controller {
    _opaque: [u8; 0],
}

impl Object for Held<WindowController> {
    type Opaque = mpisync_controller;
}

type Controller = Held<WindowController>;

/// Makes a controller on `comm`. Collective. `name` is for messages, and may be NULL. `master` is the
/// rank that writes in a single write. Both are the same on all ranks. `controller` receives the
/// handle, and stays as it is after an error. mpisync keeps a duplicate of `comm`.
///
/// Some wrong arguments are found before this rank meets the others: a null pointer, a communicator that
/// cannot be used, a name that is not UTF-8, and of other objects a negative count or a size of messages
/// that is too large. If not all ranks pass the same, those that do not return wait for the others: 300
/// seconds, or as many as the environment variable MPISYNC_CREATE_TIMEOUT says.
///
/// Errors: MPISYNC_ERR_ARGUMENT, MPISYNC_ERR_FINALIZED, MPISYNC_ERR_DIVERGED if the ranks make
/// different objects or pass different arguments, MPISYNC_ERR_MEMORY, MPISYNC_ERR_RANK_DIED,
/// MPISYNC_ERR_RANK_ENDED, MPISYNC_TIMEOUT if not all ranks come, MPISYNC_ERR_CREATE, also if this thread
/// must not call MPI.
///
/// # Safety
/// `comm` is a communicator or MPI_COMM_NULL; `name` is NULL or a text that ends with 0; `controller`
/// is NULL or points to a variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_controller_new(
    comm: MPI_Comm,
    name: *const c_char,
    master: c_int,
    controller: *mut *mut mpisync_controller,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        let Creation { comm, name, place } =
            unsafe { creation::<Controller>(comm, name, controller) }?;
        let builder = WindowController::builder(&*comm).master(master).name(name);
        handle::store(place, Held::new(builder.build()?))
    })
}

fn lock_read(controller: *mut mpisync_controller, limit: Duration) -> Result<(), Failure> {
    handle::with::<Controller, _>(controller, |held| {
        held.hold(|ctrl| Ok(Guard::Read(ctrl.read_timeout(limit)?)))
    })
}

fn lock_write(controller: *mut mpisync_controller, wait: Limit) -> Result<(), Failure> {
    handle::with::<Controller, _>(controller, |held| {
        held.hold(|ctrl| {
            let limit = wait.for_writing(ctrl.nodes());
            Ok(Guard::Write(ctrl.write_timeout(limit)?))
        })
    })
}

/// Takes the lock for reading; waits while another rank writes or waits to write. Not collective.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_HELD, MPISYNC_ERR_POISONED, MPISYNC_ERR_RANK_ENDED,
/// MPISYNC_ERR_DEADLOCK, MPISYNC_ERR_FINALIZED.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_controller_read_lock(
    controller: *mut mpisync_controller,
) -> mpisync_status {
    call(|| lock_read(controller, Duration::MAX))
}

/// Takes the lock for reading if no rank writes or waits to write. Local.
///
/// Errors: MPISYNC_BUSY if it is not free, and those of mpisync_controller_read_lock().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_controller_try_read_lock(
    controller: *mut mpisync_controller,
) -> mpisync_status {
    call(|| lock_read(controller, Duration::ZERO).map_err(Failure::busy_at_once))
}

/// Takes the lock for reading; waits for at most `seconds`, which may be INFINITY. Not collective.
///
/// Errors: MPISYNC_TIMEOUT, and those of mpisync_controller_read_lock().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_controller_read_lock_timeout(
    controller: *mut mpisync_controller,
    seconds: c_double,
) -> mpisync_status {
    call(|| lock_read(controller, limit(seconds)?))
}

/// Takes the lock for writing; waits until no other rank writes or reads. Not collective.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_HELD, MPISYNC_ERR_POISONED, MPISYNC_ERR_RANK_ENDED,
/// MPISYNC_ERR_DEADLOCK, MPISYNC_ERR_FINALIZED.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_controller_write_lock(
    controller: *mut mpisync_controller,
) -> mpisync_status {
    call(|| lock_write(controller, Limit::For(Duration::MAX)))
}

/// Takes the lock for writing if no other rank holds it. Not collective. Does not wait, except for a few
/// round trips over several hosts.
///
/// Errors: MPISYNC_BUSY if it is not free, and those of mpisync_controller_write_lock().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_controller_try_write_lock(
    controller: *mut mpisync_controller,
) -> mpisync_status {
    call(|| lock_write(controller, Limit::Try).map_err(Failure::busy_at_once))
}

/// Takes the lock for writing; waits for at most `seconds`, which may be INFINITY. Not collective.
///
/// Errors: MPISYNC_TIMEOUT, and those of mpisync_controller_write_lock().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_controller_write_lock_timeout(
    controller: *mut mpisync_controller,
    seconds: c_double,
) -> mpisync_status {
    call(|| lock_write(controller, Limit::For(limit(seconds)?)))
}

/// Releases the lock that this rank took for reading or writing. Local.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_NOT_HELD if this rank holds no lock, MPISYNC_ERR_HELD if a single
/// write has begun.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_controller_unlock(controller: *mut mpisync_controller) -> mpisync_status {
    call(|| {
        handle::with::<Controller, _>(controller, |held| {
            held.release(|guard, kept| match guard {
                Guard::Call(_) => {
                    *kept = Some(guard);
                    Err(has_begun())
                }
                Guard::Read(_) | Guard::Write(_) => Ok(()),
            })?
        })
    })
}

#[cold]
fn has_begun() -> Failure {
    let message = "a single write has begun on this rank, and no lock is held besides; call mpisync_single_write_end";
    Failure::new(Kind::Held, message.to_owned())
}

/// Turns the lock for writing into one for reading; no other rank writes in between. Local.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_NOT_HELD if this rank holds no lock for writing.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_controller_downgrade(
    controller: *mut mpisync_controller,
) -> mpisync_status {
    call(|| {
        handle::with::<Controller, _>(controller, |held| {
            held.release(|guard, kept| match guard {
                Guard::Write(guard) => {
                    *kept = Some(Guard::Read(guard.downgrade()));
                    Ok(())
                }
                Guard::Read(_) | Guard::Call(_) => {
                    let message = "this rank does not hold the lock for writing; take it before";
                    *kept = Some(guard);
                    Err(not_held(message))
                }
            })?
        })
    })
}

#[cold]
fn not_held(message: &str) -> Failure {
    Failure::new(Kind::NotHeld, message.to_owned())
}

/// Takes the lock for writing over from a rank that died while it held it, in order to repair what
/// the lock guards. `taken` receives 1, and this rank holds the lock; or 0, if no rank died or another
/// one has taken it over. Not collective.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT, MPISYNC_ERR_HELD, MPISYNC_ERR_RANK_ENDED,
/// MPISYNC_ERR_FINALIZED.
///
/// # Safety
/// `taken` is NULL or points to an int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_controller_take_over(
    controller: *mut mpisync_controller,
    taken: *mut c_int,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what `Out` needs.
        let taken = unsafe { Out::new(taken, "taken") }?;
        handle::with::<Controller, _>(controller, |held| {
            let has = held.hold_some(|ctrl| Ok(ctrl.take_over()?.map(Guard::Write)))?;
            taken.set(has.into());
            Ok(())
        })
    })
}

/// Makes a lock usable again that a rank has poisoned by its death. Not collective. What the lock
/// guards stays as it is.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_HELD, MPISYNC_ERR_RANK_ENDED, MPISYNC_ERR_FINALIZED.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_controller_clear_poison(
    controller: *mut mpisync_controller,
) -> mpisync_status {
    call(|| {
        handle::with::<Controller, _>(controller, |held| {
            held.owner()?.clear_poison()?;
            Ok(())
        })
    })
}

/// Begins a single write, in which one rank writes for all: `writer`, or the master if it is -1.
/// Collective; every rank ends it by mpisync_single_write_end(). `writes` receives 1 on the writer,
/// which holds the lock for writing until the end, and 0 on the others, which do not wait here.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT, MPISYNC_ERR_HELD, MPISYNC_ERR_DIVERGED,
/// MPISYNC_ERR_POISONED, MPISYNC_ERR_RANK_ENDED, MPISYNC_ERR_FINALIZED. After an error there is no
/// call to end.
///
/// # Safety
/// `writes` is NULL or points to an int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_single_write_begin(
    controller: *mut mpisync_controller,
    writer: c_int,
    writes: *mut c_int,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what `Out` needs.
        let writes = unsafe { Out::new(writes, "writes") }?;
        handle::with::<Controller, _>(controller, |held| {
            held.hold(|ctrl| {
                let writer = if writer == -1 { ctrl.master() } else { writer };
                let access = ctrl.on(writer)?.single_write_timeout(Duration::MAX)?;
                Ok(Guard::Call(Call::new(access)))
            })?;
            held.with_guard(|guard| {
                let is_writer = matches!(guard, Guard::Call(call) if call.is_writer());
                writes.set(is_writer.into());
            })
        })
    })
}

/// Ends a single write. Collective. The writer releases the lock and shares `size` bytes at `data`
/// with the other ranks, which wait for them and receive them in `data`. `size` is the same on all
/// ranks, and may be 0. If it is more than 448, the writer waits, too, until the others have them.
///
/// A writer that has failed passes the reason as `failure`, and MPISYNC_ERR_WRITER_FAILED is the
/// status of all ranks. Otherwise `failure` is NULL. Ranks that do not write pass NULL. Bytes of the
/// reason that are not UTF-8 are replaced.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT, MPISYNC_ERR_NOT_HELD if no single write has begun,
/// MPISYNC_ERR_WRITER_FAILED, MPISYNC_ERR_SIZE, MPISYNC_ERR_DIVERGED, MPISYNC_ERR_RANK_DIED,
/// MPISYNC_ERR_RANK_ENDED, MPISYNC_ERR_FINALIZED. The call has ended then as well, except after
/// MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT and MPISYNC_ERR_NOT_HELD.
///
/// # Safety
/// `failure` is NULL or a text that ends with 0; `data` is NULL or points to `size` bytes, which are
/// initialized on the writer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_single_write_end(
    controller: *mut mpisync_controller,
    failure: *const c_char,
    data: *mut c_void,
    size: usize,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what these need.
        let (failure, data) = unsafe { (reason(failure), Buffer::new(data, size, "data")?) };
        handle::with::<Controller, _>(controller, |held| {
            held.release(|guard, kept| match guard {
                Guard::Call(call) => end(call, failure.as_deref(), &data),
                Guard::Read(_) | Guard::Write(_) => {
                    let message =
                        "no single write has begun; call mpisync_single_write_begin before";
                    *kept = Some(guard);
                    Err(not_held(message))
                }
            })?
        })
    })
}

/// Ends a single write.
fn end(call: Call<'_>, failure: Option<&str>, data: &Buffer) -> Result<(), Failure> {
    match (call.into_access(), failure) {
        (Access::Writer(fence), None) => {
            // SAFETY: the program promises that the bytes that the writer shares are initialized. It
            // does not change them meanwhile, and nothing here writes to them.
            let bytes = unsafe { data.bytes() };
            Ok(fence.share_slice(bytes)?)
        }
        (Access::Writer(fence), Some(reason)) => Err(fence.fail(reason).into()),
        (Access::Excluded(fence), _) => {
            let shared = fence.collect_vec::<u8>()?;
            if shared.len() == data.size() {
                data.fill(&shared);
                return Ok(());
            }
            let message = format!(
                "the writer shared {} bytes, and this rank passed `size` {}; pass the same on all ranks",
                shared.len(),
                data.size()
            );
            Err(Failure::new(Kind::Size, message))
        }
    }
}

/// Frees the memory of the controller on all ranks. Collective. Waits for all ranks. The handle is gone
/// afterwards, also after an error, except after MPISYNC_ERR_HANDLE and MPISYNC_ERR_HELD.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_HELD, MPISYNC_ERR_DIVERGED, MPISYNC_ERR_RANK_DIED,
/// MPISYNC_ERR_RANK_ENDED, MPISYNC_ERR_FINALIZED.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_controller_close(controller: *mut mpisync_controller) -> mpisync_status {
    call(|| Ok(handle::take_free::<WindowController>(controller)?.close()?))
}

/// Drops the controller on this rank, and releases what this rank holds of it. Local. The other ranks
/// may go on using theirs; the memory is freed when all have dropped it. A writer that has not ended
/// its single write has failed. NULL is no error.
///
/// Errors: MPISYNC_ERR_HANDLE.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_controller_free(controller: *mut mpisync_controller) -> mpisync_status {
    call(|| handle::free::<Controller>(controller))
}
