//! The counter: numbers that are given out once.

use crate::argument::{Out, count};
use crate::comm::{Creation, creation};
use crate::handle::{self, Object};
use crate::status::{call, mpisync_status};
use mpi::ffi::MPI_Comm;
use mpisync_bindings::failure::Failure;
use mpisync_bindings::objects::Numbers;
use std::ffi::{c_char, c_int};

/// A number that all ranks increment together.
pub struct mpisync_counter {
    _opaque: [u8; 0],
}

impl Object for Numbers {
    type Opaque = mpisync_counter;
}

/// Makes a counter on `comm` that begins with `start` and counts in steps of 1. Collective. `name` is
/// for messages, and may be NULL. `root` is the rank on whose node the counter lives. All are the same
/// on all ranks.
///
/// Errors: those of mpisync_controller_new().
///
/// # Safety
/// As for mpisync_controller_new().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_counter_new(
    comm: MPI_Comm,
    name: *const c_char,
    root: c_int,
    start: i64,
    counter: *mut *mut mpisync_counter,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what this needs.
        let Creation { comm, name, place } = unsafe { creation::<Numbers>(comm, name, counter) }?;
        let builder = Numbers::builder(&*comm).root(root).start(start);
        let builder = builder.name(name);
        handle::store(place, builder.build()?)
    })
}

fn take(
    counter: *mut mpisync_counter,
    number: Out<i64>,
    take: impl FnOnce(&Numbers) -> Result<i64, Failure>,
) -> Result<(), Failure> {
    number.set(handle::with::<Numbers, _>(counter, |counter| {
        take(counter)
    })?);
    Ok(())
}

/// Takes the next number, which no other call gets. Not collective.
///
/// Errors: MPISYNC_ERR_HANDLE, MPISYNC_ERR_ARGUMENT, MPISYNC_ERR_USED_UP, MPISYNC_ERR_RANK_DIED,
/// MPISYNC_ERR_FINALIZED.
///
/// # Safety
/// `number` is NULL or points to a variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_counter_next(
    counter: *mut mpisync_counter,
    number: *mut i64,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what `Out` needs.
        let number = unsafe { Out::new(number, "number") }?;
        take(counter, number, |counter| Ok(counter.try_next()?))
    })
}

/// Takes the next `numbers` numbers; `first` receives the first of them. Not collective.
///
/// Errors: those of mpisync_counter_next(), and MPISYNC_ERR_ARGUMENT if `numbers` is not positive.
///
/// # Safety
/// `first` is NULL or points to a variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_counter_reserve(
    counter: *mut mpisync_counter,
    numbers: i64,
    first: *mut i64,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what `Out` needs.
        let first = unsafe { Out::new(first, "first") }?;
        take(counter, first, |counter| {
            let numbers = count(numbers, "numbers")?;
            let reserved = counter.try_reserve(numbers)?.next();
            reserved.ok_or_else(|| Failure::argument("`numbers` is 0; take 1 at least".into()))
        })
    })
}

/// Adds to the counter; `before` receives what it was. `amount` may be negative or 0. Not collective.
///
/// Errors: those of mpisync_counter_next().
///
/// # Safety
/// `before` is NULL or points to a variable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_counter_add(
    counter: *mut mpisync_counter,
    amount: i64,
    before: *mut i64,
) -> mpisync_status {
    call(|| {
        // SAFETY: the caller promises what `Out` needs.
        let before = unsafe { Out::new(before, "before") }?;
        take(counter, before, |counter| Ok(counter.try_add(amount)?))
    })
}

/// Frees the memory of the counter on all ranks. Collective. As mpisync_controller_close().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_counter_close(counter: *mut mpisync_counter) -> mpisync_status {
    call(|| Ok(handle::take::<Numbers>(counter)?.close()?))
}

/// Drops the counter on this rank. Local. As mpisync_controller_free().
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_counter_free(counter: *mut mpisync_counter) -> mpisync_status {
    call(|| handle::free::<Numbers>(counter))
}
