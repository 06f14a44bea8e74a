// A guard borrowed by another thread: lend the thread a view, `let items = reading.view();`.
use mpisync::Region;

fn main() {
    let field = Region::<f64>::local([4, 6]).unwrap();
    let reading = field.read();
    std::thread::scope(|scope| {
        scope.spawn(|| reading.sum());
    });
}
