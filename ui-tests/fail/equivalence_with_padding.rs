// Padding, which is not initialized: make it a field, `_padding: [u8; 7]`.
#[derive(Clone, Copy, mpisync::Equivalence)]
struct Cell {
    number: u64,
    kind: u8,
}

fn main() {}
