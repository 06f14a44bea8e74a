//! Several read guards of one rank: it holds the lock until the last one is dropped.

use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    field.write().fill(1.0);
    let first = field.read();
    let second = field.read();
    assert_eq!(first.view(), second.view());
    drop(first);
    let third = field
        .try_read()
        .expect("readers do not keep each other out");
    assert_eq!(third.sum() + second.sum(), 48.0);
    drop((second, third));
    assert!(field.try_write().is_some(), "no reader is left");
}
