// A second part beside the first one: drop the first one, or take all rows as one part.
use mpisync::Region;

fn main() {
    let mut field = Region::<f64>::local([4, 6]).unwrap();
    let upper = field.write_part(..2);
    let lower = field.write_part(2..);
    drop((upper, lower));
}
