//! Parts of a region, which several ranks write at the same time.

use crate::error::LockError;
use crate::plain::Plain;
use crate::region::error::RegionError;
use crate::region::lent::Lent;
use crate::region::{FitsRegion, Region};
use ndarray::{
    ArrayRef, ArrayViewMut, ArrayViewMut1, AsArray, Axis, Dimension, IntoDimension, Ix2, IxDyn,
    NdIndex, RemoveAxis, Slice, SliceArg,
};
use std::fmt;
use std::ops::{Bound, Deref, Index, IndexMut, Range, RangeBounds};
use std::panic::Location;
use std::time::Duration;

impl<T: Plain, D: Dimension> Region<T, D> {
    /// Takes some rows for writing, while other ranks write other rows; waits until no other rank has
    /// a part that overlaps them, and until no rank reads or writes the whole region. Not collective.
    ///
    /// `rows` is a range of the first axis, such as `2..4` or `..`; for one dimension a range of
    /// items. Of ranks whose parts overlap, the one that has asked first is served first. An empty
    /// part takes no lock.
    ///
    /// Readers and writers of the whole wait until all parts are given back. From then on that one of
    /// them waits, a rank that asks for a part waits too, even if no other part overlaps it. So a rank
    /// that has a part must not wait for another rank to take one.
    ///
    /// ```
    /// use mpisync::Region;
    /// use mpisync::ndarray::Ix2;
    ///
    /// let mut field = Region::<f64, Ix2>::local([4, 6])?;
    /// {
    ///     let mut part = field.write_part(2..4); // other ranks may write rows 0 and 1
    ///     part[[0, 5]] = 1.0; // in row 2 of the region
    ///     part.row_mut(1).fill(2.0);
    /// }
    /// assert_eq!(field.read()[[2, 5]], 1.0);
    /// assert_eq!(field.read().row(3).sum(), 12.0);
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    ///
    /// # Panics
    /// If [`write_part_timeout`](Self::write_part_timeout) would return an error: the rows are not
    /// inside the region, a rank died as a writer, or MPI is finalized.
    #[track_caller]
    pub fn write_part(&mut self, rows: impl RangeBounds<usize>) -> RegionPartGuard<'_, T, D> {
        let taken = self.take_part(&rows, None, Location::caller());
        match taken {
            Ok(rows) => RegionPartGuard::new(self, rows),
            Err(error) => self.lock.panic_with(&error),
        }
    }

    /// [`write_part`](Self::write_part) if no other rank has or wants what stands against it. Not
    /// collective. Does not wait; over several nodes, it waits for one round trip to the root's node,
    /// and to others if no rank has a part. There it may also be none while a part that this rank
    /// has just let go is still being given back.
    ///
    /// # Panics
    /// If the rows are not inside the region, or MPI is finalized.
    #[track_caller]
    pub fn try_write_part(
        &mut self,
        rows: impl RangeBounds<usize>,
    ) -> Option<RegionPartGuard<'_, T, D>> {
        self.forget_leaked_guards();
        let location = Location::caller();
        let taken = self.rows(&rows).and_then(|rows| {
            let items = self.items_of(&rows);
            let lock = self.lock.lock();
            let is_taken = items.is_empty() || self.parts.try_enter(lock, items, location)?;
            Ok(is_taken.then_some(rows))
        });
        match taken {
            Ok(rows) => Some(RegionPartGuard::new(self, rows?)),
            Err(error) => self.lock.panic_with(&error),
        }
    }

    /// [`write_part`](Self::write_part); waits for at most `limit`. Not collective. Pass
    /// [`Duration::MAX`] to wait indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`RegionError::PartOutOfBounds`], [`RegionError::NoRows`], and [`RegionError::Lock`] with
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::HolderEnded`] or
    /// [`LockError::Finalized`].
    #[track_caller]
    pub fn write_part_timeout(
        &mut self,
        rows: impl RangeBounds<usize>,
        limit: Duration,
    ) -> Result<RegionPartGuard<'_, T, D>, RegionError> {
        let rows = self.take_part(&rows, Some(limit), Location::caller())?;
        Ok(RegionPartGuard::new(self, rows))
    }

    /// Takes these rows; returns their range.
    fn take_part(
        &mut self,
        rows: &impl RangeBounds<usize>,
        limit: Option<Duration>,
        location: &'static Location<'static>,
    ) -> Result<Range<usize>, RegionError> {
        self.forget_leaked_guards();
        let rows = self.rows(rows)?;
        let items = self.items_of(&rows);
        if !items.is_empty() {
            let lock = self.lock.lock();
            self.parts.enter(lock, items, limit, location)?;
        }
        Ok(rows)
    }

    /// A range of rows.
    ///
    /// # Errors
    /// [`RegionError::NoRows`], and [`RegionError::PartOutOfBounds`] unless they are inside the region.
    fn rows(&self, range: &impl RangeBounds<usize>) -> Result<Range<usize>, RegionError> {
        let rows = *self.shape().first().ok_or(RegionError::NoRows)?;
        let start = match range.start_bound() {
            Bound::Included(&first) => first,
            Bound::Excluded(&before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => rows,
        };
        if start > end || end > rows {
            return Err(RegionError::PartOutOfBounds { start, end, rows });
        }
        Ok(start..end)
    }

    /// The items of these rows, by their numbers in memory order.
    fn items_of(&self, rows: &Range<usize>) -> Range<u64> {
        let length: usize = self.shape()[1..].iter().product();
        (rows.start * length) as u64..(rows.end * length) as u64
    }
}

/// Some rows of a region for writing, until this guard is dropped. Other ranks may write other rows at
/// the same time.
///
/// Made by [`Region::write_part`]. It dereferences to an `ndarray` array of these rows for reading;
/// indices count from the first of them. Its own methods lend items for writing and record which, as
/// those of [`RegionWriteGuard`](crate::RegionWriteGuard) do: if the region spans nodes, these items
/// are sent to the other nodes.
///
/// Dropping it waits for no other rank on one node. If the region spans nodes and items were lent, it
/// waits until all nodes have the change, which takes no call on their ranks.
/// [`publish`](Self::publish) does this earlier.
///
/// A guard that is leaked (`mem::forget`) keeps the rows until this rank's next call that takes the
/// region mutably or has to wait for it, or until the region is closed or dropped. Then all of these
/// rows are sent to the other nodes.
#[must_use = "the part is given back at once, with `let _ = …` too; write `let mut part = …`"]
pub struct RegionPartGuard<'a, T: Plain, D: Dimension = IxDyn> {
    region: &'a Region<T, D>,
    lent: Lent<'a, T, D>,
    rows: Range<usize>,
}

impl<'a, T: Plain, D: Dimension> RegionPartGuard<'a, T, D> {
    /// These rows of the region, which this rank has taken, and of which it has no other guard.
    fn new(region: &'a Region<T, D>, rows: Range<usize>) -> Self {
        let mut items = region.items.clone();
        items.slice_axis_inplace(Axis(0), Slice::from(rows.clone()));
        // SAFETY: the region of this rank is borrowed for writing, so it has no other guard. While it has
        // the range of these rows, no other rank has one that overlaps it, or the lock.
        let lent = unsafe { Lent::new(region, items) };
        RegionPartGuard { region, lent, rows }
    }

    /// The rows of the region that are lent.
    pub fn range(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// All items of the part, for writing.
    pub fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        self.lent.view_mut()
    }

    /// All items of the part in memory order, in which the last axis varies fastest, for writing.
    pub fn as_slice_mut(&mut self) -> &mut [T] {
        self.lent.as_slice_mut()
    }

    /// Some items of the part, for writing: `part.slice_mut(s![0..2, ..])`.
    ///
    /// # Panics
    /// If they are not inside the part.
    #[track_caller]
    pub fn slice_mut<I: SliceArg<D>>(&mut self, part: I) -> ArrayViewMut<'_, T, I::OutDim> {
        self.lent.slice_mut(part)
    }

    /// The items with this index along one axis, for writing.
    ///
    /// # Panics
    /// If there is no such axis, or no such index in the part.
    #[track_caller]
    pub fn index_axis_mut(&mut self, axis: Axis, index: usize) -> ArrayViewMut<'_, T, D::Smaller>
    where
        D: RemoveAxis,
    {
        self.lent.index_axis_mut(axis, index)
    }

    /// Sets all items of the part.
    pub fn fill(&mut self, item: T) {
        self.lent.fill(item);
    }

    /// Copies `data` into the part, its first item to `offset`, which counts from the first row of the
    /// part.
    ///
    /// # Errors
    /// [`RegionError::Dimensions`] and [`RegionError::OutOfBounds`]; then the part does not change.
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

    /// Sends the changes so far to the other nodes and waits until they have them. Not collective;
    /// does nothing on one node. The guard does the same when it is dropped.
    ///
    /// # Errors
    /// [`LockError::Finalized`]; then the other nodes do not get the change.
    pub fn publish(&mut self) -> Result<(), LockError> {
        let Some(mut changed) = self.lent.take_changes() else {
            return Ok(());
        };
        let first = self.region.items_of(&self.rows).start as usize;
        for range in &mut changed {
            *range = first + range.start..first + range.end;
        }
        self.region.publish(&changed)
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.region.rank()
    }

    /// The number of ranks of the communicator; the number of items of the part is `len()`.
    #[inline]
    pub fn size(&self) -> i32 {
        self.region.size()
    }

    /// The name of the region.
    #[inline]
    pub fn name(&self) -> &str {
        self.region.name()
    }
}

impl<T: Plain> RegionPartGuard<'_, T, Ix2> {
    /// A row of the part, for writing.
    ///
    /// # Panics
    /// If the part has no such row.
    #[track_caller]
    pub fn row_mut(&mut self, row: usize) -> ArrayViewMut1<'_, T> {
        self.index_axis_mut(Axis(0), row)
    }
}

impl<T: Plain, D: Dimension> Deref for RegionPartGuard<'_, T, D> {
    type Target = ArrayRef<T, D>;

    #[inline]
    fn deref(&self) -> &ArrayRef<T, D> {
        &self.lent.items
    }
}

impl<T: Plain, D: Dimension, I: NdIndex<D>> Index<I> for RegionPartGuard<'_, T, D> {
    type Output = T;

    #[inline]
    #[track_caller]
    fn index(&self, index: I) -> &T {
        &self.lent.items[index]
    }
}

impl<T: Plain, D: Dimension, I: NdIndex<D>> IndexMut<I> for RegionPartGuard<'_, T, D> {
    #[inline]
    #[track_caller]
    fn index_mut(&mut self, index: I) -> &mut T {
        self.lent.index_mut(index)
    }
}

impl<T: Plain, D: Dimension> Drop for RegionPartGuard<'_, T, D> {
    fn drop(&mut self) {
        // Fails only if MPI is finalized or a host is lost; then the part is kept.
        let _ = self.publish();
        self.region.parts.leave(self.region.lock.lock());
    }
}

/// The items, as `ndarray` shows them.
impl<T: Plain + fmt::Display, D: Dimension> fmt::Display for RegionPartGuard<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lent.items.fmt(f)
    }
}

impl<T: Plain + fmt::Debug, D: Dimension> fmt::Debug for RegionPartGuard<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegionPartGuard")
            .field("rows", &self.rows)
            .field("items", &self.lent.items)
            .finish()
    }
}
