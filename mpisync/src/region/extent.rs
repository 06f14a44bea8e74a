//! The shape of a region.

use crate::error::CreateError;
use ndarray::{Dimension, IntoDimension};

/// A shape whose items fit into the address space.
#[derive(Clone, Debug)]
pub(super) struct Extent<D> {
    pub(super) dim: D,
    /// How many items it has.
    pub(super) items: usize,
}

impl<D: Dimension> Extent<D> {
    /// # Errors
    /// [`CreateError::Dimensions`], [`CreateError::Shape`].
    pub(super) fn new<T>(shape: impl IntoDimension) -> Result<Self, CreateError> {
        const {
            assert!(
                size_of::<T>() > 0,
                "the items of a region have at least one byte"
            );
        }
        let shape = shape.into_dimension();
        let lengths = shape.slice().to_vec();
        // As in ndarray, the product of the nonzero lengths has to fit, so that an empty view does
        // not exceed the address space either.
        let mut product = lengths.iter().filter(|&&length| length > 0);
        let product = product.try_fold(size_of::<T>(), |product, &length| {
            product.checked_mul(length)
        });
        if product.is_none_or(|bytes| isize::try_from(bytes).is_err()) {
            return Err(CreateError::Shape {
                shape: lengths,
                bytes: size_of::<T>(),
            });
        }
        let items = lengths.iter().product();
        match D::from_dimension(&shape) {
            Some(dim) => Ok(Extent { dim, items }),
            None => Err(CreateError::Dimensions {
                expected: D::NDIM.unwrap_or(0),
                shape: lengths,
            }),
        }
    }

    pub(super) fn bytes<T>(&self) -> usize {
        self.items * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Ix2, IxDyn};

    #[test]
    fn shapes_are_taken_if_their_items_fit() {
        let of = |shape: &[usize]| Extent::<IxDyn>::new::<f64>(shape).map(|extent| extent.items);
        assert_eq!(of(&[]).ok(), Some(1));
        assert_eq!(of(&[3, 4]).ok(), Some(12));
        assert_eq!(of(&[0, 4, 5]).ok(), Some(0));
        assert_eq!(of(&[1, 2, 1, 2, 1, 2]).ok(), Some(8));
        assert_eq!(of(&[1 << 33]).ok(), Some(1 << 33));
        for overflowing in [&[1 << 60][..], &[1 << 40, 1 << 40], &[usize::MAX, 0]] {
            let error = of(overflowing).expect_err("too many");
            assert!(matches!(error, CreateError::Shape { .. }), "{error}");
        }
    }

    #[test]
    fn a_shape_has_as_many_dimensions_as_the_type() {
        assert!(Extent::<Ix2>::new::<u8>([2, 3]).is_ok());
        let error = Extent::<Ix2>::new::<u8>([2, 3, 4]).expect_err("three");
        assert!(matches!(error, CreateError::Dimensions { expected: 2, .. }));
    }
}
