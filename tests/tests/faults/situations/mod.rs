//! The situations, a file an object.

pub mod barrier;
pub mod batch;
pub mod channel;
pub mod collective;
pub mod condvar;
pub mod controller;
pub mod counter;
pub mod creation;
pub mod guarded;
pub mod latch;
pub mod mutex;
pub mod once;
pub mod region;
pub mod semaphore;
pub mod single_write;
pub mod turn;

use anyhow::Result;

use crate::cell::Cell;

/// What all ranks of a cell run. The victim returns; the others answer.
pub type Situation = fn(&Cell) -> Result<()>;
