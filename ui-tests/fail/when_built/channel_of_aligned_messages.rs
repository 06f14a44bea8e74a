// Messages with a larger alignment than shared memory has: remove `#[repr(align)]` from their type.
use mpisync::RemoteChannel;

#[derive(Clone, Copy, mpisync::Equivalence)]
#[repr(align(256))]
struct Page([u64; 32]);

fn main() {
    let _pages = RemoteChannel::<Page>::local(8).unwrap();
}
