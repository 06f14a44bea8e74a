// A collective `update` that one rank would call alone: write through the closure's guard.
use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let outcome = field.update(|_| field.update(|items| items.fill(1.0)).is_ok());
    assert!(outcome.unwrap());
}
