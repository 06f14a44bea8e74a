// Two parameters that are regions: name the one to write, `#[single_write(ctrl = to)]`, or take the other one as `&Region`.
use mpisync::{CollectiveError, Region};

#[mpisync::single_write]
fn copy(from: &mut Region<f64>, to: &mut Region<f64>) -> Result<f64, CollectiveError> {
    Ok(1.0)
}

fn main() {}
