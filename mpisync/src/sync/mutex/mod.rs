//! A fair lock, and the value that it guards.

mod future;
mod shared;

use crate::error::LockError;
use crate::object::{Object, accessors};
use crate::plain::{Plain, TypeLayout};
use crate::shm::layout::AnyLayout;
use crate::shm::mapping::ALIGN;
use crate::sync::base::{Base, Grant};
pub use crate::sync::mutex::future::LockFuture;
pub use crate::sync::mutex::shared::{SharedMutex, SharedMutexGuard};
use crate::sync::spec::Spec;
use crate::wait_queue::OnDeath;
use crate::wait_queue::cargo::Cargo;
use crate::wait_queue::memory::WaitLayout;
use std::any::type_name;
use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::ptr::NonNull;
use std::slice;
use std::time::Duration;

/// A fair mutex of all ranks of a communicator, with the value that it guards. The lock is granted
/// strictly in order of arrival.
///
/// Made by [`Mutex::new`] or [`Mutex::with_value`], or for one process without MPI by
/// [`Mutex::local`] or [`Mutex::local_with`]. A `Mutex<()>` guards something outside of it. A
/// `Mutex<T>` guards a small plain value that travels with the lock, so the holder has it on any
/// node.
///
/// On the root's node, locking and unlocking are one atomic operation each while no rank waits. A
/// rank of another node waits for one round trip to lock (one more if the time limit of
/// [`lock_timeout`](Self::lock_timeout) passes), and does not wait to unlock. Waiting ranks are
/// served first come, first served, across all nodes; a rank that gives up or dies is skipped. No
/// other rank has to take part: the lowest rank of the root's node answers in its progress thread.
/// If the order does not matter and many ranks only read, a
/// [`WindowController`](crate::WindowController) is faster.
///
/// A mutex stays on the thread that made it; [`shared`](Self::shared) lets the threads of a rank lock it.
/// Dropping it is local.
///
/// ```
/// use mpisync::Mutex;
///
/// let mut header = Mutex::local_with([0u32; 4]);
/// {
///     let mut header = header.lock();
///     header[0] += 1;
/// }
/// assert_eq!(*header.lock(), [1, 0, 0, 0]);
/// ```
pub struct Mutex<T: Plain = ()> {
    base: Base,
    /// The value while this rank has the lock, if the root is on another node.
    copy: UnsafeCell<T>,
}

/// The size of the largest value in bytes.
const LONGEST: usize = 4096;

/// Rejects values that do not fit, at compile time. Evaluated in the functions that users call with
/// the type, so that the compiler's error names the user's line.
#[track_caller]
pub(super) const fn assert_fits<T>() {
    assert!(
        size_of::<T>() <= LONGEST,
        "a mutex guards a value of at most 4096 bytes: use a `Region` for a larger one, and a `Mutex<()>` beside it"
    );
    assert!(
        align_of::<T>() <= ALIGN,
        "a mutex guards a value of an alignment of at most 128 bytes: take the `#[repr(align)]` off its type"
    );
}

/// The bytes of a value.
fn bytes<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: all bytes of a plain value are initialized, and `()` has none.
    unsafe { slice::from_raw_parts((&raw const *value).cast(), size_of::<T>()) }
}

/// The bytes of a value that is sent with the lock to another node. None for `()`.
fn travelling<T: Plain>(value: &T) -> Option<Vec<u8>> {
    (size_of::<T>() > 0).then(|| bytes(value).to_vec())
}

fn cargo<T: Plain>(value: &T) -> Cargo {
    match bytes(value) {
        [] => Cargo::Nothing,
        bytes => Cargo::Value(bytes.to_vec()),
    }
}

impl Mutex {
    /// Makes a mutex for this process alone. Needs no MPI, neither to run nor (without the feature
    /// `mpi`) to build.
    pub fn local() -> Self {
        Self::local_with(())
    }
}

impl<T: Plain> Mutex<T> {
    /// Makes a mutex for this process alone that guards `value`.
    pub fn local_with(value: T) -> Self {
        const { assert_fits::<T>() }
        MutexOf { value }.local()
    }

    /// Takes the lock. Waits while another rank holds it, or has asked for it before. Not
    /// collective.
    ///
    /// # Panics
    /// Where [`lock_timeout`](Self::lock_timeout) with [`Duration::MAX`] would return an error: a
    /// rank died while it held the lock, or MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn lock(&mut self) -> MutexGuard<'_, T> {
        self.forget_leaked_guard();
        if self.base.acquire_at_once(1) {
            return self.guard(Grant::default());
        }
        match self.base.acquire("lock", 1, None) {
            Ok(grant) => self.guard(grant),
            Err(error) => self.base.object.panic_with(&error),
        }
    }

    /// Takes the lock if no rank holds it or waits for it. Not collective. Does not wait, except
    /// for one round trip if the root is on another node.
    ///
    /// # Panics
    /// If a rank died while it held the lock, or MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn try_lock(&mut self) -> Option<MutexGuard<'_, T>> {
        self.forget_leaked_guard();
        match self.base.try_acquire(1) {
            Ok(grant) => grant.map(|grant| self.guard(grant)),
            Err(error) => self.base.object.panic_with(&error),
        }
    }

    /// Takes the lock. Waits for at most `limit`. Not collective. Pass [`Duration::MAX`] to wait
    /// indefinitely and still get failures as errors instead of a panic. A rank that times out
    /// loses its place in the queue.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::HolderEnded`],
    /// [`LockError::Finalized`].
    #[track_caller]
    pub fn lock_timeout(&mut self, limit: Duration) -> Result<MutexGuard<'_, T>, LockError> {
        self.forget_leaked_guard();
        let grant = self.base.acquire("lock", 1, Some(limit))?;
        Ok(self.guard(grant))
    }

    /// Takes the lock over from a rank that died while it held it, to repair the value. Not
    /// collective; any rank may call it. Returns `None` if the mutex is not poisoned, also because
    /// another rank has taken it over already.
    ///
    /// Of several ranks that call it at the same time, one gets the guard. When the guard is dropped,
    /// the mutex is usable by all ranks that are left. If this rank dies with the guard, the mutex is
    /// poisoned again.
    ///
    /// A rank on the root's node may have half changed the value. If the dead rank was on another
    /// node, the value is the one from before.
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    /// use std::time::Duration;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let mut total = Mutex::with_value(&universe.world(), 0_u64)?;
    /// let added = total.lock_timeout(Duration::MAX).map(|mut total| *total += 1);
    /// if let Err(LockError::HolderDied { rank }) = added {
    ///     eprintln!("rank {rank} died with the total");
    ///     if let Some(mut total) = total.take_over()? {
    ///         *total = 0;
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LockError::Finalized`].
    #[track_caller]
    pub fn take_over(&mut self) -> Result<Option<MutexGuard<'_, T>>, LockError> {
        self.forget_leaked_guard();
        let taken = self.base.take_over(1, Location::caller())?;
        // None if the dead rank only waited, and another one has the lock.
        let taken = taken.filter(|(count, _)| *count > 0);
        Ok(taken.map(|(_, grant)| self.guard(grant)))
    }

    /// Makes the mutex usable again after the death of a rank that held it, with the value as it is.
    /// Not collective; any rank may call it. Returns whether there was a death to clear; of several
    /// ranks that call it at the same time, one gets `true`.
    ///
    /// # Errors
    /// [`LockError::Finalized`].
    #[track_caller]
    pub fn clear_poison(&mut self) -> Result<bool, LockError> {
        self.forget_leaked_guard();
        let taken = self.base.take_over(1, Location::caller())?;
        let is_cleared = taken.is_some();
        if let Some((1.., grant)) = taken {
            drop(self.guard(grant));
        }
        Ok(is_cleared)
    }

    accessors!(root, base.object; Self::forget_leaked_guard);

    /// Releases the lock if a leaked guard (`mem::forget`) still holds it: no guard is alive while
    /// the mutex is borrowed mutably.
    #[inline]
    fn forget_leaked_guard(&mut self) {
        self.release_leaked();
    }

    /// Releases the lock if a leaked guard holds it. No guard is alive.
    #[inline]
    fn release_leaked(&self) {
        self.base.release_leaked(|| {
            // SAFETY: this rank has the lock, and no guard lends the value.
            let value = unsafe { self.value().as_ref() };
            travelling(value)
        });
    }

    /// Makes the guard of this rank, which has just taken the lock.
    #[inline]
    fn guard(&self, grant: Grant) -> MutexGuard<'_, T> {
        if let Some(bytes) = grant.cargo {
            assert_eq!(bytes.len(), size_of::<T>(), "a value of this type");
            // SAFETY: this rank has no other guard, and any bytes are a valid value of a plain
            // type.
            unsafe {
                let copy = self.copy.get().cast::<u8>();
                copy.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
        }
        MutexGuard {
            mutex: self,
            ticket: grant.ticket,
        }
    }

    /// The address of the value, for the rank that holds the lock.
    #[inline]
    fn value(&self) -> NonNull<T> {
        let copy = NonNull::from(&self.copy).cast();
        self.base.local_value().map_or(copy, NonNull::cast)
    }

    pub(crate) fn object(&self) -> &Object {
        &self.base.object
    }

    /// Takes the lock without a mutable borrow. The caller has just dropped the only guard of this
    /// rank.
    #[track_caller]
    pub(super) fn lock_shared(&self) -> Result<MutexGuard<'_, T>, LockError> {
        let grant = self.base.acquire("lock", 1, None)?;
        Ok(self.guard(grant))
    }
}

impl<T: Plain> Drop for Mutex<T> {
    fn drop(&mut self) {
        self.forget_leaked_guard();
    }
}

/// The arguments of a [`Mutex`].
#[derive(Debug)]
pub struct MutexOf<T> {
    pub(super) value: T,
}

impl<T: Plain> Spec for MutexOf<T> {
    type Made = Mutex<T>;
    const KIND: &'static str = "mutex";

    fn arguments(&self) -> Vec<(&'static str, String)> {
        // The bytes themselves, because equal values of a plain type have equal bytes.
        let digits = bytes(&self.value).iter();
        let digits = digits.flat_map(|byte| [byte >> 4, byte & 15]);
        let value = digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]));
        vec![
            ("type of value", type_name::<T>().to_owned()),
            ("layout of value", TypeLayout::of::<T>().to_string()),
            ("bytes of value", value.collect()),
        ]
    }

    fn layout(&self, root: i32) -> AnyLayout {
        AnyLayout::new(WaitLayout {
            root,
            permits: 1,
            cargo: cargo(&self.value),
        })
    }

    fn make(self, object: Object) -> Mutex<T> {
        Mutex {
            base: Base::new(object, OnDeath::Poison, cargo(&self.value)).bound_by(Some(1)),
            copy: UnsafeCell::new(self.value),
        }
    }
}

/// Shows the holder and the waiters in order, if the root is on this node; a snapshot that may be
/// out of date.
impl<T: Plain> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = self.base.object.show(f, "Mutex");
        fields.field("value", &format_args!("{}", type_name::<T>()));
        self.base.show(&mut fields);
        fields.finish_non_exhaustive()
    }
}

/// The lock of a [`Mutex`], held until this guard is dropped, and access to the value.
///
/// Dropping it does one atomic operation on the root's node and sends a message from another node;
/// it does not wait. If a panic drops it, the value stays as it was at the panic. A leaked guard
/// (`mem::forget`) holds the lock until this rank's next call that locks, or until the mutex is
/// closed or dropped.
#[must_use = "the lock is let go at once, with `let _ = …` too; write `let _guard = …`"]
pub struct MutexGuard<'a, T: Plain = ()> {
    mutex: &'a Mutex<T>,
    ticket: Option<u64>,
}

impl<'a, T: Plain> MutexGuard<'a, T> {
    /// Reborrows this guard, for a function that takes a guard by value. The lock is held until
    /// this guard is dropped.
    ///
    /// ```
    /// use mpisync::Mutex;
    /// use mpisync::sync::ReborrowedMutexGuard;
    ///
    /// fn add(mut total: ReborrowedMutexGuard<'_, u64>, depth: u64) {
    ///     *total += depth;
    ///     if depth > 0 {
    ///         add(total.reborrow(), depth - 1);
    ///     }
    /// }
    ///
    /// let mut total = Mutex::local_with(0);
    /// let mut total = total.lock();
    /// add(total.reborrow(), 3);
    /// assert_eq!(*total, 6);
    /// ```
    pub fn reborrow(&mut self) -> ReborrowedMutexGuard<'_, T> {
        ReborrowedMutexGuard {
            rank: self.rank(),
            ticket: self.ticket,
            value: self,
        }
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.mutex.rank()
    }

    /// The position of this request among all requests that had to wait, counted from 0. None if
    /// the lock was free. Later requests have larger tickets.
    pub fn ticket(&self) -> Option<u64> {
        self.ticket
    }

    pub(super) fn mutex(&self) -> &'a Mutex<T> {
        self.mutex
    }
}

impl<T: Plain> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the pointer leads to a value of this type, which lives as long as the mutex,
        // which is borrowed. Only the holder reads and writes the value, and this rank holds the
        // lock. This guard is its only one, because locking borrows the mutex mutably.
        unsafe { self.mutex.value().as_ref() }
    }
}

impl<T: Plain> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { self.mutex.value().as_mut() }
    }
}

impl<T: Plain> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.base.release(1, || travelling(&**self));
    }
}

/// A reborrowed [`MutexGuard`]. The lock is held until the original guard is dropped.
///
/// Made by [`MutexGuard::reborrow`]. A [`Condvar`](super::Condvar) does not accept it, because the
/// lock cannot be released while the original guard is alive.
#[must_use = "it does nothing but lend the value; the guard that it comes from holds the lock"]
pub struct ReborrowedMutexGuard<'a, T: Plain = ()> {
    value: &'a mut T,
    rank: i32,
    ticket: Option<u64>,
}

impl<T: Plain> ReborrowedMutexGuard<'_, T> {
    /// Reborrows this guard.
    pub fn reborrow(&mut self) -> ReborrowedMutexGuard<'_, T> {
        ReborrowedMutexGuard {
            value: self.value,
            rank: self.rank,
            ticket: self.ticket,
        }
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.rank
    }

    /// The [`MutexGuard::ticket`] of the original guard.
    pub fn ticket(&self) -> Option<u64> {
        self.ticket
    }
}

impl<T: Plain> Deref for ReborrowedMutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T: Plain> DerefMut for ReborrowedMutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.value
    }
}

impl<T: Plain + fmt::Display> fmt::Display for ReborrowedMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl<T: Plain + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for ReborrowedMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReborrowedMutexGuard")
            .field("value", self.value)
            .field("ticket", &self.ticket)
            .finish()
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MutexGuard")
            .field("value", &**self)
            .field("ticket", &self.ticket)
            .finish()
    }
}
