//! What the jobs that share a state directory with pshmem, and the test that starts both, have to agree on.

/// The environment variable that names the directory of both.
pub const DIRECTORY: &str = "MPISYNC_PSHMEM_DIRECTORY";

/// The state directory in it.
pub const STATES: &str = "states";

/// The file in it with a line for each task that was run: its number, and what became of it.
pub const LOG: &str = "log";

/// How many tasks there are.
pub const TASKS: usize = 40;
