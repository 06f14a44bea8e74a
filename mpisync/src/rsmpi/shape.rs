//! Plain types as MPI datatypes.

use crate::plain::{Number, Plain, Shape};
use crate::rsmpi::comm::check;
use crate::rsmpi::threads::may_call_mpi;
use mpi::datatype::{UncommittedUserDatatype, UserDatatype};
use mpi::ffi;
use mpi::traits::{AsRaw, Equivalence, FromRaw};
use mpi::{Address, Count};
use std::any::type_name;

/// The committed datatype of a plain type.
///
/// # Panics
/// If MPI does not run, on a thread that must not call MPI, and if MPI cannot make the datatype.
pub fn datatype<T: Plain>() -> UserDatatype {
    let name = type_name::<T>();
    assert!(
        mpi::is_initialized() && !mpi::is_finalized(),
        "`{name}` is an MPI datatype while MPI runs: call `mpisync::initialize()` first and keep the universe alive"
    );
    assert!(
        may_call_mpi(),
        "the first use of `{name}` in MPI is on a thread that must not call MPI: call `mpisync::initialize()`, which \
         asks for `Threading::Multiple`, or use it on the main thread first"
    );
    build(T::SHAPE).commit()
}

/// The datatype of a shape. MPI keeps the datatypes of its parts as long as it needs them.
fn build(shape: &Shape) -> UncommittedUserDatatype {
    match *shape {
        Shape::Number(number) => self::number(number),
        Shape::Array(length, item) => {
            UncommittedUserDatatype::contiguous(count(length), &build(item))
        }
        Shape::Struct { size, fields } => {
            let places: Vec<_> = fields.iter().map(|&(at, _)| at as Address).collect();
            let types: Vec<_> = fields.iter().map(|&(_, shape)| build(shape)).collect();
            let ones = vec![1; fields.len()];
            resize(
                &UncommittedUserDatatype::structured(&ones, &places, &types),
                size,
            )
        }
        Shape::Bytes(length) => bytes(length),
    }
}

fn bytes(length: usize) -> UncommittedUserDatatype {
    UncommittedUserDatatype::contiguous(count(length), &u8::equivalent_datatype())
}

/// The datatype with the extent `size`: MPI may round the extent of a packed struct up.
fn resize(datatype: &UncommittedUserDatatype, size: usize) -> UncommittedUserDatatype {
    let mut resized = datatype.as_raw();
    // SAFETY: a live datatype, and the result goes to a live variable.
    let code = unsafe {
        ffi::MPI_Type_create_resized(datatype.as_raw(), 0, size as Address, &mut resized)
    };
    check("MPI_Type_create_resized", code).unwrap_or_else(|error| panic!("{error}"));
    // SAFETY: a new datatype, for the call succeeded, that nobody else frees.
    unsafe { UncommittedUserDatatype::from_raw(resized) }
}

fn count(length: usize) -> Count {
    Count::try_from(length).expect("MPI takes arrays of less than 2^31 items")
}

fn number(number: Number) -> UncommittedUserDatatype {
    let of_mpi = match number {
        Number::U8 => u8::equivalent_datatype(),
        Number::U16 => u16::equivalent_datatype(),
        Number::U32 => u32::equivalent_datatype(),
        Number::U64 => u64::equivalent_datatype(),
        Number::Usize => usize::equivalent_datatype(),
        Number::I8 => i8::equivalent_datatype(),
        Number::I16 => i16::equivalent_datatype(),
        Number::I32 => i32::equivalent_datatype(),
        Number::I64 => i64::equivalent_datatype(),
        Number::Isize => isize::equivalent_datatype(),
        Number::F32 => f32::equivalent_datatype(),
        Number::F64 => f64::equivalent_datatype(),
        // MPI has no number of this length.
        Number::U128 | Number::I128 => return bytes(size_of::<u128>()),
    };
    UncommittedUserDatatype::contiguous(1, &of_mpi)
}

/// The part of `#[derive(Equivalence)]` that needs MPI.
#[doc(hidden)]
#[macro_export]
macro_rules! __equivalence {
    ($name:ident) => {
        // SAFETY: the datatype is made of the type's shape, which covers its bytes at their
        // offsets, and any bytes that are received are a valid value since the type is plain.
        unsafe impl $crate::mpi::traits::Equivalence for $name {
            type Out = $crate::mpi::datatype::DatatypeRef<'static>;

            fn equivalent_datatype() -> Self::Out {
                static DATATYPE: ::std::sync::OnceLock<$crate::mpi::datatype::UserDatatype> =
                    ::std::sync::OnceLock::new();
                DATATYPE
                    .get_or_init($crate::__private::datatype::<$name>)
                    .as_ref()
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::datatype;

    #[test]
    #[should_panic(expected = "`[f64; 3]` is an MPI datatype while MPI runs")]
    fn no_datatype_without_mpi() {
        datatype::<[f64; 3]>();
    }
}
