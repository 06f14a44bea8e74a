//! Items that a guard lends for writing, and the record of which it has lent.

use crate::plain::Plain;
use crate::region::changes::Changes;
use crate::region::error::RegionError;
use crate::region::place::{self, Place};
use crate::region::{FitsRegion, Region};
use ndarray::{
    ArrayRef, ArrayView, ArrayViewD, ArrayViewMut, Axis, Dimension, IntoDimension, NdIndex,
    RawArrayViewMut, RemoveAxis, SliceArg,
};
use std::ops::Range;

/// The items of a region, or some of its rows: consecutive items.
pub(super) struct Lent<'a, T, D: Dimension> {
    pub(super) items: ArrayViewMut<'a, T, D>,
    /// Some if the changes have to be sent to other nodes. By index among these items.
    changes: Option<Changes>,
}

impl<'a, T: Plain, D: Dimension> Lent<'a, T, D> {
    /// Items of `region`.
    ///
    /// # Safety
    /// For `'a`, nobody else reads or writes these items: not on this node, and no server of another
    /// node sends changes of them.
    #[inline]
    pub(super) unsafe fn new(region: &Region<T, D>, items: RawArrayViewMut<T, D>) -> Self {
        // SAFETY: the copy has the items of this shape, one after the other; all bytes that any rank
        // may have left there are items, since `T` is plain. They live as long as the region, which
        // the caller borrows for `'a`. Nobody else accesses them, as the caller says.
        let items = unsafe { items.deref_into_view_mut() };
        Lent {
            items,
            changes: region.spans_nodes().then(|| Changes::new(size_of::<T>())),
        }
    }

    pub(super) fn view_mut(&mut self) -> ArrayViewMut<'_, T, D> {
        self.note_all();
        self.items.view_mut()
    }

    pub(super) fn as_slice_mut(&mut self) -> &mut [T] {
        self.note_all();
        self.items
            .as_slice_mut()
            .expect("items lie one after the other")
    }

    #[track_caller]
    pub(super) fn slice_mut<I: SliceArg<D>>(&mut self, part: I) -> ArrayViewMut<'_, T, I::OutDim> {
        let start = self.items.as_ptr();
        let part = self.items.slice_mut(part);
        note(&mut self.changes, start, &part);
        part
    }

    #[track_caller]
    pub(super) fn index_axis_mut(
        &mut self,
        axis: Axis,
        index: usize,
    ) -> ArrayViewMut<'_, T, D::Smaller>
    where
        D: RemoveAxis,
    {
        let start = self.items.as_ptr();
        let part = self.items.index_axis_mut(axis, index);
        note(&mut self.changes, start, &part);
        part
    }

    pub(super) fn fill(&mut self, item: T) {
        self.note_all();
        self.items.fill(item);
    }

    /// Copies `data` to `offset` among these items, as `rank`.
    pub(super) fn assign<E: FitsRegion<D>>(
        &mut self,
        rank: i32,
        data: ArrayView<'_, T, E>,
        offset: impl IntoDimension<Dim: FitsRegion<D>>,
    ) -> Result<(), RegionError> {
        let offset = offset.into_dimension();
        let place = Place::find(rank, self.items.shape(), data.shape(), offset.slice())?;
        self.write_at(&place, data.into_dyn());
        Ok(())
    }

    /// Copies `data` to its place.
    pub(super) fn write_at(&mut self, place: &Place, data: ArrayViewD<'_, T>) {
        let start = self.items.as_ptr();
        let part = place.within(self.items.view_mut());
        note(&mut self.changes, start, &part);
        place::copy(data, part);
    }

    #[inline]
    #[track_caller]
    pub(super) fn index_mut<I: NdIndex<D>>(&mut self, index: I) -> &mut T {
        let start = self.items.as_ptr();
        let item = &mut self.items[index];
        if let Some(changes) = &mut self.changes {
            let number = ((&raw const *item).addr() - start.addr()) / size_of::<T>();
            changes.add(number..number + 1);
        }
        item
    }

    /// Notes that all items may have changed.
    pub(super) fn note_all(&mut self) {
        if let Some(changes) = &mut self.changes {
            changes.add(0..self.items.len());
        }
    }

    /// Takes what has been lent since the last call, by index among these items. None if no other
    /// node has to know.
    #[inline]
    pub(super) fn take_changes(&mut self) -> Option<Vec<Range<usize>>> {
        self.changes.as_mut().map(Changes::take)
    }
}

/// Records that the items of `part` may change, if changes are recorded. `start` is the address of
/// the first of all items.
#[inline]
fn note<T, D: Dimension>(changes: &mut Option<Changes>, start: *const T, part: &ArrayRef<T, D>) {
    if let Some(changes) = changes {
        changes.add_view(start, part);
    }
}
