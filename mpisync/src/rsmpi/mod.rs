//! All calls of MPI.

mod attribute;
mod blocking;
mod carrier;
mod comm;
pub(crate) mod communicator;
mod context;
mod create;
mod end;
mod part;
pub(crate) mod run;
mod shape;
pub(crate) mod survivors;
mod threads;
#[cfg(feature = "trace")]
mod trace;
pub(crate) mod universe;
mod waiting;

pub(crate) use crate::rsmpi::attribute::{act_at_end, at_end, end, first_at_end, is_finalized};
pub(crate) use crate::rsmpi::carrier::Piece;
pub(crate) use crate::rsmpi::carrier::{Carrier, Handler, Unsent};
pub(crate) use crate::rsmpi::context::Context;
pub(crate) use crate::rsmpi::create::announce;
pub(crate) use crate::rsmpi::create::{
    Created, CreatedMemory, Creation, CreationArguments, Room, block, memory,
};
pub(crate) use crate::rsmpi::part::{PartComm, lowest_rank};
pub use crate::rsmpi::shape::datatype;
pub(crate) use crate::rsmpi::threads::level_below_multiple;
