//! The queue under real threads, and under the model checker with `--cfg loom`.

mod heap;
mod layout;
#[cfg(loom)]
mod loom;
#[cfg(not(loom))]
mod threads;

use crate::channel::ring::layout::{Position, Shape};
use crate::channel::ring::tests::heap::HeapQueue;
use crate::channel::ring::{NoMessage, NoRoom, Queue};
use crate::shm::wait::Deadline;

/// Queues for `ranks` ranks, whose positions wrap around after a few messages.
fn queues(ranks: usize, capacity: u64) -> Vec<Queue<HeapQueue>> {
    let start = laps_before_the_end(Shape::new(capacity), 1);
    queues_from(ranks, capacity, start)
}

/// The first position of the lap that is `laps` laps before the wrap-around.
fn laps_before_the_end(shape: Shape, laps: u64) -> Position {
    let lap = shape.stamp_after(Position(0));
    Position(0_u64.wrapping_sub(laps * lap))
}

fn queues_from(ranks: usize, capacity: u64, start: Position) -> Vec<Queue<HeapQueue>> {
    let memories = HeapQueue::new(ranks, capacity, start);
    memories
        .into_iter()
        .map(|memory| Queue { memory })
        .collect()
}

/// Puts the messages in order, as many at a time as fit.
fn put(queue: &Queue<HeapQueue>, messages: &[u64]) -> Result<(), NoRoom> {
    let mut left = messages;
    while !left.is_empty() {
        let mut putting = queue.put(left.len(), || Deadline::NEVER, queue)?;
        while let Some(index) = putting.index() {
            queue.memory.write(index, left[0]);
            putting.publish();
            left = &left[1..];
        }
    }
    Ok(())
}

/// Takes up to `most` messages.
fn take(queue: &Queue<HeapQueue>, most: usize) -> Result<Vec<u64>, NoMessage> {
    let mut taking = queue.take(most, || Deadline::NEVER)?;
    let mut messages = Vec::new();
    while let Some(index) = taking.index() {
        messages.push(queue.memory.read(index));
        taking.free();
    }
    Ok(messages)
}
