// An item set through a read guard: take the write lock, `let mut writing = field.write();`.
use mpisync::Region;

fn main() {
    let field = Region::<f64>::local([4, 6]).unwrap();
    let reading = field.read();
    reading[[0, 0]] = 1.0;
}
