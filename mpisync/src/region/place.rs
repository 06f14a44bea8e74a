//! The part of a region that data is copied to.

use crate::region::error::RegionError;
use ndarray::{ArrayViewD, ArrayViewMut, ArrayViewMutD, Dimension, Slice, Zip};

/// The argument with the wrong number of dimensions, in errors.
pub(super) const DATA: &str = "data";
pub(super) const OFFSET: &str = "an offset";

/// A part of a region, checked to be inside it.
pub(super) struct Place {
    offset: Vec<usize>,
    shape: Vec<usize>,
}

impl Place {
    /// The place of data of shape `data`, which `rank` passes, in a region of shape `region`.
    ///
    /// # Errors
    /// [`RegionError::Dimensions`], [`RegionError::OutOfBounds`].
    pub(super) fn find(
        rank: i32,
        region: &[usize],
        data: &[usize],
        offset: &[usize],
    ) -> Result<Self, RegionError> {
        for (what, dimensions) in [(DATA, data.len()), (OFFSET, offset.len())] {
            if dimensions != region.len() {
                return Err(RegionError::Dimensions {
                    root: rank,
                    what,
                    dimensions,
                    expected: region.len(),
                });
            }
        }
        for (axis, &extent) in region.iter().enumerate() {
            let (offset, length) = (offset[axis], data[axis]);
            if offset.checked_add(length).is_none_or(|end| end > extent) {
                return Err(RegionError::OutOfBounds {
                    root: rank,
                    axis,
                    offset,
                    length,
                    extent,
                });
            }
        }
        Ok(Place {
            offset: offset.to_vec(),
            shape: data.to_vec(),
        })
    }

    /// The items of the place.
    pub(super) fn within<'a, T, D: Dimension>(
        &self,
        items: ArrayViewMut<'a, T, D>,
    ) -> ArrayViewMutD<'a, T> {
        let mut items = items.into_dyn();
        items.slice_each_axis_inplace(|along| {
            let axis = along.axis.index();
            Slice::from(self.offset[axis]..self.offset[axis] + self.shape[axis])
        });
        items
    }
}

/// Copies items between arrays of the same shape, by `memcpy` where they are contiguous.
pub(super) fn copy<T: Copy>(from: ArrayViewD<'_, T>, mut to: ArrayViewMutD<'_, T>) {
    if let (Some(from), Some(to)) = (from.as_slice(), to.as_slice_mut()) {
        return to.copy_from_slice(from);
    }
    Zip::from(to.rows_mut())
        .and(from.rows())
        .for_each(|mut to, from| match (from.as_slice(), to.as_slice_mut()) {
            (Some(from), Some(to)) => to.copy_from_slice(from),
            _ => to.assign(&from),
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, Array3, ArrayD, IxDyn, s};

    #[test]
    fn data_has_to_be_inside() {
        let find = |data: &[usize], offset: &[usize]| Place::find(1, &[4, 5], data, offset).err();
        assert_eq!(find(&[4, 5], &[0, 0]), None);
        assert_eq!(find(&[0, 2], &[4, 3]), None);
        let out = |axis, offset, length, extent| RegionError::OutOfBounds {
            root: 1,
            axis,
            offset,
            length,
            extent,
        };
        assert_eq!(find(&[4, 5], &[0, 1]), Some(out(1, 1, 5, 5)));
        assert_eq!(
            find(&[2, 5], &[usize::MAX, 0]),
            Some(out(0, usize::MAX, 2, 4))
        );
        let dimensions = |what, dimensions| RegionError::Dimensions {
            root: 1,
            what,
            dimensions,
            expected: 2,
        };
        assert_eq!(find(&[4], &[0, 0]), Some(dimensions("data", 1)));
        assert_eq!(find(&[4, 5], &[0]), Some(dimensions("an offset", 1)));
    }

    #[test]
    fn windows_of_any_layout_are_copied() {
        let region = Array3::<u32>::zeros((4, 5, 6));
        let data = Array::from_iter(1..=24)
            .into_shape_with_order((2, 3, 4))
            .expect("24 items");
        let layouts: [ArrayD<u32>; 3] = [
            data.clone().into_dyn(),
            data.t().as_standard_layout().t().to_owned().into_dyn(),
            data.slice(s![.., .., ..;-1]).to_owned().into_dyn(),
        ];
        for data in layouts {
            for offset in [[0, 0, 0], [2, 2, 2], [1, 0, 1]] {
                let mut region = region.clone();
                let place = Place::find(0, region.shape(), data.shape(), &offset).expect("inside");
                copy(data.view(), place.within(region.view_mut()));
                let [x, y, z] = offset;
                let window = region.slice(s![x..x + 2, y..y + 3, z..z + 4]);
                assert_eq!(window.into_dyn(), data);
                assert_eq!(region.sum(), data.sum());
            }
        }
    }

    #[test]
    fn one_item_and_none_are_copied() {
        let mut item = ArrayD::<u8>::zeros(IxDyn(&[]));
        let place = Place::find(0, &[], &[], &[]).expect("inside");
        copy(
            ArrayD::from_elem(IxDyn(&[]), 7).view(),
            place.within(item.view_mut()),
        );
        assert_eq!(item.sum(), 7);
        let mut none = ArrayD::<u8>::zeros(IxDyn(&[0, 3]));
        let place = Place::find(0, &[0, 3], &[0, 2], &[0, 1]).expect("inside");
        let nothing = ArrayD::zeros(IxDyn(&[0, 2]));
        copy(nothing.view(), place.within(none.view_mut()));
    }
}
