// An error type that cannot represent the failure of another rank: implement `From<CollectiveError>` for it.
use std::num::ParseIntError;

use mpisync::WindowController;

#[mpisync::single_write]
fn create(ctrl: &mut WindowController) -> Result<u32, ParseIntError> {
    "3".parse()
}

fn main() {}
