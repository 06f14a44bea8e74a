// A view returned from an `update`, after which other ranks write: return the needed values, or read again.
use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let mut kept = None;
    field.update(|items| kept = Some(items.view_mut())).unwrap();
    kept.unwrap().fill(1.0);
}
