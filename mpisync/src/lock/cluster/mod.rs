//! The lock of a communicator that spans nodes: the queue of nodes, and the tree of gates. See the page of
//! [`lock`](crate::lock).

#[cfg(test)]
mod model;
pub(crate) mod standing;
pub(crate) mod tier;
pub(crate) mod tree;
