// A write guard that is not bound, so the lock is released at once: bind it, `let mut writing = field.write();`.
#![deny(unused_must_use)]

use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    field.write();
}
