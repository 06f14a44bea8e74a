//! Parts of a region, held by ranks that are threads.

use super::*;
use ndarray::{Ix1, Ix2, s};
use std::mem::forget;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

/// Runs `work` on ranks that share a region of two columns.
fn run<T: Send>(ranks: usize, rows: usize, work: impl Fn(Region<u64, Ix2>) -> T + Sync) -> Vec<T> {
    let extent = || Extent::<Ix2>::new::<u64>([rows, 2]).expect("a shape");
    let memory = Arc::new(Mapping::private(extent().bytes::<u64>()));
    let threads = WindowController::threads(ranks).expect("threads");
    threads.run(|ctrl| work(Region::with(ctrl, extent(), Some(Arc::clone(&memory)))))
}

/// A generator of numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn of(rank: i32) -> Self {
        Numbers(0x9e37_79b9_7f4a_7c15 ^ (rank as u64 + 1) << 32)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

#[test]
fn disjoint_parts_are_held_at_the_same_time() {
    let all_hold = Barrier::new(4);
    run(4, 8, |mut region| {
        let first = 2 * region.rank() as usize;
        for round in 1..=200 {
            let mut part = region
                .write_part_timeout(first..first + 2, LONG)
                .expect("free");
            part.fill(round);
            all_hold.wait();
            assert!(part.iter().all(|item| *item == round));
            drop(part);
            // The next group may begin before this one has ended on all ranks.
            all_hold.wait();
        }
        assert_eq!(region.read().sum(), 8 * 2 * 200);
    });
}

/// Both columns of a row are counted up with a pause between, by parts at random and by writers of
/// the whole. A reader or writer that overlaps another one would see them differ.
#[test]
fn what_overlaps_excludes_each_other() {
    const ROWS: usize = 12;
    const ROUNDS: u64 = 1500;
    let expected: Vec<AtomicU64> = (0..ROWS).map(|_| AtomicU64::new(0)).collect();
    let sums = run(5, ROWS, |mut region| {
        let mut numbers = Numbers::of(region.rank());
        for _ in 0..ROUNDS {
            let start = numbers.below(ROWS as u64) as usize;
            let end = start + 1 + numbers.below((ROWS - start) as u64) as usize;
            let kind = numbers.below(8);
            match kind {
                0 => {
                    let items = region.read();
                    assert!(items.rows().into_iter().all(|row| row[0] == row[1]));
                }
                1 => {
                    let mut items = region.write();
                    count_up(&mut items.view_mut(), 0, &expected);
                }
                2 => {
                    if let Some(mut part) = region.try_write_part(start..end) {
                        count_up(&mut part.view_mut(), start, &expected);
                    }
                }
                3 => {
                    let limit = Duration::from_micros(numbers.below(200));
                    if let Ok(mut part) = region.write_part_timeout(start..end, limit) {
                        count_up(&mut part.view_mut(), start, &expected);
                    }
                }
                _ => {
                    let mut part = region.write_part(start..end);
                    count_up(&mut part.view_mut(), start, &expected);
                }
            }
        }
        region.read().column(0).to_vec()
    });
    let expected: Vec<u64> = expected.iter().map(|count| count.load(SeqCst)).collect();
    assert!(expected.iter().all(|&count| count > 0));
    assert!(
        sums.contains(&expected),
        "the last rank to end has seen all"
    );
}

fn count_up(rows: &mut ndarray::ArrayViewMut<'_, u64, Ix2>, first: usize, counts: &[AtomicU64]) {
    for (index, mut row) in rows.rows_mut().into_iter().enumerate() {
        assert_eq!(row[0], row[1], "half of a change");
        row[0] += 1;
        if index % 4 == 0 {
            thread::yield_now();
        }
        row[1] += 1;
        counts[first + index].fetch_add(1, SeqCst);
    }
}

/// Three ranks take parts all the time, and a fourth one writes and reads the whole.
#[test]
fn a_writer_of_the_whole_gets_its_turn() {
    const TIMES: u64 = 30;
    let is_over = AtomicBool::new(false);
    let parts = AtomicU64::new(0);
    run(4, 4, |mut region| {
        let rank = region.rank() as usize;
        if rank == 0 {
            let mut turns = 0;
            while turns < TIMES || parts.load(SeqCst) < TIMES {
                region.write_timeout(LONG).expect("its turn").fill(7);
                drop(region.read_timeout(LONG).expect("its turn"));
                turns += 1;
            }
            is_over.store(true, SeqCst);
        }
        while !is_over.load(SeqCst) {
            let mut part = region.write_part(rank..rank + 1);
            part.fill(5);
            thread::sleep(Duration::from_micros(300));
            assert!(part.iter().all(|item| *item == 5));
            parts.fetch_add(1, SeqCst);
        }
    });
}

#[test]
fn waits_end_in_time_and_leave_nothing_behind() {
    let (holds, checked) = (Barrier::new(3), Barrier::new(3));
    run(3, 4, |mut region| match region.rank() {
        0 => {
            let part = region.write_part(1..3);
            holds.wait();
            checked.wait();
            drop(part);
            checked.wait();
        }
        rank => {
            holds.wait();
            if rank == 1 {
                let start = Instant::now();
                let error = region.write_part_timeout(2..4, SHORT).map(drop);
                let Err(RegionError::Lock(LockError::Timeout { report, .. })) = error else {
                    panic!("{error:?}");
                };
                assert!(start.elapsed() >= SHORT);
                assert!(report.to_string().contains("rank 0"), "{report}");
                assert!(region.try_write_part(..).is_none());
                assert!(region.try_write_part(..1).is_some());
                assert!(region.read_timeout(SHORT).is_err());
                assert!(region.try_read().is_none());
                assert!(region.write_timeout(SHORT).is_err());
                assert!(region.try_write().is_none());
                assert!(format!("{region:?}").contains("parts: [0]"), "{region:?}");
                drop(region.write_part_timeout(3.., LONG).expect("disjoint"));
            }
            checked.wait();
            checked.wait();
            drop(region.write_timeout(LONG).expect("free again"));
        }
    });
}

#[test]
fn a_leaked_part_is_given_back() {
    let (leaked, given_back) = (Barrier::new(2), Barrier::new(2));
    run(2, 4, |mut region| {
        for round in 0..3 {
            if region.rank() == 0 {
                forget(region.write_part(1..3));
                leaked.wait();
                given_back.wait();
                match round {
                    0 => assert_eq!(region.read().sum(), 0),
                    1 => assert!(region.try_read().is_some()),
                    _ => assert!(region.try_write_part(0..2).is_some()),
                }
                leaked.wait();
                given_back.wait();
            } else {
                leaked.wait();
                assert!(region.try_write_part(2..4).is_none(), "round {round}");
                given_back.wait();
                leaked.wait();
                assert!(region.try_write_part(2..4).is_some(), "round {round}");
                given_back.wait();
            }
        }
        if region.rank() == 0 {
            forget(region.write_part(..));
            drop(region);
        } else {
            drop(region.write_timeout(LONG).expect("the region was dropped"));
        }
    });
}

#[test]
fn a_rank_alone_takes_parts() {
    let mut region = Region::<u8, Ix1>::local(10).expect("room");
    for start in 0..10 {
        region.write_part(start..=start)[0] = start as u8;
    }
    let mut part = region.write_part(4..8);
    assert_eq!((part.range(), part.len()), (4..8, 4));
    part.slice_mut(s![1..3]).fill(9);
    drop(part);
    let items = region.read();
    assert_eq!(items.as_slice(), Some(&[0, 1, 2, 3, 4, 9, 9, 7, 8, 9][..]));
}
