//! Types whose bytes mean the same in every process.

pub(crate) mod foreign;

use crate::fingerprint::{fingerprint, quick_fingerprint};
use std::fmt;
use std::num::{Saturating, Wrapping};

/// A type whose bytes mean the same in every process of a job.
///
/// Its values can be copied into the memory of another process without serialization. It consists
/// of numbers only:
///
/// | type | is it plain? |
/// | --- | --- |
/// | `u8` … `u128`, `usize`, `i8` … `i128`, `isize`, `f32`, `f64` | yes |
/// | `()`, and of a plain `T`: `[T; N]`, `Wrapping<T>`, `Saturating<T>` | yes |
/// | a struct of plain fields without padding | with `#[derive(Clone, Copy, mpisync::Equivalence)]` |
/// | `num_complex::Complex<T>` of a plain `T` | with the feature `num-complex` |
/// | `half::f16`, `half::bf16` | with the feature `half` |
/// | a `bytemuck::Pod` type | as `mpisync::Pod<T>`, with the feature `bytemuck` |
/// | `String`, `Vec`, `Box`, references | no: they point into the memory of one process |
/// | `bool`, `char`, enums | no: another process may write bits that are not a valid value |
/// | tuples, `Option` | no: their layout is unspecified |
///
/// [`Equivalence`](macro@crate::Equivalence) derives it for a struct, checks the struct and, with
/// the feature `mpi`, makes it an MPI datatype as well.
///
/// ```
/// #[derive(Clone, Copy, mpisync::Equivalence)]
/// struct Particle {
///     id: u64,
///     position: [f64; 3],
///     is_charged: u8, // 0 or 1; `bool` is not plain
///     _padding: [u8; 7],
/// }
///
/// fn bytes<T: mpisync::Plain>(_: &T) -> usize {
///     size_of::<T>()
/// }
///
/// let particle = Particle { id: 7, position: [0.5; 3], is_charged: 1, _padding: [0; 7] };
/// assert_eq!(bytes(&particle), 40);
/// assert_eq!(bytes(&[particle; 2]), 80);
/// ```
///
/// # Layout
///
/// The ranks of a job agree on the layout of a plain struct if they run the same executable. If
/// they run different executables, write `#[repr(C)]`; otherwise the compiler may order the fields
/// differently in each.
///
/// # Safety
///
/// For every value of the type:
/// - Each of its bytes is initialized, so that it can be read as bytes. It has no padding.
/// - Any bytes are a valid value, so that it can be read from bytes of another process.
/// - It has no pointer, handle or other value that is valid in one process only.
/// - It is not and contains no `UnsafeCell`, so that its bytes do not change while it is borrowed.
///
/// The hidden constant of the trait is as the derive writes it, or left out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot travel between processes as bytes",
    label = "not a plain type",
    note = "numbers can, and arrays of them, and structs that have `#[derive(Clone, Copy, mpisync::Equivalence)]`",
    note = "instead of a `String`, a `Vec` or a reference, which point into the memory of one process, use an array such as `[u8; 32]`",
    note = "instead of a `bool`, a `char` or an enum, which not all bits are a value of, use a number such as `u8`"
)]
pub unsafe trait Plain: Copy + Send + Sync + 'static {
    /// The shape of the type; the derive lists the fields.
    #[doc(hidden)]
    const SHAPE: &'static Shape = &Shape::Bytes(size_of::<Self>());
}

/// The shape of a plain type.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    Number(Number),
    /// This many values of the same shape.
    Array(usize, &'static Shape),
    Struct {
        size: usize,
        /// The offset of each field and its shape.
        fields: &'static [(usize, &'static Shape)],
    },
    /// This many bytes of unknown shape.
    Bytes(usize),
}

#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Number {
    U8,
    U16,
    U32,
    U64,
    U128,
    Usize,
    I8,
    I16,
    I32,
    I64,
    I128,
    Isize,
    F32,
    F64,
}

/// Compiles if a field of `S` has the type `Seen` that the derive saw. The compiler infers its real
/// type from an access to the field: an attribute below the derive may have changed the struct.
#[doc(hidden)]
pub const fn field_is<S, Seen, Real: SameAs<Seen>>(_: fn(&S) -> *const Real) {}

/// Each type is the same as itself.
///
/// # Safety
/// Must not be implemented for two different types.
#[diagnostic::on_unimplemented(
    message = "this field is `{Self}` in the end, and was `{Seen}` when the derive saw it",
    label = "becomes `{Self}`",
    note = "put the attribute that changes the struct above the derive, which then sees what becomes of it"
)]
#[doc(hidden)]
pub unsafe trait SameAs<Seen> {}

// SAFETY: it is the same.
#[diagnostic::do_not_recommend]
unsafe impl<T> SameAs<T> for T {}

impl Shape {
    /// Appends a description that differs between shapes.
    fn describe(&self, out: &mut Vec<u8>) {
        // The counts make the description unambiguous.
        let mut number = |kind: u8, value: usize| {
            out.push(kind);
            out.extend((value as u64).to_ne_bytes());
        };
        match *self {
            Shape::Number(which) => number(0, which as usize),
            Shape::Bytes(size) => number(1, size),
            Shape::Array(length, item) => {
                number(2, length);
                item.describe(out);
            }
            Shape::Struct { size, fields } => {
                number(3, size);
                number(4, fields.len());
                for (offset, field) in fields {
                    out.extend((*offset as u64).to_ne_bytes());
                    field.describe(out);
                }
            }
        }
    }
}

/// The properties of a plain type that ranks compare before one of them reads bytes of another as a
/// value of the type. The name of a type is not enough: two blocks of one function, or two versions
/// of a crate, may define different types of one name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TypeLayout {
    size: usize,
    align: usize,
    /// A fingerprint of the type's shape.
    shape: u64,
}

impl TypeLayout {
    pub(crate) fn of<T: Plain>() -> Self {
        let mut description = Vec::new();
        T::SHAPE.describe(&mut description);
        TypeLayout {
            size: size_of::<T>(),
            align: align_of::<T>(),
            shape: fingerprint(&description),
        }
    }

    /// A hash of the layout.
    pub(crate) fn fingerprint(self) -> u64 {
        [self.size as u64, self.align as u64, self.shape]
            .into_iter()
            .fold(0, |seed, part| quick_fingerprint(seed, &part.to_ne_bytes()))
    }
}

impl fmt::Display for TypeLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TypeLayout { size, align, shape } = self;
        write!(f, "{size} bytes, alignment {align}, shape {shape:016x}")
    }
}

// `do_not_recommend` keeps these out of the compiler's messages: the notes above name them all.
macro_rules! numbers {
    ($($number:ty: $name:ident),* $(,)?) => {$(
        // SAFETY: a number has no padding, and any bits are a number.
        #[diagnostic::do_not_recommend]
        unsafe impl Plain for $number {
            const SHAPE: &'static Shape = &Shape::Number(Number::$name);
        }
    )*};
}

numbers! {
    u8: U8, u16: U16, u32: U32, u64: U64, u128: U128, usize: Usize,
    i8: I8, i16: I16, i32: I32, i64: I64, i128: I128, isize: Isize,
    f32: F32, f64: F64,
}

// SAFETY: it has no bytes.
#[diagnostic::do_not_recommend]
unsafe impl Plain for () {}

// SAFETY: an array is its items one after the other, with nothing in between.
#[diagnostic::do_not_recommend]
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {
    const SHAPE: &'static Shape = &Shape::Array(N, T::SHAPE);
}

// SAFETY: it is `repr(transparent)` around a `T`.
#[diagnostic::do_not_recommend]
unsafe impl<T: Plain> Plain for Wrapping<T> {
    const SHAPE: &'static Shape = T::SHAPE;
}

// SAFETY: as above.
#[diagnostic::do_not_recommend]
unsafe impl<T: Plain> Plain for Saturating<T> {
    const SHAPE: &'static Shape = T::SHAPE;
}

/// The part of `#[derive(Equivalence)]` that needs MPI.
#[cfg(not(feature = "mpi"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __equivalence {
    ($name:ident) => {};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, mpisync_macros::Equivalence)]
    #[mpisync(crate = crate)]
    #[repr(C)]
    struct Inner {
        large: u64,
        small: [i16; 4],
    }

    #[derive(Clone, Copy, mpisync_macros::Equivalence)]
    #[mpisync(crate = crate)]
    #[repr(C)]
    struct Outer(f32, u32, [Inner; 2]);

    const NUMBER: fn(Number) -> Shape = Shape::Number;

    #[test]
    fn shape_has_the_places_of_the_fields() {
        let inner = Shape::Struct {
            size: 16,
            fields: &[
                (0, &Shape::Number(Number::U64)),
                (8, &Shape::Array(4, &Shape::Number(Number::I16))),
            ],
        };
        assert_eq!(*Inner::SHAPE, inner);
        let Shape::Struct { size: 40, fields } = *Outer::SHAPE else {
            panic!("{:?}", Outer::SHAPE)
        };
        let [(0, first), (4, second), (8, Shape::Array(2, third))] = *fields else {
            panic!("{fields:?}")
        };
        assert_eq!(
            [*first, *second, **third],
            [NUMBER(Number::F32), NUMBER(Number::U32), inner]
        );
    }

    #[test]
    fn layouts_differ_in_size_alignment_and_shape() {
        #[derive(Clone, Copy, mpisync_macros::Equivalence)]
        #[mpisync(crate = crate)]
        #[repr(C, align(32))]
        struct Aligned([u64; 4]);
        #[derive(Clone, Copy, mpisync_macros::Equivalence)]
        #[mpisync(crate = crate)]
        #[repr(C)]
        struct Pairs([u64; 2], [u64; 2]);

        let layouts = [
            TypeLayout::of::<[u64; 4]>(),
            TypeLayout::of::<[u64; 5]>(),
            TypeLayout::of::<[i64; 4]>(),
            TypeLayout::of::<[[u64; 2]; 2]>(),
            TypeLayout::of::<Aligned>(),
            TypeLayout::of::<Pairs>(),
        ];
        for (index, first) in layouts.iter().enumerate() {
            for second in &layouts[index + 1..] {
                assert_ne!(first, second);
            }
        }
        assert_eq!(TypeLayout::of::<Pairs>(), TypeLayout::of::<Pairs>());
    }

    #[test]
    fn shape_of_a_type_without_derive_is_its_bytes() {
        #[derive(Clone, Copy)]
        struct Raw {
            _bytes: [u8; 5],
        }
        // SAFETY: an array of bytes and nothing else.
        unsafe impl Plain for Raw {}
        assert_eq!(*Raw::SHAPE, Shape::Bytes(5));
    }
}
