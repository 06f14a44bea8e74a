// An ignored summary, in which tasks may have failed or be invalid: call `batch.for_each(…)?.all_done()?`, or check the counts.
#![deny(unused_must_use)]

use mpisync::Batch;
use mpisync::batch::BatchError;

fn main() -> Result<(), BatchError> {
    let mut batch = Batch::local().tasks(3).build()?;
    batch.for_each(|_, _| Err("no input"))?;
    Ok(())
}
