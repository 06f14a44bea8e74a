// A mutable view of a read guard: take the write lock, `let mut writing = field.write();`.
use mpisync::Region;
use mpisync::ndarray::s;

fn main() {
    let field = Region::<f64>::local([4, 6]).unwrap();
    let reading = field.read();
    reading.slice_mut(s![0, ..]).fill(1.0);
}
