//! How a value travels from the one rank that has it to the others.
//!
//! Small values lie in the controller's mailbox; large ones stream through the stage of the rank
//! that shares them, piece by piece, so that a value of any size needs little shared memory and
//! stays in the cache on its way.

mod calls;
mod failure;
pub(crate) mod items;
pub(crate) mod layout;
mod mailbox;
pub(crate) mod payload;
mod post;
mod remote;
mod stage;
pub(crate) mod stream;

pub(crate) use crate::share::calls::Calls;
pub(crate) use crate::share::failure::{Failure, panic_message, text_of};
pub(crate) use crate::share::mailbox::MailboxLayout;
pub(crate) use crate::share::post::{Call, Post};
