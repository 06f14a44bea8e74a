// Bytes that another process writes are a copy: derive `Clone` and `Copy`, too.
#[derive(mpisync::Equivalence)]
struct Cell {
    index: [u32; 2],
}

fn main() {}
