//! The objects that lie in the table of handles, and what a rank holds of them.

use crate::handle::Object;
use crate::held::Lend;
use mpisync::ndarray::Ix2;
use mpisync::sync::Permit;
use mpisync::{
    Access, Barrier, Batch, Condvar, Counter, Latch, Mutex, MutexGuard, OnceShared, ReadGuard,
    Region, RegionPartGuard, RegionReadGuard, RegionWriteGuard, Semaphore, Task, Turn, TurnGuard,
    WindowController, WriteGuard,
};

/// What a rank holds of a controller.
pub enum ControllerGuard<'a> {
    /// The lock for reading.
    Read(ReadGuard<'a>),
    /// The lock for writing.
    Write(WriteGuard<'a>),
    /// A call in which one rank writes.
    Call(Call<'a>),
}

/// A call in which one rank writes. Dropping it does not wait for the writer.
pub struct Call<'a>(Option<Access<'a>>);

impl<'a> Call<'a> {
    /// The call that has begun.
    pub fn new(access: Access<'a>) -> Self {
        Call(Some(access))
    }

    /// Whether this rank writes.
    pub fn is_writer(&self) -> bool {
        matches!(self.0, Some(Access::Writer(_)))
    }

    /// This rank's part in the call, which has to be ended.
    pub fn into_access(mut self) -> Access<'a> {
        self.0.take().expect("it is taken here only")
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        // Dropping the fence itself would wait.
        if let Some(Access::Excluded(fence)) = self.0.take() {
            fence.skip();
        }
    }
}

impl Lend for WindowController {
    type Guard<'a> = ControllerGuard<'a>;
    const KIND: &'static str = "controller";
    const HOLDS: &'static str = "the lock, or a single write,";
}

impl Lend for Mutex {
    type Guard<'a> = MutexGuard<'a>;
    const KIND: &'static str = "mutex";
    const HOLDS: &'static str = "the lock";
}

impl Lend for Semaphore {
    /// One for each call that took some.
    type Guard<'a> = Vec<Permit<'a>>;
    const KIND: &'static str = "semaphore";
    const HOLDS: &'static str = "permits";
    const LENDS_SEVERAL: bool = true;
}

impl Lend for Batch {
    /// Those that have not ended; one at least.
    type Guard<'a> = Vec<Task<'a>>;
    const KIND: &'static str = "batch";
    const HOLDS: &'static str = "a task";
}

/// One row of bytes for each item, so that the ranks compare both the number of items and their size.
pub type Items = Region<u8, Ix2>;

/// What a rank holds of a region.
pub enum RegionGuard<'a> {
    /// The lock for reading.
    Read(RegionReadGuard<'a, u8, Ix2>),
    /// The lock for writing.
    Write(RegionWriteGuard<'a, u8, Ix2>),
    /// A part for writing.
    Part(RegionPartGuard<'a, u8, Ix2>),
}

impl Lend for Items {
    type Guard<'a> = RegionGuard<'a>;
    const KIND: &'static str = "region";
    const HOLDS: &'static str = "the lock";
}

/// The counter of other languages.
pub type Numbers = Counter<i64>;

impl Object for Numbers {
    const KIND: &'static str = "counter";
}

impl Object for Barrier {
    const KIND: &'static str = "barrier";
}

impl Object for Latch {
    const KIND: &'static str = "latch";
}

impl Lend for Turn {
    type Guard<'a> = TurnGuard<'a>;
    const KIND: &'static str = "turn";
    const HOLDS: &'static str = "the turn";
}

impl Object for Condvar {
    const KIND: &'static str = "condition";
}

/// A value of other languages that one rank computes.
pub type OnceBytes = OnceShared<Vec<u8>>;

impl Object for OnceBytes {
    const KIND: &'static str = "once";
}
