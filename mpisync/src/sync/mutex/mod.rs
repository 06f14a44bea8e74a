//! A lock that is granted in the order in which ranks ask for it, and what it guards.

use crate::error::LockError;
use crate::object::{Object, accessors};
use crate::plain::{Plain, TypeLayout};
use crate::shm::layout::AnyLayout;
use crate::shm::mapping::ALIGN;
use crate::sync::base::{Base, Grant};
use crate::sync::spec::Spec;
use crate::wait_queue::OnDeath;
use crate::wait_queue::cargo::Cargo;
use crate::wait_queue::memory::WaitLayout;
use std::any::type_name;
use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::time::Duration;

/// A lock of all ranks of a communicator that is granted strictly in the order in which they ask
/// for it, and the value that it guards.
///
/// Made by [`Mutex::new`] and [`Mutex::with_value`], and for one process without MPI by
/// [`Mutex::local`] and [`Mutex::local_with`]. A `Mutex<()>` guards something that lies elsewhere;
/// a `Mutex<T>` has a small plain value, which is there for whoever holds the lock, on whatever
/// node: it travels with the lock.
///
/// On the root's node locking and unlocking is one atomic operation each as long as nobody waits. A
/// rank of another node waits one round trip for the lock (with a timeout, one more where the time
/// is up), and for nothing when it lets it go. Who waits is served first come, first served, over
/// all nodes; a rank that gives up or dies while it waits is passed over. No rank has to take part:
/// the lowest rank of the root's node answers for it in its progress thread. Where the order does
/// not matter, and many ranks only read, a [`WindowController`](crate::WindowController) takes less
/// time.
///
/// It stays on the thread that made it. Dropping it is local.
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
    /// The value while this rank has the lock, where it lives on another node.
    copy: UnsafeCell<T>,
}

/// The longest value.
const LONGEST: usize = 4096;

/// Stops the compiler at a value that does not fit. To be evaluated in what users call with the
/// type: the compiler then names their line.
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

/// The bytes of a value that goes with the lock to another node; there are none of `()`.
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
    /// A mutex of this process alone. Needs no MPI, neither to run nor (without the feature `mpi`)
    /// to build.
    pub fn local() -> Self {
        Self::local_with(())
    }
}

impl<T: Plain> Mutex<T> {
    /// A mutex of this process alone, with a value.
    pub fn local_with(value: T) -> Self {
        const { assert_fits::<T>() }
        MutexOf { value }.local()
    }

    /// Takes the lock; waits while others have it or have asked before. Not collective.
    ///
    /// # Panics
    /// Where [`lock_timeout`](Self::lock_timeout) would return an error: a rank died with the lock,
    /// or MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn lock(&mut self) -> MutexGuard<'_, T> {
        self.forget_leaked_guard();
        match self.base.acquire("lock", 1, None) {
            Ok(grant) => self.guard(grant),
            Err(error) => self.base.object.panic_with(&error),
        }
    }

    /// Takes the lock if nobody has it or waits for it. Not collective. Does not wait, but for a
    /// round trip where the root is on another node.
    ///
    /// # Panics
    /// If a rank died with the lock, or MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn try_lock(&mut self) -> Option<MutexGuard<'_, T>> {
        self.forget_leaked_guard();
        match self.base.try_acquire(1) {
            Ok(grant) => grant.map(|grant| self.guard(grant)),
            Err(error) => self.base.object.panic_with(&error),
        }
    }

    /// Takes the lock; waits for `limit` at most. Not collective. Pass [`Duration::MAX`] to wait
    /// indefinitely and still get failures as errors instead of a panic. Who gives up loses its
    /// place in the line.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::Finalized`].
    #[track_caller]
    pub fn lock_timeout(&mut self, limit: Duration) -> Result<MutexGuard<'_, T>, LockError> {
        self.forget_leaked_guard();
        let grant = self.base.acquire("lock", 1, Some(limit))?;
        Ok(self.guard(grant))
    }

    accessors!(root, base.object; Self::forget_leaked_guard);

    /// Releases the lock if a guard that was leaked (`mem::forget`) still holds it: no guard is
    /// alive while the mutex is borrowed mutably.
    #[inline]
    fn forget_leaked_guard(&mut self) {
        self.base.release_leaked(|| {
            // SAFETY: this rank has the lock, and no guard lends the value to anybody.
            let value = unsafe { self.value().as_ref() };
            travelling(value)
        });
    }

    /// The guard of this rank, which has just got the lock.
    #[inline]
    fn guard(&self, grant: Grant) -> MutexGuard<'_, T> {
        if let Some(bytes) = grant.cargo {
            assert_eq!(bytes.len(), size_of::<T>(), "a value of this type");
            // SAFETY: nobody has a guard of this rank yet; any bytes are a value of a plain type.
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

    /// Where the value is for who has the lock.
    #[inline]
    fn value(&self) -> NonNull<T> {
        let copy = NonNull::from(&self.copy).cast();
        self.base.local_value().map_or(copy, NonNull::cast)
    }

    /// Takes the lock for a rank that let it go to wait for something: it has no other guard.
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

/// A mutex to be made.
#[derive(Debug)]
pub struct MutexOf<T> {
    pub(super) value: T,
}

impl<T: Plain> Spec for MutexOf<T> {
    type Made = Mutex<T>;
    const KIND: &'static str = "mutex";

    fn arguments(&self) -> Vec<(&'static str, String)> {
        // The bytes themselves: equal values of a plain type have equal bytes.
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
            base: Base::new(object, OnDeath::Poison, cargo(&self.value)),
            copy: UnsafeCell::new(self.value),
        }
    }
}

/// Who has the lock and who waits for it, in order, where the root is on this node; a snapshot that
/// may be out of date.
impl<T: Plain> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = self.base.object.show(f, "Mutex");
        fields.field("value", &format_args!("{}", type_name::<T>()));
        self.base.show(&mut fields);
        fields.finish_non_exhaustive()
    }
}

/// The lock of a [`Mutex`], held until this guard is dropped, and the value.
///
/// Dropping it stores a word on the root's node, and sends a message elsewhere; it waits for nobody
/// to answer. Where a panic drops it, the value is as far as the rank had come with it. A guard
/// that is leaked (`mem::forget`) keeps the lock until this rank's next call of a method that
/// locks, or until the mutex is closed or dropped.
#[must_use = "the lock is let go at once, with `let _ = …` too; write `let _guard = …`"]
pub struct MutexGuard<'a, T: Plain = ()> {
    mutex: &'a Mutex<T>,
    ticket: Option<u64>,
}

impl<'a, T: Plain> MutexGuard<'a, T> {
    /// A guard inside this one, for code that asks for one. The lock is held until this one is
    /// dropped.
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
            ticket: self.ticket,
            value: self,
        }
    }

    /// The place of this request among all that had to wait for the lock, counted from 0; none
    /// where it was free. Later requests have larger ones, and get the lock later.
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
        // SAFETY: there is a value of this type, which only this rank reads and writes while it has the lock. This is its only
        // guard, since locking borrows the mutex mutably; and the value lives as long as the mutex, which is borrowed.
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

/// A [`MutexGuard`] that is lent: the lock is held until the guard that it comes from is dropped.
///
/// Made by [`MutexGuard::reborrow`]. A [`Condvar`](super::Condvar) does not take it, because the
/// lock cannot be released while the other guard lives.
#[must_use = "it does nothing but lend the value; the guard that it comes from holds the lock"]
pub struct ReborrowedMutexGuard<'a, T: Plain = ()> {
    value: &'a mut T,
    ticket: Option<u64>,
}

impl<T: Plain> ReborrowedMutexGuard<'_, T> {
    /// A guard inside this one.
    pub fn reborrow(&mut self) -> ReborrowedMutexGuard<'_, T> {
        ReborrowedMutexGuard {
            value: self.value,
            ticket: self.ticket,
        }
    }

    /// [`MutexGuard::ticket`] of the guard that it comes from.
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
