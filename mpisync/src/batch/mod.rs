//! Batches of tasks, each of which has a folder and a state.

pub mod directory;
mod state;

pub use state::{State, Summary, UnknownWord};
