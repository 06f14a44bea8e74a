//! A region that the threads of a rank read together.

use crate::error::{CreateError, LockError};
use crate::object::accessors;
use crate::plain::Plain;
use crate::region::Region;
use crate::rwlock::shared::SharedController;
use crate::rwlock::shared::guard::SharedReadGuard;
use ndarray::{ArrayRef, ArrayView, Dimension, IxDyn, RawArrayView};
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

/// A region that several threads of this rank read, each under a read lock of its own.
///
/// Made by [`Region::shared`], which it borrows, so this rank does not write and makes no collective call
/// meanwhile. Other ranks may write. For one look at the items by many threads it is not needed: they can
/// borrow one [`RegionReadGuard`](crate::RegionReadGuard), or views of it.
///
/// ```
/// use mpisync::Region;
/// use mpisync::ndarray::Ix1;
///
/// let mut field = Region::<f64, Ix1>::local(1000)?;
/// let shared = field.shared()?;
/// std::thread::scope(|scope| {
///     for first in [0, 500] {
///         let shared = &shared;
///         scope.spawn(move || {
///             let items = shared.read(); // one state of the items; other ranks write before or after
///             assert_eq!((items[first], items[first + 499]), (0.0, 0.0));
///         });
///     }
/// });
/// # Ok::<(), mpisync::CreateError>(())
/// ```
///
/// The lock is that of a [`SharedController`]: a thread may have several guards, and a waiting writer of
/// another rank keeps new readers out.
pub struct SharedRegion<'a, T: Plain, D: Dimension = IxDyn> {
    lock: SharedController<'a>,
    /// The items of this node's copy. Accessing them requires the lock.
    items: RawArrayView<T, D>,
}

// SAFETY: threads reach the lock, which is `Send` and `Sync`, the shape, which does not change, and, under the
// read lock, shared references to the items.
unsafe impl<T: Plain + Sync, D: Dimension> Send for SharedRegion<'_, T, D> {}
// SAFETY: as above.
unsafe impl<T: Plain + Sync, D: Dimension> Sync for SharedRegion<'_, T, D> {}

/// The read lock of a [`SharedRegion`] and a view of its items, held by this thread until the guard is
/// dropped. Many threads of many ranks may hold one at the same time.
///
/// It dereferences to an `ndarray` array, as a [`RegionReadGuard`](crate::RegionReadGuard) does, and stays
/// on its thread; other threads may borrow it to read. Dropping it sends no message. A leaked guard
/// (`mem::forget`) keeps the lock until the shared region is dropped.
#[must_use = "the lock is released at once, with `let _ = …` too; write `let guard = …`"]
pub struct SharedRegionGuard<'a, T: Plain, D: Dimension = IxDyn> {
    items: ArrayView<'a, T, D>,
    _lock: SharedReadGuard<'a>,
}

// SAFETY: a shared reference to the guard leads to the items alone, by shared references. The lock is touched
// only when the guard is dropped, on its own thread: the guard is not `Send`. Items do not change while another
// thread reads them, since the read lock is held as long as the guard is borrowed.
unsafe impl<T: Plain + Sync, D: Dimension> Sync for SharedRegionGuard<'_, T, D> {}

impl<T: Plain, D: Dimension> Region<T, D> {
    /// Lets the threads of this rank read the region, each for itself, as long as the result lives. Local:
    /// other ranks may do so or not.
    ///
    /// Say how many threads that are when the region is made ([`RegionBuilder::threads`]). Otherwise all
    /// threads of a rank count themselves on one cache line, which is correct and slow.
    ///
    /// # Errors
    /// [`CreateError::SharedByThreads`] if the communicator spans nodes and MPI was not initialized with
    /// `MPI_THREAD_MULTIPLE`.
    ///
    #[cfg_attr(
        feature = "mpi",
        doc = "[`RegionBuilder::threads`]: crate::region::RegionBuilder::threads"
    )]
    #[cfg_attr(
        not(feature = "mpi"),
        doc = "[`RegionBuilder::threads`]: Region::shared"
    )]
    pub fn shared(&mut self) -> Result<SharedRegion<'_, T, D>, CreateError> {
        self.forget_leaked_guards();
        Ok(SharedRegion {
            items: self.items.raw_view(),
            lock: self.lock.shared()?,
        })
    }
}

impl<T: Plain, D: Dimension> SharedRegion<'_, T, D> {
    /// Takes the read lock and returns a view of the items; waits while another rank writes or waits to
    /// write. Not collective. A second guard of the same thread only increments a counter.
    ///
    /// # Panics
    /// If [`read_timeout`](Self::read_timeout) would return an error.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> SharedRegionGuard<'_, T, D> {
        self.guard(self.lock.read())
    }

    /// Takes the read lock if no rank writes or waits to write. Not collective, does not wait.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_read(&self) -> Option<SharedRegionGuard<'_, T, D>> {
        Some(self.guard(self.lock.try_read()?))
    }

    /// Takes the read lock; waits for at most `limit`. Not collective. Pass [`Duration::MAX`] to wait
    /// indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::HolderEnded`],
    /// [`LockError::Finalized`]. After a death, [`Region::take_over`] repairs the lock; for that the shared
    /// region has to end.
    #[track_caller]
    pub fn read_timeout(&self, limit: Duration) -> Result<SharedRegionGuard<'_, T, D>, LockError> {
        Ok(self.guard(self.lock.read_timeout(limit)?))
    }

    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.items.shape()
    }

    accessors!(lock);

    #[inline]
    fn guard<'g>(&'g self, lock: SharedReadGuard<'g>) -> SharedRegionGuard<'g, T, D> {
        // SAFETY: the copy has the items of this shape, one after the other; all bytes that any rank may have left
        // there are items, since `T` is plain. They live as long as the region, which is borrowed, and nobody writes
        // them while the read lock is held, which the view does not outlive: nothing is handed out but borrows from
        // the guard.
        let items = unsafe { self.items.clone().deref_into_view() };
        SharedRegionGuard { items, _lock: lock }
    }
}

impl<T: Plain, D: Dimension> Deref for SharedRegionGuard<'_, T, D> {
    type Target = ArrayRef<T, D>;

    #[inline]
    fn deref(&self) -> &ArrayRef<T, D> {
        &self.items
    }
}

impl<T: Plain, D: Dimension> fmt::Debug for SharedRegion<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRegion")
            .field("name", &self.name())
            .field("rank", &self.rank())
            .field("size", &self.size())
            .field("shape", &self.shape())
            .finish_non_exhaustive()
    }
}

impl<T: Plain + fmt::Debug, D: Dimension> fmt::Debug for SharedRegionGuard<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedRegionGuard")
            .field(&self.items)
            .finish()
    }
}
