//! The table under real threads and random steps; with `--cfg loom` under the model checker.

mod heap;
#[cfg(loom)]
mod loom;
mod steps;
mod threads;

use crate::batch::table::tests::heap::HeapTable;
use crate::batch::table::{TableLimits, TaskTable};

/// A table of `tasks` open tasks, for `ranks` ranks.
fn table(tasks: usize, ranks: usize) -> TaskTable<HeapTable> {
    TaskTable {
        memory: HeapTable::new(tasks, ranks),
        limits: TableLimits::default(),
    }
}
