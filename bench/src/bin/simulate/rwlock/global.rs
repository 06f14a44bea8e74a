//! The files of the lock of a communicator that spans nodes that know neither memory nor MPI.

#[path = "../../../../../mpisync/src/rwlock/global/node_server.rs"]
pub(crate) mod node_server;
#[path = "../../../../../mpisync/src/rwlock/global/site.rs"]
pub(crate) mod site;
#[path = "../../../../../mpisync/src/rwlock/global/token.rs"]
pub(crate) mod token;
#[path = "../../../../../mpisync/src/rwlock/global/tree.rs"]
pub(crate) mod tree;
#[path = "../../../../../mpisync/src/rwlock/global/version.rs"]
pub(crate) mod version;
#[path = "../../../../../mpisync/src/rwlock/global/writer.rs"]
pub(crate) mod writer;
