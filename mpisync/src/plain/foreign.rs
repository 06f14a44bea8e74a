//! Plain types of other crates, each behind the feature of its crate's name.

#[cfg(feature = "num-complex")]
mod num_complex {
    use crate::plain::{Plain, Shape};
    use num_complex::Complex;

    // SAFETY: `num_complex` promises the layout of `[T; 2]`.
    #[diagnostic::do_not_recommend]
    unsafe impl<T: Plain> Plain for Complex<T> {
        const SHAPE: &'static Shape = &Shape::Array(2, T::SHAPE);
    }
}

#[cfg(feature = "half")]
mod half {
    use crate::plain::Plain;
    use half::{bf16, f16};

    // SAFETY: it is `repr(transparent)` around a `u16`, and any bits are a valid value.
    #[diagnostic::do_not_recommend]
    unsafe impl Plain for f16 {}

    // SAFETY: as above.
    #[diagnostic::do_not_recommend]
    unsafe impl Plain for bf16 {}
}

#[cfg(feature = "bytemuck")]
pub mod pod {
    use crate::plain::Plain;
    use bytemuck::TransparentWrapper;

    /// A `bytemuck::Pod` type as a [`Plain`] one, for types of crates that implement `bytemuck`'s
    /// traits and not mpisync's.
    ///
    /// A type of your own derives [`Equivalence`](macro@crate::Equivalence) instead. As an MPI
    /// datatype, this one is an array of bytes.
    ///
    /// It has the layout of the type in it, so `bytemuck` unwraps a whole slice.
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

    // SAFETY: `bytemuck::Pod` guarantees that all bytes are initialized, that any bytes are a valid value, and that there
    // is no pointer and no `UnsafeCell` in it. The other bounds are those of `Plain` that `Pod` does not have.
    #[diagnostic::do_not_recommend]
    unsafe impl<T: bytemuck::Pod + Send + Sync> Plain for Pod<T> {}

    // SAFETY: it is `repr(transparent)` around a `T`.
    unsafe impl<T> TransparentWrapper<T> for Pod<T> {}
}
