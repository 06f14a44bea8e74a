// A `#[collective]` function without a controller: add a controller parameter.
use mpisync::{CollectiveError, Region};

#[mpisync::collective]
fn smooth(field: &mut Region<f64>) -> Result<f64, CollectiveError> {
    field.write().fill(1.0);
    Ok(field.read().sum())
}

fn main() {}
