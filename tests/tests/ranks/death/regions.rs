//! A rank with a guard of a region is killed.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use mpisync::ndarray::{Ix1, Ix2};
use mpisync::{LockError, Region};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;
use mpisync_tests::signals::{Signal, send};

use super::{
    LONG, PROCESS, READY, assert_holder_died, await_death, die, kill_waiting_victim, ready,
    survived, victim,
};

// Words of scratch memory.
const FOUND: usize = 4;
const WRITTEN: usize = 5;

mpisync_tests::cases!(on [2, 4] with [LastRankDies]:
    reader_of_a_region_dies,
    writer_of_a_region_dies,
    publisher_of_a_region_dies,
    rank_dies_behind_its_change,
    root_of_a_region_dies,
);

/// The death of a reader loses nothing.
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

/// No rank sees a half-made change.
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
    assert!(text.contains("not available"), "{text}");
    survived(job)
}

/// The victim writes all items repeatedly and is killed at a random moment; on several nodes mostly
/// while the items are sent. The others see a whole change or none, or get an error.
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

/// The victim dies right after its guard is dropped, when other nodes may not have its change yet. All see the change, and
/// the lock is free.
fn rank_dies_behind_its_change(job: &Job) {
    const ROWS: u64 = 20;
    const ITEMS: u64 = 1_000;
    let mut region = Region::<u64, Ix2>::new(&job.world, [ROWS as usize, ITEMS as usize]).unwrap();
    if job.rank == victim(job) {
        for row in 0..ROWS {
            region.write().row_mut(row as usize).fill(row + 1);
        }
        ready(job);
        die();
    }
    await_death(job);
    let expected = ITEMS * (1..=ROWS).sum::<u64>();
    assert_eq!(region.read_timeout(LONG).unwrap().sum(), expected);
    job.scratch.meet(FOUND, job.size - 1);
    for _ in 0..20 {
        region.write_timeout(LONG).unwrap()[[0, 0]] += 1;
    }
    job.scratch.meet(WRITTEN, job.size - 1);
    let others = 20 * (job.size as u64 - 1);
    assert_eq!(region.read_timeout(LONG).unwrap().sum(), expected + others);
    survived(job)
}

/// All ranks set the region together, and the root is killed at a random moment. The others get an
/// error from this call or from the next access to the region, unless all items have arrived.
fn root_of_a_region_dies(job: &Job) {
    const ITEMS: usize = 2_000_000;
    let mut region = Region::<u64, Ix1>::new(&job.world, [ITEMS]).unwrap();
    let root = victim(job);
    let mut data = (job.rank == root).then(|| vec![0_u64; ITEMS]);
    if job.rank == 0 {
        let (is_ready, process) = (job.scratch.word(READY), job.scratch.word(PROCESS));
        // This rank itself waits for the root.
        thread::spawn(move || {
            until("the root to set", || is_ready.load(SeqCst) != 0);
            thread::sleep(Duration::from_millis(100));
            send(process.load(SeqCst), Signal::KILL).expect("it waits");
        });
    }
    for stamp in 1.. {
        if let Some(data) = &mut data {
            data.fill(stamp);
        }
        if stamp == 2 && job.rank == root {
            ready(job);
        }
        if region.set(root, data.as_ref(), [0]).is_err() {
            break;
        }
    }
    await_death(job);
    thread::sleep(Duration::from_millis(300));
    match region.read_timeout(LONG) {
        Ok(items) => {
            let stamp = items[0];
            assert!(items.iter().all(|item| *item == stamp), "a torn region");
        }
        Err(LockError::HolderDied { rank }) => assert_eq!(rank, root),
        Err(error) => panic!("{error}"),
    }
    survived(job)
}
