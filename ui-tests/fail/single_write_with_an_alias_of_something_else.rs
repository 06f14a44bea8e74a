// A type that is neither a controller nor a region: take one of them, or name the controller.
use mpisync::CollectiveError;

struct Table {
    rows: u32,
}

#[mpisync::single_write]
fn create(table: &mut Table) -> Result<u32, CollectiveError> {
    Ok(table.rows)
}

fn main() {}
