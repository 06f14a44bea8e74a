// Data of one dimension assigned to a region of two: give it a second axis, or assign to a row, `items.row_mut(0)`.
use mpisync::Region;
use mpisync::ndarray::{Ix2, arr1};

fn main() {
    let mut field = Region::<f64, Ix2>::local([2, 3]).unwrap();
    let mut items = field.write();
    items.assign(&arr1(&[1.0, 2.0]), [0, 0]).unwrap();
}
