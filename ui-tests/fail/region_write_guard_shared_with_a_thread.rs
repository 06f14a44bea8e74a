// A write guard borrowed by another thread: lend the thread a view, `let items = writing.view();`, or read through a read
// guard, which threads may share.
use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let writing = field.write();
    std::thread::scope(|scope| {
        scope.spawn(|| writing.sum());
    });
}
