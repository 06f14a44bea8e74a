// Padding because of the order: put `time` first, and make the remaining padding a field, `_padding: [u8; 6]`.
#[derive(Clone, Copy, mpisync::Equivalence)]
#[repr(C)]
struct Sample {
    kind: u8,
    time: f64,
    channel: u8,
}

fn main() {}
