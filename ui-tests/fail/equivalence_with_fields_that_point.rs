// Fields that point into the memory of one process: use arrays.
#[derive(Clone, Copy, mpisync::Equivalence)]
struct Cell {
    name: &'static str,
    tags: [&'static str; 2],
}

fn main() {}
