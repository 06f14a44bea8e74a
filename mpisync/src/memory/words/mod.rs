//! The words in shared memory: what they mean and who may store them. What is done with them is for the protocols.

#[cfg(not(loom))]
pub(crate) mod board;
pub(crate) mod ledger;
pub(crate) mod lock;
#[cfg(not(loom))]
pub(crate) mod mail;
pub(crate) mod queue;
#[cfg(not(loom))]
pub(crate) mod rounds;
#[cfg(not(loom))]
pub(crate) mod station;
pub(crate) mod waitlist;
