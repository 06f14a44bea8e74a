// Several mistakes in one line: correct each, the compiler reports all of them.

#[mpisync::single_write(rank = "0", share = bytes)]
async fn create(columns: u32) -> u32 {
    columns
}

fn main() {}
