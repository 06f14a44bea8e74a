// An enum, for which another process may write bits that are no variant: use a number.
#[derive(Clone, Copy, mpisync::Equivalence)]
enum State {
    Open,
    Closed,
}

fn main() {}
