// A value with a larger alignment than shared memory has: remove `#[repr(align)]` from its type.
use mpisync::Mutex;

#[derive(Clone, Copy, mpisync::Equivalence)]
#[repr(align(256))]
struct Page([u64; 32]);

fn main() {
    let _page = Mutex::local_with(Page([0; 32]));
}
