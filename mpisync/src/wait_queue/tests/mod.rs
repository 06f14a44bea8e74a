//! The wait queue under real threads, and under the model checker with `--cfg loom`.

mod heap;
mod layout;
#[cfg(loom)]
mod loom;
#[cfg(not(loom))]
mod threads;

use crate::wait_queue::layout::MOST_PERMITS;
use crate::wait_queue::tests::heap::HeapWaitQueue;
use crate::wait_queue::{OnDeath, WaitQueue};

/// A wait queue of `ranks` ranks with `permits` free permits, as each rank sees it.
fn lists(ranks: usize, permits: u32) -> Vec<WaitQueue<HeapWaitQueue>> {
    let lists: Vec<_> = HeapWaitQueue::new(ranks)
        .into_iter()
        .map(|memory| WaitQueue {
            memory,
            on_death: OnDeath::Release,
        })
        .collect();
    assert!(lists[0].supply(permits, MOST_PERMITS));
    lists
}
