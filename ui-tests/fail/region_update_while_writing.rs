// A collective `update` while a guard is alive: drop the guard first.
use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let writing = field.write();
    field.update(|items| items.fill(1.0)).unwrap();
    drop(writing);
}
