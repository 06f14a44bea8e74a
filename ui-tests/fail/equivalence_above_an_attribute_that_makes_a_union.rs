// An attribute below the derive that makes a union, whose bytes may be uninitialized: keep the struct.
use mpisync_ui_tests_attributes::replaced_by;

#[derive(Clone, Copy, mpisync::Equivalence)]
#[replaced_by(
    union Cell {
        number: u64,
    }
)]
struct Cell {
    number: u64,
}

fn main() {}
