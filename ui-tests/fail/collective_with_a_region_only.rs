// A `#[collective]` function without a controller: take one beside the region.
use mpisync::{CollectiveError, Region};

#[mpisync::collective]
fn smooth(field: &mut Region<f64>) -> Result<f64, CollectiveError> {
    field.write().fill(1.0);
    Ok(field.read().sum())
}

fn main() {}
