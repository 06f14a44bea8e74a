//! The lock of a communicator that spans nodes: the queue of nodes, and the tree of gates. See
//! [`guide::lock`](crate::guide::lock).

pub(crate) mod copy;
mod here;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod node_server;
mod polled;
pub(crate) mod recovery;
mod server;
pub(crate) mod site;
pub(crate) mod token;
pub(crate) mod tree;
pub(crate) mod version;
pub(crate) mod writer;
