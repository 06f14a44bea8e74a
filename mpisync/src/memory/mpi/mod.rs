//! MPI's C functions, as far as mpisync calls them.

mod attribute;
mod carrier;
mod comm;
mod context;
mod create;
mod part;
mod shape;

pub(crate) use attribute::{act_at_end, at_end, first_at_end, is_finalized};
#[cfg(feature = "region")]
pub(crate) use carrier::Piece;
pub(crate) use carrier::{Carrier, Handler, Unsent};
pub(crate) use context::Context;
#[cfg(feature = "region")]
pub(crate) use create::announce;
pub(crate) use create::{Created, CreatedSlots, Creation, Terms, block, slots};
pub(crate) use part::{PartComm, lowest_rank};
pub use shape::datatype;
