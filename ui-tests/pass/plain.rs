//! Values that can be sent between processes as bytes.

use mpisync::Plain;
use mpisync::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Equivalence)]
struct Header {
    columns: u64,
    spacing: [f64; 3],
    origin: Point,
    corners: [Point; 2],
    matrix: [[f32; 2]; 2],
    kind: u8,
    _padding: [u8; 7],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, mpisync::Equivalence)]
#[repr(C)]
struct Point(i32, i32);

/// Without padding, for any fields.
#[derive(Clone, Copy, mpisync::Equivalence)]
#[repr(C, packed)]
struct Packed {
    r#type: u8,
    length: usize,
}

type Alias = [Point; 2];

#[derive(Clone, Copy, mpisync::Equivalence)]
struct Aliased {
    points: Alias,
    ids: [u16; 2],
}

fn size<T: Plain>(_: T) -> usize {
    size_of::<T>()
}

fn main() {
    let header = Header {
        columns: 3,
        spacing: [0.5; 3],
        origin: Point(1, 2),
        corners: [Point::default(); 2],
        matrix: [[1.0, 0.0], [0.0, 1.0]],
        kind: 1,
        _padding: [0; 7],
    };
    assert_eq!(size(header), 80);
    assert_eq!(size([header, header]), 160);
    let packed = Packed {
        r#type: 0,
        length: 1,
    };
    assert_eq!(size(packed), 1 + size_of::<usize>());
    let aliased = Aliased {
        points: [Point(0, 1); 2],
        ids: [0, 1],
    };
    assert_eq!(size(aliased), 20);
    assert_eq!(size(1_u8) + size(-1_isize) + size([0.5_f32; 3]), 21);
}
