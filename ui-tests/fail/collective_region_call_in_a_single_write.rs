// A collective call in the body of a `single_write`, which one rank runs: write through the guard.
use mpisync::{CollectiveError, Region};

#[mpisync::single_write]
fn smooth(field: &mut Region<f64>) -> Result<f64, CollectiveError> {
    field.update(|items| items.sum())
}

fn main() {}
