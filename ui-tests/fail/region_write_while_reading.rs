// A write guard beside a read guard: drop the read guard first.
use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let reading = field.read();
    let writing = field.write();
    drop((reading, writing));
}
