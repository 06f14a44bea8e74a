//! Random operations for a given time: locks in all their forms, fences, values of all sizes,
//! timeouts, regions that no rank may see half written, new controllers and regions.

use std::fs;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use mpi::collective::SystemOperation;
use mpi::traits::*;
use mpisync::ndarray::Ix1;
use mpisync::{Region, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::rng::Rng;

use crate::common::shared;
use crate::guarded::{Guarded, operation};

mpisync_tests::cases!(on [1, 2, 3, 4]:
    soak,
);

/// The duration, unless a file `seconds` in the job's directory sets another one.
const SECONDS: u64 = 3;
/// Growth of a rank's memory in bytes that is no leak: allocators and MPI keep memory for later, a
/// few times the largest allocation.
const HARMLESS: u64 = 16 << 20;
/// The position of the word of the writes, behind the guarded words.
const WRITTEN: usize = 50;

/// One round, which all ranks begin together. Returns the number of this rank's operations.
fn round(job: &Job, ctrl: &mut WindowController, round: u64) -> u64 {
    const OPERATIONS: u64 = 200;
    let guarded = Guarded {
        scratch: &job.scratch,
        first: 0,
    };
    let mut rng = Rng::new(round * 1_000 + job.rank as u64);
    let written: u64 = (0..OPERATIONS)
        .map(|_| operation(ctrl, &guarded, &mut rng))
        .sum();
    job.scratch.word(WRITTEN).fetch_add(written, SeqCst);
    // From here on all ranks make the same decisions.
    let mut rng = Rng::new(round);
    for _ in 0..5 {
        let writer = rng.below(job.size as u64) as i32;
        let length = match rng.below(10) {
            0 => rng.below(100_000),
            1..4 => rng.below(2_000),
            _ => rng.below(50),
        };
        let right: Vec<u64> = (0..length).map(|index| index ^ round).collect();
        let mine = if writer == ctrl.rank() {
            right.clone()
        } else {
            Vec::new()
        };
        assert!(shared(ctrl, writer, mine) == right, "a wrong value");
    }
    let mut all = 0_u64;
    job.world
        .all_reduce_into(&written, &mut all, SystemOperation::sum());
    assert!(all > 0, "nobody wrote in round {round}");
    assert_eq!(
        guarded.count(),
        job.scratch.word(WRITTEN).load(SeqCst),
        "writes were lost in round {round}"
    );
    // The ranks check the counts, and no rank continues before all have.
    job.world.barrier();
    OPERATIONS + 5
}

/// The number of items of the region: on several nodes they are sent in pieces, and a part of them
/// in one message.
const ITEMS: usize = 60_000;

/// Writers stamp all items or some, and readers check all; then one rank after the other sets some.
fn region_round(job: &Job, region: &mut Region<u64, Ix1>, round: u64) -> u64 {
    const OPERATIONS: u64 = 30;
    let mut rng = Rng::new(round * 1_000 + 500 + job.rank as u64);
    for _ in 0..OPERATIONS {
        match rng.below(8) {
            0 => {
                let mut items = region.write();
                let stamp = items[0] + 1;
                items.fill(stamp);
            }
            1 => {
                // Some items at both ends, which have to change together.
                let mut items = region.write();
                items[ITEMS - 1] += 1;
                items[0] += 1;
            }
            2 => {
                if let Ok(items) = region.read_timeout(Duration::from_micros(rng.below(300))) {
                    assert_eq!(items[0], items[ITEMS - 1], "a torn region");
                }
            }
            _ => {
                let items = region.read();
                let inner = items[1];
                assert_eq!(items[0], items[ITEMS - 1], "a torn region");
                let inside = &items.as_slice().expect("in order")[1..ITEMS - 1];
                assert!(inside.iter().all(|item| *item == inner), "a torn region");
            }
        }
    }
    // From here on all ranks make the same decisions.
    let mut rng = Rng::new(round);
    let root = rng.below(job.size as u64) as i32;
    let length = rng.below(ITEMS as u64) as usize;
    let data = (job.rank == root).then(|| vec![round; length]);
    region.set(root, data.as_ref(), [ITEMS - length]).unwrap();
    let seen = region
        .read()
        .iter()
        .rev()
        .take_while(|item| **item == round)
        .count();
    assert!(seen >= length, "a part of what was set in round {round}");
    job.world.barrier();
    region.update(|items| items.fill(round)).unwrap();
    OPERATIONS + 2
}

fn soak(job: &Job) {
    let seconds = fs::read_to_string(job.file("seconds")).ok();
    let seconds = seconds.and_then(|text| text.trim().parse().ok());
    let span = Duration::from_secs(seconds.unwrap_or(SECONDS));
    let start = Instant::now();
    let (mut operations, mut rounds) = (0, 0);
    let mut settled = None;
    let mut told = start;
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let mut region = Region::new(&job.world, ITEMS).unwrap();
    loop {
        // One clock decides for all.
        let mut passed = start.elapsed().as_secs_f64() / span.as_secs_f64();
        job.world.process_at_rank(0).broadcast_into(&mut passed);
        if passed >= 1.0 {
            break;
        }
        if passed > 0.2 && settled.is_none() {
            settled = Some(memory());
        }
        operations += round(job, &mut ctrl, rounds);
        operations += region_round(job, &mut region, rounds);
        rounds += 1;
        if rounds.is_multiple_of(50) {
            ctrl.close().unwrap();
            ctrl = mpisync::sync(&job.world).unwrap();
            region.close().unwrap();
            region = Region::new(&job.world, ITEMS).unwrap();
        }
        if job.rank == 0 && told.elapsed() > Duration::from_secs(60) {
            told = Instant::now();
            println!(
                "{:.0} s, {rounds} rounds, {operations} operations of rank 0, {} KiB",
                start.elapsed().as_secs_f64(),
                memory() / 1024
            );
        }
    }
    assert!(rounds > 0, "too short a time for one round");
    let before = settled.unwrap_or_else(memory);
    let growth = memory().saturating_sub(before);
    let mut worst = 0;
    job.world
        .all_reduce_into(&growth, &mut worst, SystemOperation::max());
    if job.rank == 0 {
        println!(
            "soak: {rounds} rounds, {operations} operations of rank 0, {} KiB more memory on the worst rank",
            worst / 1024
        );
    }
    assert!(
        worst < HARMLESS,
        "{worst} bytes more memory after {rounds} rounds"
    );
}

/// The memory of this process in bytes.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    1024 * kib
        .and_then(|kib| kib.parse::<u64>().ok())
        .expect("a number of KiB")
}
