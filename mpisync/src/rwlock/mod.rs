//! The reader-writer lock: [`WindowController`](crate::WindowController), its guards, the lock on one
//! node (`node`) and across nodes (`global`), ranges that several ranks hold together (`range`), and
//! controllers that the threads of a rank share (`shared`).
//! [`guide::lock`](crate::guide::lock) describes it.

mod awaited;
#[cfg(feature = "mpi")]
pub(crate) mod builder;
pub(crate) mod controller;
pub(crate) mod future;
pub(crate) mod global;
pub(crate) mod guard;
pub(crate) mod layout;
pub(crate) mod memory;
pub(crate) mod node;
#[cfg(feature = "inspect")]
pub(crate) mod outside;
pub(crate) mod range;
pub(crate) mod shared;
pub(crate) mod state;
#[cfg(test)]
mod tests;
pub(crate) mod threads;
