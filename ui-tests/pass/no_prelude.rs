//! The macros need nothing in scope, and do not use names of the user.

#![no_implicit_prelude]
#![deny(warnings, missing_docs)]

use ::core::assert_eq;
use ::core::clone::Clone;
use ::core::marker::Copy;
use ::core::result::Result;
use ::mpisync::{CollectiveError, Plain, WindowController};

/// Has the name of the compiler's attributes for messages.
mod diagnostic {
    pub const NAME: &str = "diagnostic";
}

/// Has a standard name.
mod std {}

#[derive(Clone, Copy, ::mpisync::Equivalence)]
struct Point(f64, f64);

#[derive(Clone, Copy, ::mpisync::Equivalence)]
struct Cell {
    corners: [Point; 2],
    id: u64,
}

#[::mpisync::single_write(rank = ctrl.size() - 1)]
fn written(ctrl: &mut WindowController) -> Result<i32, CollectiveError> {
    Result::Ok(ctrl.size())
}

#[::mpisync::collective(share = 0)]
fn agreed(ctrl: &mut WindowController) -> Result<i32, CollectiveError> {
    Result::Ok(ctrl.rank())
}

#[::mpisync::single_write]
fn filled(field: &mut ::mpisync::Region<f64>) -> Result<f64, CollectiveError> {
    field.fill(0.5);
    Result::Ok(field.sum())
}

fn size<T: Plain>(_: &T) -> usize {
    ::core::mem::size_of::<T>()
}

fn main() {
    let point = Point(0.0, 1.0);
    let cell = Cell {
        corners: [point, Point(point.1, point.0)],
        id: 10,
    };
    assert_eq!(size(&cell), 40);
    assert_eq!(cell.corners[1].0, 1.0);
    assert_eq!(cell.id as usize, diagnostic::NAME.len());
    let mut ctrl = WindowController::local();
    assert_eq!(written(&mut ctrl).unwrap(), 1);
    assert_eq!(agreed(&mut ctrl).unwrap(), 0);
    let mut field = ::mpisync::Region::local([4]).unwrap();
    assert_eq!(filled(&mut field).unwrap(), 2.0);
}
