// A view kept longer than its read guard: keep the guard as long, or copy the items with `to_owned`.
use mpisync::Region;
use mpisync::ndarray::Ix2;

fn main() {
    let field = Region::<f64, Ix2>::local([4, 6]).unwrap();
    let reading = field.read();
    let row = reading.row(0);
    drop(reading);
    assert_eq!(row[0], 0.0);
}
