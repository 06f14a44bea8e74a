//! A rank is killed that has a guard of a region.

use std::thread;
use std::time::Duration;

use mpisync::ndarray::Ix1;
use mpisync::{LockError, Region};
use mpisync_tests::job::{Case, Job};

use super::{
    LONG, assert_holder_died, await_death, die, kill_waiting_victim, ready, survived, victim,
};

pub const CASES: &[Case] = &[
    ("reader_of_a_region_dies", reader_of_a_region_dies),
    ("writer_of_a_region_dies", writer_of_a_region_dies),
    ("publisher_of_a_region_dies", publisher_of_a_region_dies),
];

/// Who only reads takes nothing with it.
fn reader_of_a_region_dies(job: &Job) {
    let mut region = Region::<u64, Ix1>::new(&job.world, [1]).unwrap();
    if job.rank == victim(job) {
        let _items = region.read();
        ready(job);
        die();
    }
    await_death(job);
    for _ in 0..200 {
        region.write_timeout(LONG).unwrap()[0] += 1;
        assert!(region.read_timeout(LONG).unwrap()[0] > 0);
    }
    survived(job)
}

/// Nobody gets to see what is half changed.
fn writer_of_a_region_dies(job: &Job) {
    let mut region = Region::<u64, Ix1>::new(&job.world, [1_000]).unwrap();
    if job.rank == victim(job) {
        let mut items = region.write();
        items.slice_mut(mpisync::ndarray::s![..500]).fill(1);
        ready(job);
        die();
    }
    await_death(job);
    for _ in 0..2 {
        assert_holder_died(job, region.read_timeout(LONG).map(drop));
        assert_holder_died(job, region.write_timeout(LONG).map(drop));
    }
    assert!(region.try_read().is_none());
    let text = region.to_string();
    assert!(text.contains("not to be seen now"), "{text}");
    survived(job)
}

/// The victim writes all of the items again and again and is killed at any moment of that, on several nodes mostly while
/// they are on their way. The others see all of a change or nothing, or are told.
fn publisher_of_a_region_dies(job: &Job) {
    let mut region = Region::<u64, Ix1>::new(&job.world, [2_000_000]).unwrap();
    if job.rank == victim(job) {
        for stamp in 1.. {
            region.write().fill(stamp);
            if stamp == 2 {
                ready(job);
            }
        }
    }
    if job.rank == 0 {
        kill_waiting_victim(job);
    }
    await_death(job);
    thread::sleep(Duration::from_millis(300));
    match region.read_timeout(LONG) {
        Ok(items) => {
            let stamp = items[0];
            assert!(
                stamp > 1 && items.iter().all(|item| *item == stamp),
                "a torn region"
            );
        }
        Err(LockError::HolderDied { rank }) => assert_eq!(rank, victim(job)),
        Err(error) => panic!("{error}"),
    }
    survived(job)
}
