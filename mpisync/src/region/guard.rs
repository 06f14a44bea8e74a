//! Guards of a region, which give access to its items.

use crate::error::LockError;
use crate::plain::Plain;
use crate::region::error::RegionError;
use crate::region::lent::Lent;
use crate::region::place::Place;
use crate::region::{FitsRegion, Region};
use crate::rwlock::guard::{ReadGuard, WriteGuard};
use ndarray::{
    ArrayRef, ArrayView, ArrayViewD, ArrayViewMut, ArrayViewMut1, AsArray, Axis, Dimension,
    IntoDimension, Ix2, IxDyn, NdIndex, RemoveAxis, SliceArg,
};
use std::fmt;
use std::ops::{Deref, Index, IndexMut};

/// The read lock of a region and a view of its items, until this guard is dropped. Many ranks may
/// hold one at the same time.
///
/// It dereferences to an `ndarray` array: `guard[[i, j]]`, `guard.slice(s![1..3, ..])`,
/// `guard.as_slice()`, `guard.sum()`, `guard.row(i)` if the type has two dimensions, and all other
/// read access to an array, without a copy. Its views cannot outlive it. Other threads may borrow
/// the guard, or views of it, to read; the guard itself stays on the thread that made it, which
/// also drops it.
///
/// ```
/// use mpisync::Region;
/// use mpisync::ndarray::Ix1;
///
/// let field = Region::<f64, Ix1>::local(1000)?;
/// let items = field.read();
/// let sum = std::thread::scope(|scope| scope.spawn(|| items.sum()).join().unwrap());
/// assert_eq!(sum, items.sum());
/// # Ok::<(), mpisync::CreateError>(())
/// ```
///
/// Dropping it stores one word and sends no message. A guard that is leaked (`mem::forget`) keeps
/// the lock until this rank's next call that takes the region mutably, or until the region is
/// closed or dropped.
#[must_use = "the lock is released at once, with `let _ = …` too; write `let guard = …`"]
pub struct RegionReadGuard<'a, T: Plain, D: Dimension = IxDyn> {
    items: ArrayView<'a, T, D>,
    lock: ReadGuard<'a>,
}

// SAFETY: a shared reference to the guard leads to the items, by shared references, and to the
// controller's rank, size and name, which do not change after it was made. The cells of the lock
// behind `lock` are for one thread; they are touched only when the guard is dropped, and that
// happens on the thread that made it: the guard is not `Send`. Items do not change while another
// thread reads them, since the read lock is held as long as the guard is borrowed.
unsafe impl<T: Plain + Sync, D: Dimension> Sync for RegionReadGuard<'_, T, D> {}

/// The write lock of a region and its items, until this guard is dropped. No other rank holds any
/// lock of the region in the meantime.
///
/// It dereferences to an `ndarray` array for reading. Its own methods lend items for writing and
/// record which: if the region spans nodes, these items are sent to the other nodes. So a change of
/// one row sends one row. The views have all methods of `ndarray` that change an array:
///
/// | to write | use |
/// | --- | --- |
/// | one item | `guard[[i, j]] = item` |
/// | a row, a plane, a window | `guard.slice_mut(s![i, ..])`, [`index_axis_mut`](Self::index_axis_mut), `guard.row_mut(i)` |
/// | data from elsewhere | [`assign`](Self::assign) |
/// | everything | [`fill`](Self::fill), [`as_slice_mut`](Self::as_slice_mut), `guard.view_mut().mapv_inplace(…)` |
///
/// Dropping it stores two words on one node. If the region spans nodes and items were lent, it
/// sends them to the other nodes, which takes no call on their ranks. No rank gets the lock before
/// its node has the change. Dropping the guard waits until all nodes have it if it has 32 KiB or
/// more, or more than 16 runs of consecutive items. [`publish`](Self::publish) sends earlier, and
/// waits in any case.
///
/// A guard that is leaked (`mem::forget`) keeps the lock until this rank's next call that takes the
/// region mutably, or until the region is closed or dropped. Then all items are sent to the other
/// nodes.
#[must_use = "the lock is released at once, with `let _ = …` too; write `let mut guard = …`"]
pub struct RegionWriteGuard<'a, T: Plain, D: Dimension = IxDyn> {
    region: &'a Region<T, D>,
    lent: Lent<'a, T, D>,
    /// None after [`downgrade`](Self::downgrade).
    lock: Option<WriteGuard<'a>>,
}

impl<'a, T: Plain, D: Dimension> RegionReadGuard<'a, T, D> {
    #[inline]
    pub(super) fn new(region: &'a Region<T, D>, lock: ReadGuard<'a>) -> Self {
        // SAFETY: the copy has the items of this shape, one after the other; all bytes that any
        // rank may have left there are items, since `T` is plain. They live as long as the region,
        // which is borrowed, and nobody writes them while the read lock is held, which the view
        // does not outlive: nothing is handed out but borrows from this guard.
        let items = unsafe { region.items.clone().deref_into_view() };
        RegionReadGuard { items, lock }
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.lock.rank()
    }

    /// The number of ranks of the communicator; the number of items is `len()`.
    #[inline]
    pub fn size(&self) -> i32 {
        self.lock.size()
    }

    /// The name of the region.
    #[inline]
    pub fn name(&self) -> &str {
        self.lock.name()
    }
}

impl<T: Plain, D: Dimension> Deref for RegionReadGuard<'_, T, D> {
    type Target = ArrayRef<T, D>;

    #[inline]
    fn deref(&self) -> &ArrayRef<T, D> {
        &self.items
    }
}

impl<'a, T: Plain, D: Dimension> RegionWriteGuard<'a, T, D> {
    /// `lock` is the lock of the region, of which this rank has no other guard.
    #[inline]
    pub(super) fn new(region: &'a Region<T, D>, lock: WriteGuard<'a>) -> Self {
        // SAFETY: while the write lock is held no other rank reads or writes, and the region of this
        // rank is borrowed for writing, so that it has no other guard.
        let lent = unsafe { Lent::new(region, region.items.clone()) };
        RegionWriteGuard {
            region,
            lent,
            lock: Some(lock),
        }
    }

    /// All items, for writing.
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        self.lent.view_mut()
    }

    /// All items in memory order, in which the last axis varies fastest, for writing.
    pub fn as_slice_mut(&mut self) -> &mut [T] {
        self.lent.as_slice_mut()
    }

    /// A part of the items, for writing: `guard.slice_mut(s![0..2, ..])`.
    ///
    /// # Panics
    /// If the part is not inside the region.
    #[track_caller]
    pub fn slice_mut<I: SliceArg<D>>(&mut self, part: I) -> ArrayViewMut<'_, T, I::OutDim> {
        self.lent.slice_mut(part)
    }

    /// The items with this index along one axis, for writing.
    ///
    /// # Panics
    /// If there is no such axis, or no such index.
    #[track_caller]
    pub fn index_axis_mut(&mut self, axis: Axis, index: usize) -> ArrayViewMut<'_, T, D::Smaller>
    where
        D: RemoveAxis,
    {
        self.lent.index_axis_mut(axis, index)
    }

    /// Sets all items.
    pub fn fill(&mut self, item: T) {
        self.lent.fill(item);
    }

    /// Copies `data` into the region, its first item to `offset`.
    ///
    /// # Errors
    /// [`RegionError::Dimensions`] and [`RegionError::OutOfBounds`]; then the region does not
    /// change.
    pub fn assign<'v, E: FitsRegion<D>>(
        &mut self,
        data: impl AsArray<'v, T, E>,
        offset: impl IntoDimension<Dim: FitsRegion<D>>,
    ) -> Result<(), RegionError>
    where
        T: 'v,
    {
        self.lent.assign(self.region.rank(), data.into(), offset)
    }

    /// Copies `data` to its place.
    pub(super) fn write_at(&mut self, place: &Place, data: ArrayViewD<'_, T>) {
        self.lent.write_at(place, data);
    }

    /// Sends the changes so far to the other nodes and waits until they have them. Not collective;
    /// does nothing on one node. The guard sends what is left when it is dropped.
    ///
    /// # Errors
    /// [`LockError::Finalized`]; then the other nodes do not get the change.
    pub fn publish(&mut self) -> Result<(), LockError> {
        match self.lent.take_changes() {
            Some(changed) => self.region.publish(&changed),
            None => Ok(()),
        }
    }

    /// Turns the write lock into a read lock; no other rank writes in between. Not collective. If
    /// the region spans nodes, it waits until they have the change.
    ///
    /// # Errors
    /// [`LockError::Finalized`]; then the lock is released.
    pub fn downgrade(mut self) -> Result<RegionReadGuard<'a, T, D>, LockError> {
        self.publish()?;
        let lock = self.lock.take().expect("it is taken here only");
        Ok(RegionReadGuard::new(self.region, lock.downgrade()))
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.region.rank()
    }

    /// The number of ranks of the communicator; the number of items is `len()`.
    #[inline]
    pub fn size(&self) -> i32 {
        self.region.size()
    }

    /// The name of the region.
    #[inline]
    pub fn name(&self) -> &str {
        self.region.name()
    }

    pub(super) fn note_all(&mut self) {
        self.lent.note_all();
    }
}

impl<T: Plain> RegionWriteGuard<'_, T, Ix2> {
    /// A row, for writing.
    ///
    /// # Panics
    /// If there is no such row.
    #[track_caller]
    pub fn row_mut(&mut self, row: usize) -> ArrayViewMut1<'_, T> {
        self.index_axis_mut(Axis(0), row)
    }
}

impl<T: Plain, D: Dimension> Deref for RegionWriteGuard<'_, T, D> {
    type Target = ArrayRef<T, D>;

    #[inline]
    fn deref(&self) -> &ArrayRef<T, D> {
        &self.lent.items
    }
}

impl<T: Plain, D: Dimension, I: NdIndex<D>> Index<I> for RegionWriteGuard<'_, T, D> {
    type Output = T;

    #[inline]
    #[track_caller]
    fn index(&self, index: I) -> &T {
        &self.lent.items[index]
    }
}

impl<T: Plain, D: Dimension, I: NdIndex<D>> IndexMut<I> for RegionWriteGuard<'_, T, D> {
    #[inline]
    #[track_caller]
    fn index_mut(&mut self, index: I) -> &mut T {
        self.lent.index_mut(index)
    }
}

impl<T: Plain, D: Dimension> Drop for RegionWriteGuard<'_, T, D> {
    #[inline]
    fn drop(&mut self) {
        if let Some(changed) = self.lent.take_changes() {
            // Fails only if MPI is finalized, when the other nodes are gone, too, or if a host is lost.
            let _ = self.region.leave_behind(&changed);
            drop(self.lock.take());
            self.region.send_held_back();
        }
    }
}

/// The items, as `ndarray` shows them.
impl<T: Plain + fmt::Display, D: Dimension> fmt::Display for RegionReadGuard<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.items.fmt(f)
    }
}

/// The items, as `ndarray` shows them.
impl<T: Plain + fmt::Display, D: Dimension> fmt::Display for RegionWriteGuard<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lent.items.fmt(f)
    }
}

impl<T: Plain + fmt::Debug, D: Dimension> fmt::Debug for RegionReadGuard<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegionReadGuard").field(&self.items).finish()
    }
}

impl<T: Plain + fmt::Debug, D: Dimension> fmt::Debug for RegionWriteGuard<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegionWriteGuard")
            .field(&self.lent.items)
            .finish()
    }
}
