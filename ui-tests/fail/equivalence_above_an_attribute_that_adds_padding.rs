// An attribute below the derive that aligns the struct, so that it has padding: make the padding a field.
use mpisync_ui_tests_attributes::replaced_by;

#[derive(Clone, Copy, mpisync::Equivalence)]
#[replaced_by(
    #[repr(align(16))]
    struct Cell {
        number: u64,
    }
)]
struct Cell {
    number: u64,
}

fn main() {}
