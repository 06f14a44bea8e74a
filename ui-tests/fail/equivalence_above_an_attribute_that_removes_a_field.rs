// An attribute below the derive that removes a field: put it above the derive, which then sees the remaining fields.
use mpisync_ui_tests_attributes::replaced_by;

#[derive(Clone, Copy, mpisync::Equivalence)]
#[replaced_by(
    struct Cell {
        state: u8,
        #[cfg(any())]
        count: u8,
    }
)]
struct Cell {
    state: u8,
    count: u8,
}

fn main() {}
