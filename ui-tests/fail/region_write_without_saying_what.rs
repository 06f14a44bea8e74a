// A method of `ndarray` that changes items, called on the write guard: call it on `writing.view_mut()`, or on a slice.
use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let mut writing = field.write();
    writing.fill(1.0);
    writing.mapv_inplace(|item| 2.0 * item);
}
