// An attribute below the derive that adds a field: put it above the derive, which then sees the field.
use mpisync_ui_tests_attributes::replaced_by;

#[derive(Clone, Copy, mpisync::Equivalence)]
#[replaced_by(
    struct Cell {
        state: u8,
        is_open: bool,
    }
)]
struct Cell {
    state: u8,
}

fn main() {}
