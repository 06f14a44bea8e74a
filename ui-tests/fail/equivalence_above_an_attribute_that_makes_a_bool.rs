// An attribute below the derive that makes a `bool` of a `u8`: keep the `u8`, and compare it with 0.
use mpisync_ui_tests_attributes::replaced_by;

#[derive(Clone, Copy, mpisync::Equivalence)]
#[replaced_by(
    struct Cell {
        is_open: bool,
    }
)]
struct Cell {
    is_open: u8,
}

fn main() {}
