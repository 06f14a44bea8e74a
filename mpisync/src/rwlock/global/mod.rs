//! The lock of a communicator that spans nodes: the queue of nodes, and the tree of gates. See the page of
//! [`lock`](crate::rwlock).

pub(crate) mod agent;
pub(crate) mod layout;
#[cfg(test)]
mod model;
mod server;
pub(crate) mod site;
pub(crate) mod standing;
pub(crate) mod tier;
pub(crate) mod tree;
pub(crate) mod writer;
