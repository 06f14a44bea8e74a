// Data set while a read guard is alive: drop the guard first.
use mpisync::Region;
use mpisync::ndarray::arr2;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let reading = field.read();
    field.set(0, Some(&arr2(&[[1.0]])), [0, 0]).unwrap();
    drop(reading);
}
