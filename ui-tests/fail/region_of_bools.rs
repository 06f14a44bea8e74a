// Items for which not all bits are a value: use `u8`, 0 or 1.
use mpisync::Region;

fn main() {
    let _flags = Region::<bool>::local([4, 6]);
}
