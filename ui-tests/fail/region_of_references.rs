// References into the memory of one process: use an array such as `[u8; 32]`.
use mpisync::Region;

fn main() {
    let _names = Region::<&'static str>::local([4, 6]);
}
