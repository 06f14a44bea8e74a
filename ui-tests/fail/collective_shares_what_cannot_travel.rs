// A value for all ranks that cannot be serialized: derive `serde::Serialize` and `serde::Deserialize` for it.
use mpisync::{CollectiveError, WindowController};

struct Header {
    columns: usize,
}

#[mpisync::collective(share = 0)]
fn step(ctrl: &mut WindowController) -> Result<Header, CollectiveError> {
    Ok(Header { columns: 3 })
}

fn main() {}
