//! How the rank that has a value shares it with the other ranks.
//!
//! A small value lies in a record of the object's mailbox. A large one streams through the staging
//! buffer of the rank that shares it, in chunks: a value of any size needs little shared memory and
//! stays in the cache.

mod calls;
mod collector;
mod divergence;
mod failure;
mod layout;
mod mailbox;
pub(crate) mod payload;
pub(crate) mod polled;
mod remote;
mod staging;
pub(crate) mod stream;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use crate::share::calls::{CallNumber, Calls, FencedCall, OuterCall};
pub(crate) use crate::share::failure::{Failure, panic_message, text_of};
pub(crate) use crate::share::mailbox::MailboxLayout;
