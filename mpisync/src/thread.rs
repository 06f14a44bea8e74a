//! That objects stay on the thread that made them, said in one message of the compiler.
//!
//! They are neither `Send` nor `Sync` because of what they are made of, of which the compiler would
//! report each part. A condition that is never met, of one trait that has a message, takes the
//! place of that.

use crate::WindowController;
use crate::plain::Plain;
use crate::rwlock::state::LockState;
use crate::sync::{Barrier, Condvar, Counter, Integer, Latch, Mutex, OnceShared, Semaphore, Turn};
use std::marker::PhantomData;

/// The thread of a rank that locks and calls MPI.
///
/// It has a lifetime because a condition without one that is never met is an error.
#[derive(Debug)]
pub struct RankThread<'a>(PhantomData<&'a ()>);

/// It has no implementations.
#[diagnostic::on_unimplemented(
    message = "what locks or calls MPI stays on the thread that made it",
    label = "cannot be used on another thread",
    note = "lend that thread what is guarded instead: `guard.view()` of a region's guard, `&*guard` of a mutex's"
)]
pub trait LeavesItsThread {}

macro_rules! stay_on_their_thread {
    ($([$($parameters:tt)*] $object:ty,)*) => {$(
        // SAFETY: the condition is never met, so the type is not `Send`.
        #[doc(hidden)]
        unsafe impl<$($parameters)*> Send for $object where for<'a> RankThread<'a>: LeavesItsThread {}

        // SAFETY: as above, not `Sync`.
        #[doc(hidden)]
        unsafe impl<$($parameters)*> Sync for $object where for<'a> RankThread<'a>: LeavesItsThread {}
    )*};
}

stay_on_their_thread! {
    [] LockState,
    [] WindowController,
    [] Barrier,
    [] Condvar,
    [T: Integer] Counter<T>,
    [] Latch,
    [T: Plain] Mutex<T>,
    [T] OnceShared<T>,
    [] Semaphore,
    [] Turn,
}

#[cfg(feature = "region")]
stay_on_their_thread! {
    [T: Plain, D: ndarray::Dimension] crate::Region<T, D>,
}
