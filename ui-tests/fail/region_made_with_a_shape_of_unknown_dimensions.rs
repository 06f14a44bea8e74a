// A slice as the shape of a region of two dimensions: write `[shape[0], shape[1]]`, or make a `Region<f64>`, which accepts any.
use mpisync::Region;
use mpisync::ndarray::Ix2;

fn make(shape: &[usize]) -> Region<f64, Ix2> {
    Region::<f64, Ix2>::local(shape).unwrap()
}

fn main() {
    make(&[2, 3]);
}
