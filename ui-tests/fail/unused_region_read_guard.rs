// A read guard that is not bound, so the lock is released at once: bind it, `let reading = field.read();`.
#![deny(unused_must_use)]

use mpisync::Region;

fn main() {
    let field = Region::<f64>::local([4, 6]).unwrap();
    field.read();
}
