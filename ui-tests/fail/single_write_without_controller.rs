// A function that has no controller: take one as `ctrl: &mut WindowController`.
use mpisync::FenceError;

#[mpisync::single_write]
fn create(columns: u32) -> Result<u32, FenceError> {
    Ok(columns)
}

fn main() {}
