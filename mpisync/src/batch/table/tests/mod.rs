//! The table under real threads and random steps, and under the model checker with `--cfg loom`.

#[cfg(loom)]
mod loom;
#[cfg(not(loom))]
mod steps;
#[cfg(not(loom))]
mod threads;

use crate::batch::table::TaskTable;
use crate::batch::table::heap::HeapTable;

/// One with so many tasks, for that many ranks.
fn table(tasks: usize, ranks: usize) -> TaskTable<HeapTable> {
    TaskTable {
        memory: HeapTable::new(tasks, ranks),
    }
}
