//! A rank that holds a part of a region, or waits for one, is killed.

use std::thread;
use std::time::Duration;

use mpisync::ndarray::Ix1;
use mpisync::{LockError, Region, RegionError};
use mpisync_tests::job::Job;

use super::{
    LONG, assert_holder_died, await_death, die, kill_waiting_victim, ready, survived, victim,
};

mpisync_tests::cases!(on [2, 4] with [LastRankDies]:
    first_writer_of_a_part_dies = |job| writer_of_a_part_dies(job, true),
    later_writer_of_a_part_dies = |job| writer_of_a_part_dies(job, false),
    publisher_of_a_part_dies,
    waiter_for_a_part_dies,
    waiter_for_a_part_behind_a_reader_dies,
);

// Words of scratch memory.
const HAVE: usize = 10;
const MET: usize = 11;
const DONE: usize = 12;

fn lock_error<T>(outcome: Result<T, RegionError>) -> Result<T, LockError> {
    outcome.map_err(|error| match error {
        RegionError::Lock(error) => error,
        error => panic!("{error}"),
    })
}

/// Each rank has a part; one dies. The others keep theirs, and get an error when they ask for more,
/// until one of them takes over.
fn writer_of_a_part_dies(job: &Job, is_first: bool) {
    const ITEMS: usize = 1000;
    let mut region = Region::<u64, Ix1>::new(&job.world, [ITEMS * job.size as usize]).unwrap();
    let (mine, victim) = (ITEMS * job.rank as usize, victim(job));
    let takes_first = if is_first { victim } else { 0 };
    if job.rank != takes_first {
        job.scratch.wait_for(HAVE);
    }
    let mut part = region.write_part_timeout(mine..mine + ITEMS, LONG).unwrap();
    if job.rank == takes_first {
        job.scratch.raise(HAVE);
    }
    part.as_slice_mut()[..ITEMS / 2].fill(1);
    job.scratch.meet(MET, job.size);
    if job.rank == victim {
        ready(job);
        die();
    }
    await_death(job);
    // It is noticed while this rank still writes.
    thread::sleep(Duration::from_millis(500));
    part.fill(2);
    drop(part);
    assert_holder_died(job, region.read_timeout(LONG).map(drop));
    assert_holder_died(job, region.write_timeout(LONG).map(drop));
    let part = region.write_part_timeout(mine..mine + 1, LONG).map(drop);
    assert_holder_died(job, lock_error(part));
    assert!(region.try_write_part(..1).is_none());
    job.scratch.meet(DONE, job.size - 1);
    if let Some(mut items) = region.take_over().unwrap() {
        assert_eq!(items[0], 2);
        let start = ITEMS * victim as usize;
        items.as_slice_mut()[start..].fill(3);
    }
    let part = region.write_part_timeout(mine..mine + 1, LONG);
    part.unwrap()[0] = 4;
    job.scratch.meet(DONE + 1, job.size - 1);
    let items = region.read_timeout(LONG).unwrap();
    for (index, item) in items.iter().enumerate() {
        let right = match (index / ITEMS, index % ITEMS) {
            (rank, _) if rank == victim as usize => 3,
            (_, 0) => 4,
            _ => 2,
        };
        assert_eq!(*item, right, "item {index}");
    }
    drop(items);
    survived(job)
}

/// The victim, which waits for a part that rank 0 has. Over several nodes it is granted to the dead
/// rank, whose death is not known yet.
fn waiter_for_a_part_dies(job: &Job) {
    waiter_dies(job, |region, meanwhile| {
        let mut part = region.write_part_timeout(..1, LONG).unwrap();
        part[0] = 1;
        meanwhile();
    });
}

/// The victim waits to open a group, because rank 0 reads.
fn waiter_for_a_part_behind_a_reader_dies(job: &Job) {
    waiter_dies(job, |region, meanwhile| {
        let _items = region.read_timeout(LONG).unwrap();
        meanwhile();
    });
}

/// The death of a rank that waits for a part loses nothing: the others take parts and read, more
/// often than messages may be in flight.
fn waiter_dies(job: &Job, hold: fn(&mut Region<u64, Ix1>, meanwhile: &dyn Fn())) {
    const ROUNDS: usize = 100;
    let mut region = Region::<u64, Ix1>::new(&job.world, [job.size as usize + 1]).unwrap();
    if job.rank == victim(job) {
        job.scratch.wait_for(HAVE);
        ready(job);
        drop(region.write_part_timeout(.., LONG).unwrap());
        unreachable!("rank 0 has a part of that");
    }
    if job.rank == 0 {
        hold(&mut region, &|| {
            job.scratch.raise(HAVE);
            kill_waiting_victim(job);
        });
    }
    await_death(job);
    let mine = job.rank as usize;
    for _ in 0..ROUNDS {
        let part = region.write_part_timeout(mine..mine + 2, LONG);
        part.unwrap()
            .as_slice_mut()
            .iter_mut()
            .for_each(|item| *item += 1);
        assert!(region.read_timeout(LONG).unwrap()[mine] > 0);
    }
    survived(job)
}

/// Each rank stamps its part repeatedly, and the victim is killed at a random moment; on several
/// nodes mostly while the items are sent. The others see a whole change of it or none, or get an error.
fn publisher_of_a_part_dies(job: &Job) {
    const ITEMS: usize = 500_000;
    let mut region = Region::<u64, Ix1>::new(&job.world, [ITEMS * job.size as usize]).unwrap();
    let mine = ITEMS * job.rank as usize;
    if job.rank == victim(job) {
        for stamp in 1.. {
            region.write_part(mine..mine + ITEMS).fill(stamp);
            if stamp == 2 {
                ready(job);
            }
        }
    }
    let killer = (job.rank == 0).then(|| {
        let (process, is_ready) = (
            job.scratch.word(super::PROCESS),
            job.scratch.word(super::READY),
        );
        thread::spawn(move || {
            use std::sync::atomic::Ordering::SeqCst;
            mpisync_tests::scratch::until("the victim", || is_ready.load(SeqCst) != 0);
            thread::sleep(Duration::from_millis(100));
            let process = process.load(SeqCst);
            mpisync_tests::signals::send(process, mpisync_tests::signals::Signal::KILL).unwrap();
        })
    });
    let outcome = loop {
        for _ in 0..5 {
            if let Ok(mut part) = region.write_part_timeout(mine..mine + ITEMS, LONG) {
                part.fill(7);
            }
        }
        if !launcher::processes::is_running(super::victim_process(job)) {
            break region.read_timeout(LONG);
        }
    };
    match outcome {
        Ok(items) => {
            let theirs = &items.as_slice().unwrap()[ITEMS * victim(job) as usize..];
            let stamp = theirs[0];
            assert!(theirs.iter().all(|item| *item == stamp), "a torn part");
        }
        Err(LockError::HolderDied { rank }) => assert_eq!(rank, victim(job)),
        Err(error) => panic!("{error}"),
    }
    if let Some(killer) = killer {
        killer.join().unwrap();
    }
    survived(job)
}
