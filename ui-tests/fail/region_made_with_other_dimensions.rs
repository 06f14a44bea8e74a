// A shape of three dimensions for a region of two: pass as many lengths as the type has dimensions, `[2, 3]`.
use mpisync::Region;
use mpisync::ndarray::Ix2;

fn main() {
    let _ = Region::<f64, Ix2>::local([2, 3, 4]);
}
