//! The part of a call that goes to the mailboxes of other nodes, where the controller has any.

mod client;
mod messages;
mod receiver;
mod server;

pub(crate) use crate::share::remote::client::Mailboxes;
pub(super) use crate::share::remote::messages::{Reason, Value};
pub(super) use crate::share::remote::receiver::read_object;
