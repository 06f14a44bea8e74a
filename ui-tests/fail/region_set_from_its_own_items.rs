// A region's own items as data for it: copy them first, with `to_owned`.
use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    field.set(0, Some(field.read().view()), [0, 0]).unwrap();
}
