// A read guard in the closure of an `update`, which holds the lock: read through the closure's guard.
use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let sum = field.update(|_| field.read().sum());
    assert_eq!(sum.unwrap(), 0.0);
}
