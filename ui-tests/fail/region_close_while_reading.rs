// A region closed while a guard is alive: drop the guard first.
use mpisync::Region;

fn main() {
    let field = Region::<f64>::local([4, 6]).unwrap();
    let reading = field.read();
    field.close().unwrap();
    drop(reading);
}
