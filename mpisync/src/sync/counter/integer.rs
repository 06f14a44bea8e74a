//! The integer types of counters.

use std::fmt::{Debug, Display};

/// An integer type of at most 64 bits. Implemented for those of the standard library.
pub trait Integer: Copy + Ord + Debug + Display + private::Sealed + 'static {
    #[doc(hidden)]
    const ZERO: Self;
    #[doc(hidden)]
    const ONE: Self;
    #[doc(hidden)]
    const MIN: Self;
    #[doc(hidden)]
    const MAX: Self;

    /// The number, sign-extended or zero-extended to 64 bits.
    #[doc(hidden)]
    fn to_bits(self) -> u64;

    /// The same number in a type that holds all numbers of all integer types, and their
    /// differences.
    #[doc(hidden)]
    fn widen(self) -> i128;

    /// The number whose bits are the low ones of `bits`.
    #[doc(hidden)]
    fn from_bits(bits: u64) -> Self;
}

mod private {
    pub trait Sealed {}
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl private::Sealed for $integer {}

        impl Integer for $integer {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            const MIN: Self = <$integer>::MIN;
            const MAX: Self = <$integer>::MAX;

            #[inline]
            fn to_bits(self) -> u64 {
                self as u64
            }

            #[inline]
            fn widen(self) -> i128 {
                self as i128
            }

            #[inline]
            fn from_bits(bits: u64) -> Self {
                bits as $integer
            }
        }
    )*};
}

integers!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize);
