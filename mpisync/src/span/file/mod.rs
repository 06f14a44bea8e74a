//! Trace files: what a process does, in a file of bounded size that is readable however the process ends.
//!
//! The file is mapped, so each event is in it as soon as it begins. Events are in two rings, one for
//! waits and one for everything else, so that many short holds do not push out the waits. Names and
//! places are stored once and have numbers.

pub(crate) mod format;
#[cfg(feature = "trace")]
pub(crate) mod recorder;
