//! The list under real threads, and under the model checker with `--cfg loom`.

#[cfg(loom)]
mod loom;
#[cfg(not(loom))]
mod threads;

use crate::wait_queue::heap::HeapWaitlist;
use crate::wait_queue::layout::MOST_PERMITS;
use crate::wait_queue::{Inheritance, Waitlist};

/// A list for that many ranks, with so many permits.
fn lists(ranks: usize, permits: u32) -> Vec<Waitlist<HeapWaitlist>> {
    let lists: Vec<_> = HeapWaitlist::new(ranks)
        .into_iter()
        .map(|memory| Waitlist {
            memory,
            inheritance: Inheritance::Stock,
        })
        .collect();
    assert!(lists[0].supply(permits, MOST_PERMITS));
    lists
}
