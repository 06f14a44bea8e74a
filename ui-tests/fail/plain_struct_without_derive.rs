// A struct that nobody has checked: add `#[derive(Clone, Copy, mpisync::Equivalence)]`.
struct Cell {
    index: [u32; 2],
}

fn send<T: mpisync::Plain>(_: T) {}

fn main() {
    send(Cell { index: [0, 1] });
}
