// Several mistakes in one line: all of them are told.

#[mpisync::single_write(rank = "0", share = bytes)]
async fn create(columns: u32) -> u32 {
    columns
}

fn main() {}
