//! The table under real threads and random steps; with `--cfg loom` under the model checker.

mod heap;
#[cfg(loom)]
mod loom;
mod steps;
mod threads;

use crate::batch::directory::Again;
use crate::batch::table::tests::heap::HeapTable;
use crate::batch::table::{TableLimits, Taken, TaskTable};

/// A table of `tasks` open tasks, for `ranks` ranks.
fn table(tasks: usize, ranks: usize) -> TaskTable<HeapTable> {
    TaskTable {
        memory: HeapTable::new(tasks, ranks),
        limits: TableLimits::default(),
    }
}

/// Takes a task for a rank that has none.
fn take(table: &TaskTable<HeapTable>, rank: usize, again: Again) -> Option<Taken> {
    take_up_to(table, rank, again, 1).pop()
}

/// Takes up to `most` tasks for a rank that has none.
fn take_up_to(table: &TaskTable<HeapTable>, rank: usize, again: Again, most: usize) -> Vec<Taken> {
    let mut found = Vec::new();
    table.take(rank, again, 0..most, &mut found);
    found
}
