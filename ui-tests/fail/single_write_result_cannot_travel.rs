// A result that cannot be serialized: derive `serde::Serialize` and `serde::Deserialize` for it.
use mpisync::{CollectiveError, WindowController};

struct Header {
    columns: usize,
}

#[mpisync::single_write]
fn create(ctrl: &mut WindowController) -> Result<Header, CollectiveError> {
    Ok(Header { columns: 3 })
}

fn main() {}
