// A field for which another process may write bits without a value: use a `u8`, and compare it with 0.
#[derive(Clone, Copy, mpisync::Equivalence)]
struct Cell {
    index: [u8; 3],
    is_open: bool,
}

fn main() {}
