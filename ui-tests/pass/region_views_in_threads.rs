//! Threads of one rank that read a region in parallel: each gets a view, and the guard stays in its
//! thread.

use std::thread;

use mpisync::Region;
use mpisync::ndarray::{ArrayView2, Axis, Ix2};

/// Runs in any thread.
fn largest(items: ArrayView2<'_, u32>) -> u32 {
    items.iter().copied().max().unwrap_or(0)
}

fn main() {
    let mut field = Region::<u32, Ix2>::local([8, 5]).unwrap();
    let mut writing = field.write();
    for ((row, column), item) in writing.view_mut().indexed_iter_mut() {
        *item = (10 * row + column) as u32;
    }

    // Parts that do not overlap may be written in parallel as well.
    let (top, bottom) = writing.view_mut().split_at(Axis(0), 4);
    thread::scope(|scope| {
        for mut part in [top, bottom] {
            scope.spawn(move || part += 100);
        }
    });
    drop(writing);

    let reading = field.read();
    let (top, bottom) = reading.view().split_at(Axis(0), 4);
    thread::scope(|scope| {
        let whole = reading.view();
        let whole = scope.spawn(move || largest(whole));
        let parts = [top, bottom].map(|part| scope.spawn(move || largest(part)));
        assert_eq!(parts.map(|thread| thread.join().unwrap()), [134, 174]);
        assert_eq!(whole.join().unwrap(), 174);
        assert_eq!(reading.len(), 40);
    });
}
