// A mutable view kept longer than its write guard: keep the guard as long.
use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let mut writing = field.write();
    let mut items = writing.view_mut();
    drop(writing);
    items.fill(1.0);
}
