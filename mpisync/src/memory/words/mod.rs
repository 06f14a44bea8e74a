//! The words in shared memory: what they mean and who may store them. What is done with them is for the protocols.

pub(crate) mod board;
pub(crate) mod ledger;
pub(crate) mod lock;
pub(crate) mod mail;
pub(crate) mod queue;
pub(crate) mod rounds;
pub(crate) mod station;
pub(crate) mod waitlist;
