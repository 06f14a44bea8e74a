//! Tests of the memory of a node.

mod cells;
mod limits;
mod mapping;
// Elsewhere the state of a process is unknown.
#[cfg(target_os = "linux")]
mod process;
mod segment;
mod topology;
