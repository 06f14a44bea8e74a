//! Checks the number of dimensions at compile time.

use ndarray::{Dim, Dimension, IxDyn};

/// The dimension of a shape, an offset or data that fits a region of dimension `D`.
///
/// A region whose type has a number of dimensions takes this number only; another one is a compile
/// error. A region of `IxDyn` takes any number and checks it at run time. The trait is sealed.
///
/// ```
/// use mpisync::Region;
/// use mpisync::ndarray::Ix2;
///
/// let length = std::env::args().count();
/// let shape = vec![length, 2, 3];
/// let any = Region::<f64>::local(shape.as_slice())?;
/// let two = Region::<f64, Ix2>::local([shape[0], shape[1]])?;
/// assert_eq!((any.ndim(), two.ndim()), (3, 2));
/// # Ok::<(), mpisync::CreateError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "a region of the dimension `{D}` cannot take the dimension `{Self}`",
    label = "has another number of dimensions than the region",
    note = "`Dim<[usize; N]>` has N dimensions: pass as many numbers as the region's type names",
    note = "for a number that is found out at run time, make the region a `Region<T>`, or pass an array of known length: `[shape[0], shape[1]]`"
)]
pub trait FitsRegion<D>: Dimension + private::Sealed<D> {}

mod private {
    pub trait Sealed<D> {}
}

impl<D: Dimension> FitsRegion<D> for D {}
impl<D: Dimension> private::Sealed<D> for D {}

impl<const N: usize> FitsRegion<IxDyn> for Dim<[usize; N]> where Self: Dimension {}
impl<const N: usize> private::Sealed<IxDyn> for Dim<[usize; N]> where Self: Dimension {}
