//! The beginning and the end of MPI, and the version.

use crate::argument::Out;
use crate::status::{Failure, call, mpisync_status};
use mpisync::Universe;
use std::cell::RefCell;
use std::ffi::{c_char, c_int};

thread_local! {
    /// MPI, if this thread has initialized it by `mpisync_init`. It is never dropped: at the end of
    /// the process that would wait for other ranks.
    static UNIVERSE: &'static RefCell<Option<Universe>> = Box::leak(Box::default());
}

/// Initializes MPI with the level MPI_THREAD_MULTIPLE if MPI has it, in place of MPI_Init_thread.
/// Collective over all processes. End it by mpisync_finalize() on the same thread.
///
/// A program that runs on one host, or calls MPI_Init_thread itself, does not need it. On several
/// hosts a thread answers the other hosts; mpisync_finalize() ends it before MPI is finalized, which
/// MPICH requires.
///
/// Errors: MPISYNC_ERR_ARGUMENT if MPI was initialized before.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_init() -> mpisync_status {
    call(|| {
        let universe = mpisync::initialize().ok_or_else(|| {
            let status = mpisync_status::MPISYNC_ERR_ARGUMENT;
            let message = "MPI was initialized before; leave out MPI_Init, or mpisync_init";
            Failure::new(status, message.to_owned())
        })?;
        UNIVERSE.with(|kept| *kept.borrow_mut() = Some(universe));
        Ok(())
    })
}

/// Waits for all ranks and finalizes MPI, in place of MPI_Finalize after mpisync_init(). Collective.
///
/// Errors: MPISYNC_ERR_FINALIZED if this thread has not called mpisync_init(), or calls it again.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_finalize() -> mpisync_status {
    call(|| {
        let universe = UNIVERSE.with(|kept| kept.borrow_mut().take());
        let universe = universe.ok_or_else(|| {
            let status = mpisync_status::MPISYNC_ERR_FINALIZED;
            let message = "this thread has not initialized MPI by mpisync_init, or has finalized it; after MPI_Init call \
                           MPI_Finalize";
            Failure::new(status, message.to_owned())
        })?;
        drop(universe);
        Ok(())
    })
}

/// The version of the library, as the three numbers of major.minor.patch. Local.
///
/// Errors: MPISYNC_ERR_ARGUMENT for a null pointer.
///
/// # Safety
/// Each pointer is NULL or points to an int.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mpisync_version(
    major: *mut c_int,
    minor: *mut c_int,
    patch: *mut c_int,
) -> mpisync_status {
    let number = |text: &str| text.parse().unwrap_or(0);
    // SAFETY: the caller promises what `Out` needs.
    let places = unsafe {
        [
            Out::new(major, "major"),
            Out::new(minor, "minor"),
            Out::new(patch, "patch"),
        ]
    };
    let numbers = [
        number(env!("CARGO_PKG_VERSION_MAJOR")),
        number(env!("CARGO_PKG_VERSION_MINOR")),
        number(env!("CARGO_PKG_VERSION_PATCH")),
    ];
    call(|| {
        for (place, number) in places.into_iter().zip(numbers) {
            place?.set(number);
        }
        Ok(())
    })
}

/// The version of the library as a text. Local. It stays valid.
#[unsafe(no_mangle)]
pub extern "C" fn mpisync_version_text() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}
