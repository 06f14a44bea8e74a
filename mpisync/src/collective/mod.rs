//! Calls that all ranks of a controller make together: fenced calls, in which one rank writes, and
//! `#[collective]` calls.

pub(crate) mod access;
pub(crate) mod fence;
pub(crate) mod fenced;
pub(crate) mod future;
pub(crate) mod scope;
