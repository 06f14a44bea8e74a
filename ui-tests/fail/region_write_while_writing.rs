// A second write guard beside the first one: use the first one, or lend it as `&mut writing`.
use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let writing = field.write();
    let again = field.write();
    drop((writing, again));
}
