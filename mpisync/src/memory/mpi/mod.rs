//! MPI's C functions, as far as mpisync calls them.

mod attribute;
mod comm;
mod create;
mod datatype;

pub(crate) use attribute::is_finalized;
pub(crate) use comm::OwnComm;
pub(crate) use create::block;
pub(crate) use datatype::{PackedItems, UnpackedItems};
