//! Parts of a region, which several ranks write at the same time.

use std::fs;
use std::mem::forget;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use mpi::traits::*;
use mpisync::ndarray::{Ix2, s};
use mpisync::{LockError, Region, RegionError};
use mpisync_tests::job::Job;
use mpisync_tests::rng::Rng;

mpisync_tests::cases!(on [1, 2, 4]:
    disjoint_parts_are_held_at_the_same_time,
    large_parts_are_sent_at_the_same_time,
    overlapping_parts_exclude_each_other,
    readers_never_see_half_of_a_part,
    parts_at_random_have_an_order,
    parts_end_for_a_writer_of_the_whole,
    leaked_parts_are_given_back,
);

mpisync_tests::cases!(on [2, 4]:
    parts_have_time_limits,
);

type Table = Region<u64, Ix2>;

/// Far more than a part takes.
const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(30);

fn table(job: &Job, shape: [usize; 2]) -> Table {
    Region::new(&job.world, shape).unwrap()
}

/// All ranks hold their parts while they meet in `MPI_Barrier`.
fn disjoint_parts_are_held_at_the_same_time(job: &Job) {
    let mut region = table(job, [2 * job.size as usize, 3]);
    let first = 2 * job.rank as usize;
    for round in 1..=50 {
        let stamp = 100 * round + job.rank as u64;
        {
            let mut part = region.write_part_timeout(first..first + 2, LONG).unwrap();
            assert_eq!(part.range(), first..first + 2);
            job.world.barrier();
            part.fill(stamp);
            job.world.barrier();
            assert!(part.iter().all(|item| *item == stamp));
        }
        job.world.barrier();
        {
            let items = region.read();
            for rank in 0..job.size as usize {
                let rows = items.slice(s![2 * rank..2 * rank + 2, ..]);
                let stamp = 100 * round + rank as u64;
                assert!(rows.iter().all(|item| *item == stamp), "round {round}");
            }
        }
        job.world.barrier();
    }
}

/// Parts that travel as several pieces and messages each, sent by all ranks at the same time.
fn large_parts_are_sent_at_the_same_time(job: &Job) {
    const ROWS: usize = 9;
    const COLUMNS: usize = 40_000;
    let mut region = table(job, [ROWS * job.size as usize, COLUMNS]);
    let first = ROWS * job.rank as usize;
    for round in 1..=6 {
        let stamp = 100 * round + job.rank as u64;
        let mut part = region
            .write_part_timeout(first..first + ROWS, LONG)
            .unwrap();
        part.slice_mut(s![..4, ..]).fill(stamp);
        part.slice_mut(s![4, 3..10]).fill(stamp);
        part.slice_mut(s![5.., ..;2]).fill(stamp);
        job.world.barrier();
        part.publish().unwrap();
        part[[4, 20]] = stamp;
        drop(part);
        job.world.barrier();
        let items = region.read();
        for rank in 0..job.size as usize {
            let rows = items.slice(s![ROWS * rank..ROWS * (rank + 1), ..]);
            let stamp = 100 * round + rank as u64;
            let is_stamp = |item: &u64| *item == stamp;
            assert!(rows.slice(s![..4, ..]).iter().all(is_stamp));
            assert!(rows.slice(s![4, 3..10]).iter().all(is_stamp));
            assert!(rows.slice(s![5.., ..;2]).iter().all(is_stamp));
            assert!(rows.slice(s![5.., 1..;2]).iter().all(|item| *item == 0));
            assert_eq!((rows[[4, 20]], rows[[4, 21]]), (stamp, 0));
        }
        drop(items);
        job.world.barrier();
    }
}

/// All ranks count up the same rows, by parts that overlap.
fn overlapping_parts_exclude_each_other(job: &Job) {
    const ROUNDS: usize = 200;
    let mut region = table(job, [6, 1]);
    for round in 0..ROUNDS {
        let start = (round + job.rank as usize) % 3;
        let mut part = region.write_part_timeout(start..start + 3, LONG).unwrap();
        // The row that all parts have.
        let row = 2 - start;
        let before = part[[row, 0]];
        if round % 16 == 0 {
            std::thread::sleep(Duration::from_micros(50));
        }
        part[[row, 0]] = before + 1;
    }
    job.world.barrier();
    assert_eq!(region.read()[[2, 0]], (ROUNDS * job.size as usize) as u64);
    job.world.barrier();
}

/// Ranks stamp their parts; readers, and writers of the whole, find one stamp in each.
fn readers_never_see_half_of_a_part(job: &Job) {
    for columns in [2, 30_000] {
        const ROWS: usize = 3;
        let mut region = table(job, [ROWS * job.size as usize, columns]);
        let first = ROWS * job.rank as usize;
        let mut rng = Rng::new(job.rank as u64 + 1);
        let check = |items: &mpisync::ndarray::ArrayRef<u64, Ix2>| {
            for rank in 0..job.size as usize {
                let rows = items.slice(s![ROWS * rank..ROWS * (rank + 1), ..]);
                let stamp = rows[[0, 0]];
                assert!(rows.iter().all(|item| *item == stamp), "a torn part");
            }
        };
        for stamp in 1..=40 {
            match rng.below(6) {
                0..3 => {
                    let mut part = region.write_part_timeout(first..first + ROWS, LONG);
                    part.as_mut().unwrap().fill(stamp);
                }
                3 => {
                    let mut items = region.write_timeout(LONG).unwrap();
                    check(&items);
                    items.slice_mut(s![first..first + ROWS, ..]).fill(stamp);
                }
                _ => check(&region.read_timeout(LONG).unwrap()),
            }
        }
        job.world.barrier();
        check(&region.read());
        job.world.barrier();
    }
}

/// One change of a row: the number of changes before, and what made it.
#[derive(Clone, Copy)]
struct Change {
    row: usize,
    version: u64,
    by: u64,
}

fn mix(value: u64, by: u64) -> u64 {
    (value ^ by)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(23)
}

/// Each row counts its changes, and has a value that depends on their order. Each rank writes down
/// its own changes, and a single process makes them again in the order of their versions.
fn parts_at_random_have_an_order(job: &Job) {
    const ROWS: usize = 24;
    const ROUNDS: u64 = 300;
    let mut region = table(job, [ROWS, 2]);
    let mut rng = Rng::new(77 * job.rank as u64 + 5);
    let mut changes = Vec::new();
    for round in 0..ROUNDS {
        let start = rng.below(ROWS as u64) as usize;
        let end = start + 1 + rng.below((ROWS - start).min(8) as u64) as usize;
        let by = 1_000_000 * (job.rank as u64 + 1) + round;
        let mut change = |row: usize, items: &mut [u64]| {
            let version = items[0];
            changes.push(Change { row, version, by });
            (items[0], items[1]) = (version + 1, mix(items[1], by));
        };
        match rng.below(12) {
            0 => {
                let mut items = region.write_timeout(LONG).unwrap();
                let all = items.as_slice_mut().chunks_exact_mut(2);
                all.enumerate().for_each(|(row, items)| change(row, items));
            }
            kind => {
                let part = match kind {
                    1 | 2 => region.try_write_part(start..end),
                    3 => {
                        let limit = Duration::from_micros(rng.below(500));
                        let part = region.write_part_timeout(start..end, limit);
                        let is_late = |error: &RegionError| {
                            matches!(error, RegionError::Lock(LockError::Timeout { .. }))
                        };
                        assert!(part.as_ref().err().is_none_or(is_late));
                        part.ok()
                    }
                    _ => Some(region.write_part_timeout(start..end, LONG).unwrap()),
                };
                let Some(mut part) = part else {
                    continue;
                };
                let rows = part.as_slice_mut().chunks_exact_mut(2);
                for (index, items) in rows.enumerate() {
                    change(start + index, items);
                }
            }
        }
        if round % 50 == 49 {
            let items = region.read_timeout(LONG).unwrap();
            assert!(items.column(0).iter().any(|version| *version > 0));
        }
    }
    let lines = changes
        .iter()
        .map(|change| format!("{} {} {}\n", change.row, change.version, change.by));
    fs::write(
        job.file(&format!("changes.{}", job.rank)),
        lines.collect::<String>(),
    )
    .unwrap();
    job.world.barrier();
    let mut all = Vec::new();
    for rank in 0..job.size {
        let text = fs::read_to_string(job.file(&format!("changes.{rank}"))).unwrap();
        for line in text.lines() {
            let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
            all.push((numbers[0] as usize, numbers[1], numbers[2]));
        }
    }
    all.sort_unstable();
    let mut model = vec![[0, 0]; ROWS];
    for (row, version, by) in all {
        assert_eq!(model[row][0], version, "row {row}: a lost change");
        model[row] = [version + 1, mix(model[row][1], by)];
    }
    let items = region.read();
    for (row, right) in items.rows().into_iter().zip(&model) {
        assert_eq!(row.as_slice().unwrap(), right);
    }
    drop(items);
    job.world.barrier();
}

/// While the other ranks take parts all the time, rank 0 writes and reads the whole.
fn parts_end_for_a_writer_of_the_whole(job: &Job) {
    const OVER: usize = 5;
    const PARTS: usize = 6;
    let mut region = table(job, [2 * job.size as usize, 1]);
    let parts = job.scratch.word(PARTS);
    if job.rank == 0 {
        let least = if job.size > 1 { 20 } else { 0 };
        let mut turns = 0;
        while turns < 20 || parts.load(SeqCst) < least {
            region.write_timeout(LONG).unwrap().fill(1);
            drop(region.read_timeout(LONG).unwrap());
            turns += 1;
        }
        job.scratch.raise(OVER);
    } else {
        // Each has a part of its own, and all share the first one.
        let mine = 2 * job.rank as usize;
        let mut taken = 0;
        while !job.scratch.is_raised(OVER) {
            let start = if taken % 4 == 0 { 0 } else { mine };
            let mut part = region.write_part_timeout(start..start + 2, LONG).unwrap();
            part.fill(taken);
            std::thread::sleep(Duration::from_micros(200));
            taken += 1;
            parts.fetch_add(1, SeqCst);
        }
    }
    job.world.barrier();
}

/// A part that a rank has leaked is sent to the other nodes, and given back.
fn leaked_parts_are_given_back(job: &Job) {
    let last = job.size - 1;
    let mut region = table(job, [4, 2]);
    for round in 1..=3 {
        job.world.barrier();
        if job.rank == last {
            let mut part = region.write_part_timeout(1..3, LONG).unwrap();
            part.fill(round);
            forget(part);
            match round {
                1 => drop(region.read_timeout(LONG).unwrap()),
                2 => {
                    // Over several nodes the leaked part is still being given back.
                    let start = Instant::now();
                    let mut try_part = || region.try_write_part(3..).map(|part| part.len());
                    while try_part() != Some(2) {
                        assert!(start.elapsed() < LONG);
                    }
                }
                _ => drop(region.write_timeout(LONG).unwrap()),
            }
        }
        job.world.barrier();
        let items = region.read_timeout(LONG).unwrap();
        assert!(items.slice(s![1..3, ..]).iter().all(|item| *item == round));
        drop(items);
        job.world.barrier();
    }
    if job.rank == last {
        let mut part = region.write_part(..);
        part.fill(9);
        forget(part);
    }
    region.close().unwrap();
}

/// What one rank holds, others cannot have in time; what it does not hold, they can.
fn parts_have_time_limits(job: &Job) {
    const TAKEN: usize = 5;
    const CHECKED: usize = 6;
    const FIRST: usize = 7;
    let mut region = table(job, [4, 2]);
    if job.rank == 0 {
        let mut part = region.write_part(1..3);
        part.fill(3);
        job.scratch.raise(TAKEN);
        let others = (job.size - 1) as u64;
        mpisync_tests::scratch::until("the others", || {
            job.scratch.word(CHECKED).load(SeqCst) == others
        });
    } else {
        job.scratch.wait_for(TAKEN);
        let late = |outcome: Result<(), RegionError>| {
            let is_late = matches!(outcome, Err(RegionError::Lock(LockError::Timeout { .. })));
            assert!(is_late, "{outcome:?}");
        };
        if job.rank == 1 {
            late(region.write_part_timeout(0..2, SHORT).map(drop));
            late(region.write_part_timeout(.., Duration::ZERO).map(drop));
            assert!(region.try_write_part(2..3).is_none());
            assert!(region.try_write_part(3..).is_some());
            late(
                region
                    .read_timeout(SHORT)
                    .map(drop)
                    .map_err(RegionError::from),
            );
            late(
                region
                    .write_timeout(SHORT)
                    .map(drop)
                    .map_err(RegionError::from),
            );
            assert!(region.try_read().is_none() && region.try_write().is_none());
            region.write_part_timeout(..1, LONG).unwrap().fill(4);
            job.scratch.raise(FIRST);
        }
        // What others want now would come before that.
        job.scratch.wait_for(FIRST);
        job.scratch.word(CHECKED).fetch_add(1, SeqCst);
    }
    drop(region.write_part_timeout(.., LONG).unwrap());
    job.world.barrier();
    let items = region.read_timeout(LONG).unwrap();
    assert_eq!(items.column(0).to_vec(), [4, 3, 3, 0]);
    drop(items);
    job.world.barrier();
}
