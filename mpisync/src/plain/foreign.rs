//! Plain types of other crates: each is behind a feature of its crate's name.

#[cfg(any(feature = "half", feature = "num-complex"))]
use crate::plain::Plain;
#[cfg(feature = "num-complex")]
use crate::plain::Shape;

// SAFETY: it is laid out as `[T; 2]`, which `num_complex` promises.
#[cfg(feature = "num-complex")]
#[diagnostic::do_not_recommend]
unsafe impl<T: Plain> Plain for num_complex::Complex<T> {
    const SHAPE: &'static Shape = &Shape::Array(2, T::SHAPE);
}

// SAFETY: it is a `u16` that has another name (`repr(transparent)`), and any bits are one.
#[cfg(feature = "half")]
#[diagnostic::do_not_recommend]
unsafe impl Plain for half::f16 {}

// SAFETY: as above.
#[cfg(feature = "half")]
#[diagnostic::do_not_recommend]
unsafe impl Plain for half::bf16 {}

#[cfg(feature = "bytemuck")]
pub use crate::plain::foreign::pod::Pod;

#[cfg(feature = "bytemuck")]
mod pod {
    use crate::plain::Plain;
    use bytemuck::TransparentWrapper;

    /// Any `bytemuck::Pod` type as a [`Plain`] one: for the types of crates that know `bytemuck`
    /// and not mpisync.
    ///
    /// A type of your own rather derives [`Equivalence`](macro@crate::Equivalence). As an MPI
    /// datatype this one is its bytes.
    ///
    /// It is laid out as the type in it, so `bytemuck` takes it off a whole slice.
    ///
    /// ```
    /// use bytemuck::TransparentWrapper;
    /// use mpisync::{Mutex, Pod};
    ///
    /// #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
    /// #[repr(C)]
    /// struct Colour([u8; 4]); // of another crate
    ///
    /// let mut colours = Mutex::local_with([Pod(Colour([0; 4])); 2]);
    /// let mut colours = colours.lock();
    /// colours[1].0.0[3] = 255;
    /// assert_eq!(Pod::peel_slice(&*colours)[1], Colour([0, 0, 0, 255]));
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[repr(transparent)]
    pub struct Pod<T>(pub T);

    // SAFETY: `bytemuck::Pod` promises that all bytes are initialized, that any are a value, and that there is no pointer and
    // no `UnsafeCell` in it. The other bounds are those of `Plain`, which `Pod` does not have.
    #[diagnostic::do_not_recommend]
    unsafe impl<T: bytemuck::Pod + Send + Sync> Plain for Pod<T> {}

    // SAFETY: it is `repr(transparent)` around a `T`.
    unsafe impl<T> TransparentWrapper<T> for Pod<T> {}
}
