// An attribute below the derive that turns a `u8` into a `bool`: keep the `u8`, and compare it with 0.
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
