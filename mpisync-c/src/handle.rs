//! Handles: numbers of [`mpisync_bindings::handle`], disguised as pointers to an opaque type, which
//! are never dereferenced.

use crate::argument::Out;
use mpisync_bindings::failure::{Failure, Kind};
use mpisync_bindings::handle as table;
use mpisync_bindings::held::{self, Held, Lend};
use std::ptr;

/// An object that has handles.
pub trait Object: table::Object {
    /// The type that C sees.
    type Opaque;
}

/// The number of a handle.
fn number<T: Object>(handle: *mut T::Opaque) -> Result<table::Handle, Failure> {
    match handle.addr() {
        0 => Err(is_null::<T>()),
        number => Ok(number),
    }
}

#[cold]
fn is_null<T: Object>() -> Failure {
    let kind = T::KIND;
    let message = format!(
        "the handle of the {kind} is NULL; pass the one that `mpisync_{kind}_new` returned"
    );
    Failure::new(Kind::Handle, message)
}

/// Adds an object and stores its handle where the C program wants it.
pub fn store<T: Object>(place: Out<*mut T::Opaque>, object: T) -> Result<(), Failure> {
    place.set(ptr::without_provenance_mut(table::add(object)?));
    Ok(())
}

/// Calls `act` with the object of a handle.
pub fn with<T: Object, R>(
    handle: *mut T::Opaque,
    act: impl FnOnce(&mut T) -> Result<R, Failure>,
) -> Result<R, Failure> {
    table::with(number::<T>(handle)?, act)
}

/// Takes an object out of the table.
pub fn take<T: Object>(handle: *mut T::Opaque) -> Result<T, Failure> {
    table::remove(number::<T>(handle)?, |_| Ok(()))
}

/// Takes an object out of the table, unless this rank holds a guard of it.
pub fn take_free<T: Lend>(handle: *mut <Held<T> as Object>::Opaque) -> Result<T, Failure>
where
    Held<T>: Object,
{
    held::take_free(number::<Held<T>>(handle)?)
}

/// Removes an object from the table and drops it. A null pointer is no error.
pub fn free<T: Object>(handle: *mut T::Opaque) -> Result<(), Failure> {
    match handle.addr() {
        0 => Ok(()),
        number => table::free::<T>(number),
    }
}
