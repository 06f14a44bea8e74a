// A function that has no controller: take one as `ctrl: &mut WindowController`.
use mpisync::CollectiveError;

#[mpisync::single_write]
fn create(columns: u32) -> Result<u32, CollectiveError> {
    Ok(columns)
}

fn main() {}
