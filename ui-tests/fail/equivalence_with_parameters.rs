// One struct for many types, each with its own MPI datatype: write a struct for each.
#[derive(Clone, Copy, mpisync::Equivalence)]
struct Point<T> {
    at: [T; 3],
}

fn main() {}
