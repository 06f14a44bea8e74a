// A result that cannot be serialized: derive `serde::Serialize` and `serde::Deserialize` for it.
use mpisync::{CollectiveError, Region};

struct Header {
    columns: usize,
}

#[mpisync::single_write]
fn start(field: &mut Region<f64>) -> Result<Header, CollectiveError> {
    field.fill(1.0);
    Ok(Header { columns: 3 })
}

fn main() {}
