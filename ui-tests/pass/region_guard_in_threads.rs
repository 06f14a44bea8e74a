//! Threads of one rank that read a region through its borrowed guard.

use std::thread;

use mpisync::ndarray::Ix2;
use mpisync::{Region, RegionReadGuard};

fn column(items: &RegionReadGuard<'_, u32, Ix2>, number: usize) -> u32 {
    items.column(number).sum()
}

fn main() {
    let mut field = Region::<u32, Ix2>::local([8, 5]).unwrap();
    field.write().fill(2);
    let items = field.read();
    let sums = thread::scope(|scope| {
        let threads: Vec<_> = (0..5).map(|number| scope.spawn({
            let items = &items;
            move || column(items, number)
        })).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
    });
    assert_eq!(sums, items.sum());
}
