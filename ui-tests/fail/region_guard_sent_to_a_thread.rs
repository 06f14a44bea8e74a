// A guard moved to another thread: keep it, and lend the thread a view of it.
use mpisync::Region;

fn main() {
    let field = Region::<f64>::local([4, 6]).unwrap();
    let reading = field.read();
    std::thread::scope(|scope| {
        scope.spawn(move || reading.sum());
    });
}
