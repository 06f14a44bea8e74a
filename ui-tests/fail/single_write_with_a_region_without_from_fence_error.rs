// An error type that cannot represent the failure of another rank: implement `From<CollectiveError>` for it.
use std::num::ParseIntError;

use mpisync::Region;

#[mpisync::single_write]
fn start(field: &mut Region<u32>, item: &str) -> Result<u32, ParseIntError> {
    field.fill(item.parse()?);
    Ok(field.sum())
}

fn main() {}
