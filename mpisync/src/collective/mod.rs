//! What ranks do together under a controller: fenced calls and `#[collective]` calls.

pub(crate) mod access;
pub(crate) mod fence;
pub(crate) mod fenced;
pub(crate) mod scope;
