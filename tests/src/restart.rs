//! What the job that is killed and started again, and the test that does so, have to agree on.

/// The environment variable that names the directory that all runs of the job have in common.
pub const DIRECTORY: &str = "MPISYNC_RESTART_DIRECTORY";

/// The state directory in it.
pub const STATES: &str = "states";

/// The file in it in which each rank writes what it does: `begin`, `end` or `done`, the task, its number in the worker, its
/// process.
pub const LOG: &str = "log";

/// How many tasks there are.
pub const TASKS: usize = 60;
