//! Two ways to write results, of which one makes all ranks wait: it computes under the write lock.
//!
//! Run it with a trace, and the report names the line that causes the waiting:
//!
//! ```sh
//! MPISYNC_TRACE=trace mpiexec -n 4 target/release/slow_writer
//! mpisync-trace trace
//! ```

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use mpi::traits::Communicator;
use mpisync::prelude::*;

/// How long a result takes to compute.
const COMPUTING: Duration = Duration::from_millis(20);
/// How long it takes to write.
const WRITING: Duration = Duration::from_millis(1);
/// How many results of each kind a rank has.
const RESULTS: usize = 10;

fn main() -> ExitCode {
    mpisync::run(|world| -> anyhow::Result<()> {
        let mut results = WindowController::builder(world).name("results").build()?;
        for _ in 0..RESULTS {
            compute();
            // Good: the lock is held while the result is written.
            let _writing = results.write();
            write();
        }
        for _ in 0..RESULTS {
            // Bad: the others wait while this rank computes.
            let _writing = results.write();
            compute();
            write();
        }
        results.close()?;
        if world.rank() == 0 {
            println!("{} ranks wrote {} results each", world.size(), 2 * RESULTS);
        }
        Ok(())
    })
}

fn compute() {
    thread::sleep(COMPUTING);
}

fn write() {
    thread::sleep(WRITING);
}
