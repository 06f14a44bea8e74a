//! Smaller things that the ranks of a communicator share.

pub mod counter;
