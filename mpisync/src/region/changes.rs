//! The record of the changed items of a region.

use ndarray::{ArrayRef, Dimension};
use std::ops::Range;

/// Changed items with at most this distance in bytes count as one run: sending two runs costs as
/// much.
const NEAR: usize = 64;
/// The most runs into which a view is split. If there are more, the gaps between them count as
/// changed, too.
const RUNS: usize = 1 << 16;

/// The items that were lent for writing, by their index in memory order.
#[derive(Debug)]
pub(crate) struct Changes {
    ranges: Vec<Range<usize>>,
    /// The number of ranges from which on they are joined again.
    most: usize,
    /// The most unchanged items between two ranges that are joined.
    near: usize,
}

/// The number of ranges that is not worth joining.
const FEW: usize = 1024;

impl Changes {
    /// No changes of an array whose items have `item` bytes.
    pub(crate) fn new(item: usize) -> Self {
        Changes {
            ranges: Vec::new(),
            most: FEW,
            near: NEAR / item,
        }
    }

    /// Adds consecutive items.
    #[inline]
    pub(crate) fn add(&mut self, items: Range<usize>) {
        if items.is_empty() {
            return;
        }
        if let Some(last) = self.ranges.last_mut()
            && items.start <= last.end
            && last.start <= items.end
        {
            *last = last.start.min(items.start)..last.end.max(items.end);
            return;
        }
        self.ranges.push(items);
        if self.ranges.len() > self.most {
            self.join();
            self.most = (2 * self.ranges.len()).max(FEW);
        }
    }

    /// Adds the items of `view`, a part of the array that begins at `start`.
    pub(crate) fn add_view<T, D: Dimension>(&mut self, start: *const T, view: &ArrayRef<T, D>) {
        if view.is_empty() {
            return;
        }
        let mut first = (view.as_ptr().addr() - start.addr()) / size_of::<T>();
        let mut axes = Vec::with_capacity(view.ndim());
        for (&length, &stride) in view.shape().iter().zip(view.strides()) {
            if length > 1 && stride != 0 {
                if stride < 0 {
                    first -= (length - 1) * stride.unsigned_abs();
                }
                axes.push((stride.unsigned_abs(), length));
            }
        }
        axes.sort_unstable();
        let mut runs: usize = axes.iter().map(|&(_, length)| length).product();
        let mut run = 1;
        let mut outer = axes.as_slice();
        while let Some((&(stride, length), rest)) = outer.split_first() {
            let gap = stride.saturating_sub(run);
            if gap > self.near && runs <= RUNS {
                break;
            }
            run += stride * (length - 1);
            runs /= length;
            outer = rest;
        }
        self.add_runs(first, run, outer);
    }

    fn add_runs(&mut self, first: usize, run: usize, axes: &[(usize, usize)]) {
        match axes.split_last() {
            None => self.add(first..first + run),
            Some((&(stride, length), inner)) => {
                for index in 0..length {
                    self.add_runs(first + index * stride, run, inner);
                }
            }
        }
    }

    fn join(&mut self) {
        let near = self.near;
        self.ranges.sort_unstable_by_key(|range| range.start);
        self.ranges.dedup_by(|next, before| {
            let joins = next.start <= before.end + near;
            if joins {
                before.end = before.end.max(next.end);
            }
            joins
        });
    }

    /// Takes the ranges in ascending order; no two of them touch. Leaves none.
    pub(crate) fn take(&mut self) -> Vec<Range<usize>> {
        self.join();
        std::mem::take(&mut self.ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, s};

    fn ranges_of(change: impl FnOnce(&mut Changes)) -> Vec<Range<usize>> {
        let mut changes = Changes::new(65);
        change(&mut changes);
        changes.take()
    }

    #[test]
    fn ranges_are_joined_where_they_touch() {
        let ranges = ranges_of(|changes| {
            for range in [5..7, 7..9, 20..30, 1..2, 25..40, 40..41, 3..3] {
                changes.add(range);
            }
        });
        assert_eq!(ranges, [1..2, 5..9, 20..41]);
    }

    /// Items of 64 bytes, so that none are near.
    type Item = [u64; 8];

    #[test]
    fn a_view_is_what_it_shows() {
        let array = Array::<Item, _>::from_elem((4, 5, 6), [0; 8]);
        let start = array.as_ptr();
        let ranges = |view: ndarray::ArrayViewD<Item>| {
            let mut all = Changes::new(65);
            all.add_view(start, &view);
            let all = all.take();
            all.into_iter()
                .map(|range| (range.start, range.end))
                .collect::<Vec<_>>()
        };
        assert_eq!(ranges(array.view().into_dyn()), [(0, 120)]);
        assert_eq!(ranges(array.slice(s![1, .., ..]).into_dyn()), [(30, 60)]);
        assert_eq!(ranges(array.slice(s![.., 1..3, ..]).into_dyn()).len(), 4);
        assert_eq!(ranges(array.slice(s![2, 3, 4..]).into_dyn()), [(82, 84)]);
        assert_eq!(ranges(array.slice(s![2, 3, ..;-1]).into_dyn()), [(78, 84)]);
        assert_eq!(ranges(array.slice(s![.., .., 5]).into_dyn()).len(), 20);
        assert!(ranges(array.slice(s![.., 2..2, ..]).into_dyn()).is_empty());
        let transposed = array.t();
        assert_eq!(
            ranges(transposed.slice(s![.., .., ..]).into_dyn()),
            [(0, 120)]
        );
    }

    #[test]
    fn every_item_of_any_view_is_covered() {
        let mut array = Array::<Item, _>::from_elem((6, 7, 8), [0; 8]);
        let start = array.as_ptr();
        for steps in [(1, 1, 1), (2, 3, 1), (1, -2, 5), (-5, 1, -1)] {
            for from in 0..4 {
                let mut changes = Changes::new(65);
                let window = s![from..;steps.0, from..from+3;steps.1, ..from;steps.2];
                changes.add_view(start, &array.slice(window));
                array.fill([0; 8]);
                array.slice_mut(window).fill([1; 8]);
                let mut covered = vec![false; array.len()];
                for range in changes.take() {
                    covered[range].fill(true);
                }
                let flat = array.as_slice().expect("in order");
                assert!(
                    flat.iter()
                        .zip(covered)
                        .all(|(item, covered)| item[0] == 0 || covered)
                );
            }
        }
    }

    #[test]
    fn very_many_runs_become_fewer() {
        let array = Array::<Item, _>::from_elem((300, 300, 2), [0; 8]);
        let ranges = ranges_of(|changes| {
            changes.add_view(array.as_ptr(), &array.slice(s![.., .., 0]));
        });
        assert_eq!(ranges.len(), 300);
        assert_eq!(ranges[1], 600..1199);
    }
}
