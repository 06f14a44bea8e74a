//! The ledger under real threads and random steps, and under the model checker with `--cfg loom`.

#[cfg(loom)]
mod loom;
#[cfg(not(loom))]
mod steps;
#[cfg(not(loom))]
mod threads;

use crate::batch::table::Ledger;
use crate::batch::table::heap::HeapLedger;

/// One with so many tasks, for that many ranks.
fn ledger(tasks: usize, ranks: usize) -> Ledger<HeapLedger> {
    Ledger {
        memory: HeapLedger::new(tasks, ranks),
    }
}
