// A user's type with the name `Region`: name the parameter that is mpisync's, `#[single_write(ctrl = field)]`.
use mpisync::CollectiveError;

struct Region {
    rows: u32,
}

#[mpisync::single_write]
fn start(field: &mut mpisync::Region<f64>, part: &mut Region) -> Result<u32, CollectiveError> {
    field.fill(1.0);
    Ok(part.rows)
}

fn main() {}
