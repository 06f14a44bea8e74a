//! Which threads of this process may call MPI.

use mpi::{Threading, ffi};
use std::cell::Cell;
use std::sync::OnceLock;

/// Whether this thread may call MPI at the thread level of its initialization. At `Serialized` it
/// may, if the program ensures that no other thread calls MPI at the same time.
pub(super) fn may_call_mpi() -> bool {
    let mut is_main = 0;
    // SAFETY: MPI runs, and any thread may ask this (MPI 4.1, 11.6.2).
    unsafe { ffi::MPI_Is_thread_main(&mut is_main) };
    is_main != 0 || mpi::environment::threading_support() >= Threading::Serialized
}

/// The thread level of MPI, if that is not [`Threading::Multiple`].
pub(crate) fn level_below_multiple() -> Option<String> {
    static LEVEL: OnceLock<Threading> = OnceLock::new();
    let level = *LEVEL.get_or_init(mpi::environment::threading_support);
    (level != Threading::Multiple).then(|| format!("{level:?}"))
}

thread_local! {
    static MAKES_OBJECTS: Cell<bool> = const { Cell::new(false) };
}

/// Notes that this thread makes an object, which it may.
pub(super) fn note_maker() {
    MAKES_OBJECTS.set(true);
}

/// Whether this thread may call MPI while it waits: at any time, or because it makes objects. A thread
/// that only uses a shared object may not, where other threads may be in MPI.
#[inline]
pub(super) fn may_make_progress() -> bool {
    MAKES_OBJECTS.get() || level_below_multiple().is_none()
}
