//! The part of a call that goes to the mailboxes of other nodes, where the controller has any.

mod client;
mod messages;
mod receiver;
mod server;

pub(crate) use client::Mailboxes;
pub(super) use messages::{Reason, Value};
pub(super) use receiver::read_object;
