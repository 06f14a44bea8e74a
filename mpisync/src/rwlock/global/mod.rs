//! The lock of a communicator that spans nodes: the queue of nodes, and the tree of gates. See the
//! page of [`rwlock`](crate::rwlock).

pub(crate) mod layout;
pub(crate) mod lock;
// All interleavings take minutes, and without MPI there is nothing else to see.
#[cfg(all(test, feature = "mpi"))]
mod model;
pub(crate) mod node_server;
mod server;
pub(crate) mod site;
pub(crate) mod standing;
pub(crate) mod tree;
pub(crate) mod writer;
