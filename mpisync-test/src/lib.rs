//! Tests on MPI ranks, as ordinary test functions of `cargo test` and `cargo nextest`.
//!
//! ```toml
//! [dev-dependencies]
//! mpisync-test = "0.1"
//! ```
//!
//! ```
//! // tests/results.rs
//! use mpisync::prelude::*;
//! use std::fs::{self, File};
//! use std::io::{BufRead, Write};
//!
//! #[mpisync_test::ranks(1, 2, 4)]
//! fn all_ranks_sign(world: &SimpleCommunicator) -> Result<(), Box<dyn std::error::Error>> {
//!     // One rank chooses the path.
//!     let mut ctrl = mpisync::sync(world)?;
//!     let path = match ctrl.single_write() {
//!         Access::Writer(fence) => fence.share(format!("/tmp/list-{}", std::process::id())),
//!         Access::Excluded(fence) => fence.collect(),
//!     }?;
//!     let mut list = Guarded::create(world, || File::create(&path).map(|_| AppendFile::new(&path)))?;
//!     list.write(|file| writeln!(file, "rank {}", world.rank()))?;
//!     world.barrier();
//!     let lines = list.read(|file| Ok(file.lines().count()))?;
//!     assert_eq!(lines, world.size() as usize);
//!     world.barrier();
//!     if world.rank() == 0 {
//!         fs::remove_file(&path)?;
//!     }
//!     Ok(())
//! }
//! # fn main() {}
//! ```
//!
//! `cargo test` shows three tests: `all_ranks_sign::on_1_rank`, `all_ranks_sign::on_2_ranks` and
//! `all_ranks_sign::on_4_ranks`. Each starts its own program with `mpiexec`, in which the function runs on all ranks as a
//! program that begins with [`mpisync::run`].
//!
//! # The attribute
//! `#[ranks(2, 4, limit = 30)]` takes numbers of ranks and a time limit in seconds. The function takes the communicator of all
//! ranks, and returns nothing or a `Result<(), E>` whose error becomes a `Box<dyn Error>`. It fails if any rank returns an
//! error, panics, dies, or ends its process. `#[ignore]` and `#[cfg(…)]` stand below the attribute. The attribute belongs on
//! functions of modules, because it makes a module of the function's name beside it.
//!
//! # What a failed test reports
//! ```text
//! Error: writes_alone::on_2_ranks has failed:
//!   rank 1 panicked at tests/results.rs:31:9: no input
//!   rank 0 failed: the writer, rank 1, panicked: no input
//!
//! --- output of rank 0 ---
//! …
//! ```
//! The first line is the likely cause: a failure that names no other rank that has failed, the earliest first. The output of
//! each rank follows, that of the launcher, and the command that repeats the test. A test that passes prints nothing.
//!
//! # Time limits
//! A test that has not ended after 60 seconds is killed with all its processes. Before that each rank
//! [reports](mpisync::guide::stalls#a-wait-that-lasts-reports-itself) for whom it waits, and in which line:
//!
//! ```text
//!   it had not ended after 60.0 s and was killed (`limit = SECONDS`, TEST_MPI_LIMIT)
//!   rank 0 has waited for 60.0 s in `wait` of barrier "phase" at tests/results.rs:42
//!     rank 1 has not come, and it computes, or polls in a call of MPI
//!   rank 1 reports no wait in a call of mpisync: it computes, or waits in a call of MPI or of the system
//! ```
//!
//! # The launcher
//! The test takes the launcher of the MPI that the program was built with: it looks near the loaded library, then on `PATH`. It
//! lets Open MPI run as root and start more ranks than there are cores.
//!
//! | variable | default | meaning |
//! | --- | --- | --- |
//! | `TEST_MPIEXEC` | found | the launcher with its options, such as `srun --overlap` |
//! | `TEST_MPI` | that of the library | `openmpi` or `mpich`: the family of a launcher that does not say it itself |
//! | `TEST_MPI_LIMIT` | each test's own | the time limit of every test in seconds; 0 for none, as for a debugger |
//! | `TEST_MPI_MISSING` | `fail` | `skip` lets tests pass, with a message, where there is no launcher |
//!
//! The names do not begin with `MPISYNC_`, because the library takes such [names](mpisync::guide::environment) for its own.
//! Unless the environment has other values, `MPISYNC_GRACE` is 2, the time in seconds that a rank which has failed gives the
//! others before it aborts the job; and `MPISYNC_DEADLOCK` is `error`, so that ranks
//! [that wait for each other](mpisync::guide::stalls#ranks-that-wait-for-each-other) fail at once.
//!
//! # How many tests run at once
//! The tests of one program run side by side as long as all their ranks have a core. `cargo nextest` starts each test as a
//! program of its own, which knows nothing of the others; `threads-required` tells it that a test takes several cores:
//!
//! ```toml
//! # .config/nextest.toml
//! [[profile.default.overrides]]
//! filter = "test(/::on_4_ranks$/)"
//! threads-required = 4
//! ```

mod error;
mod job;
mod outcome;
mod rank;
mod record;
mod report;
mod room;
mod settings;
mod test;

pub use mpisync_test_macros::ranks;

/// What the attribute expands to.
#[doc(hidden)]
pub mod __private {
    pub use crate::error::Failure;
    pub use crate::test::Test;
}

use test::Test;
