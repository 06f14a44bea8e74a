// Items that not all bits are a value of: use `u8`, 0 or 1.
use mpisync::Region;

fn main() {
    let _flags = Region::<bool>::local([4, 6]);
}
