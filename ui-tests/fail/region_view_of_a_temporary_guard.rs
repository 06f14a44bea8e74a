// A view of a read guard that is dropped at once: bind the guard first, `let reading = field.read();`.
use mpisync::Region;

fn main() {
    let field = Region::<f64>::local([4, 6]).unwrap();
    let items = field.read().view();
    assert_eq!(items.sum(), 0.0);
}
