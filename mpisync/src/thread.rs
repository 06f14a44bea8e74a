//! Objects stay on the thread that made them, which the compiler reports in one message.
//!
//! They are neither `Send` nor `Sync` because some of their parts are not, and the compiler would
//! report each part. In place of that, they are `Send` and `Sync` under a condition that is never met:
//! a trait with a message of its own.

use crate::WindowController;
use crate::plain::Plain;
use crate::rwlock::shared::guard::{SharedReadGuard, SharedWriteGuard};
use crate::rwlock::state::LockState;
use crate::sync::{
    Barrier, Condvar, Counter, Integer, Latch, Mutex, OnceShared, Semaphore, SharedPermit, Turn,
};
use std::marker::PhantomData;

/// The thread of a rank that locks and calls MPI.
///
/// It has a lifetime because a condition that is never met must have one.
#[derive(Debug)]
pub struct RankThread<'a>(PhantomData<&'a ()>);

/// A trait without implementations.
#[diagnostic::on_unimplemented(
    message = "what locks or calls MPI stays on the thread that made it",
    label = "cannot be used on another thread",
    note = "lend that thread what is guarded instead: `guard.view()` of a region's guard, `&*guard` of a mutex's; `shared` of most objects lets threads use them"
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
    ['g] SharedReadGuard<'g>,
    ['g] SharedWriteGuard<'g>,
    ['g] SharedPermit<'g>,
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
