// Data of one dimension for a region of two: give it a second axis, `row.insert_axis(Axis(0))`, and an offset of two numbers.
use mpisync::Region;
use mpisync::ndarray::{Ix2, arr1};

fn main() {
    let mut field = Region::<f64, Ix2>::local([2, 3]).unwrap();
    let row = arr1(&[1.0, 2.0]);
    field.set(0, Some(&row), [0, 0]).unwrap();
}
