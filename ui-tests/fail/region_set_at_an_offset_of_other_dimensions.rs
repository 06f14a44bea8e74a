// An offset of one number in a region of two dimensions: write one number for each dimension, `[1, 0]`.
use mpisync::Region;
use mpisync::ndarray::{Ix2, arr2};

fn main() {
    let mut field = Region::<f64, Ix2>::local([2, 3]).unwrap();
    field.set(0, Some(&arr2(&[[1.0, 2.0]])), 1).unwrap();
}
