// A view in a thread that may live longer than the guard: write `std::thread::scope`.
use mpisync::Region;

fn main() {
    let field = Region::<f64>::local([4, 6]).unwrap();
    let reading = field.read();
    let items = reading.view();
    std::thread::spawn(move || items.sum()).join().unwrap();
}
