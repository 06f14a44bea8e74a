// Two mutable views of one write guard: take one after the other, or split one, `view.split_at(Axis(0), 2)`.
use mpisync::Region;
use mpisync::ndarray::s;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let mut writing = field.write();
    let mut top = writing.slice_mut(s![..2, ..]);
    let mut all = writing.view_mut();
    top.fill(1.0);
    all.fill(2.0);
}
