// Tasks that failed or are invalid, and nobody looks: `batch.for_each(…)?.all_done()?`, or look at the summary's counts.
#![deny(unused_must_use)]

use mpisync::Batch;
use mpisync::batch::BatchError;

fn main() -> Result<(), BatchError> {
    let mut batch = Batch::local().tasks(3).build()?;
    batch.for_each(|_, _| Err("no input"))?;
    Ok(())
}
