//! Communicators of C programs.

use crate::argument::{Out, text};
use crate::handle::Object;
use mpi::ffi::MPI_Comm;
use mpisync::__private::find_places_by;
use mpisync_bindings::comm::{Borrowed, borrow};
use mpisync_bindings::failure::Failure;
use std::ffi::c_char;

/// The arguments that all objects are made with.
pub struct Creation<'a, T: Object> {
    /// The communicator.
    pub comm: Borrowed,
    /// Defaults to the kind of the object.
    pub name: &'a str,
    /// Where the handle goes.
    pub place: Out<*mut T::Opaque>,
}

/// Checks the arguments that all objects are made with.
///
/// # Safety
/// `comm` is as for [`borrow`], `name` as for [`text`] as long as the value lives, and `handle` as for
/// [`Out::new`].
pub unsafe fn creation<'a, T: Object>(
    comm: MPI_Comm,
    name: *const c_char,
    handle: *mut *mut T::Opaque,
) -> Result<Creation<'a, T>, Failure> {
    // Where the program calls is not known. An object belongs to the thread that makes it.
    find_places_by(|| None);
    // SAFETY: the caller promises what these need.
    unsafe {
        Ok(Creation {
            comm: borrow(comm)?,
            name: text(name, "name")?.unwrap_or(T::KIND),
            place: Out::new(handle, T::KIND)?,
        })
    }
}
