//! The part of a call that concerns the mailboxes of other nodes.

mod client;
mod messages;
mod receiver;
mod server;

pub(crate) use crate::share::remote::client::Mailboxes;
pub(super) use crate::share::remote::messages::{Reason, Value};
pub(super) use crate::share::remote::receiver::read_object;
