// A read guard beside a write guard: read through the write guard, `writing.sum()`.
use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let writing = field.write();
    let reading = field.read();
    drop((writing, reading));
}
