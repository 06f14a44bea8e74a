//! A latch under threads in the place of ranks of one node, and its errors.

use crate::error::WaitReport;
use crate::shm::absence::Absence;
use crate::shm::block::{Block, ObjectName};
use crate::shm::domain::Domain;
use crate::shm::mapping::Mapping;
use crate::shm::topology::Topology;
use crate::shm::wait::{Deadline, Stop};
use crate::sync::latch::node::{LatchLayout, LatchState};
use crate::sync::{Latch, LatchError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const RANKS: usize = 4;

/// A latch of four ranks with this count.
fn latch(count: u64) -> (Arc<Domain>, LatchState) {
    let topology = Topology::one_node(0, RANKS);
    let layout = LatchLayout { root: 0, count };
    let length = Block::length(&layout, &topology);
    let domain = Domain::imagined(topology);
    let segment = domain.segment();
    let extent = segment.allocate(length).unwrap_or_else(|room| {
        segment.add_chunk(Mapping::private(room));
        segment.begin_chunk(length)
    });
    let (chunk, start) = (segment.chunk(extent.chunk), extent.offset as usize);
    Block::prepare(&layout, domain.topology(), &chunk, start);
    let name = ObjectName {
        kind: "latch",
        name: "latch".into(),
    };
    let block = Block::new(Arc::clone(&domain), extent, None, name);
    (domain, LatchState::new(&block))
}

fn soon() -> Deadline<'static> {
    Deadline::after(Duration::from_millis(5))
}

/// A deadline that leaves time to inspect the other ranks, even on a slow machine.
fn later() -> Deadline<'static> {
    Deadline::after(Duration::from_secs(20))
}

#[test]
fn ranks_see_what_was_done_before_others_counted_down() {
    for _ in 0..200 {
        let (_domain, latch) = latch(RANKS as u64);
        let done = AtomicU64::new(0);
        thread::scope(|scope| {
            for rank in 0..RANKS as u32 {
                let (latch, done) = (&latch, &done);
                scope.spawn(move || {
                    done.fetch_add(1, Ordering::Relaxed);
                    latch.count_down(rank, 1).expect("four remain");
                    latch.wait(rank, Deadline::NEVER).expect("nobody dies");
                    assert_eq!(done.load(Ordering::Relaxed), RANKS as u64);
                });
            }
        });
        assert_eq!(latch.missing(), (0, vec![]));
    }
}

/// Threads that try to count down by more than the count together count down exactly to zero.
#[test]
fn nobody_counts_below_zero() {
    let (_domain, latch) = latch(1000);
    let counted = AtomicU64::new(0);
    thread::scope(|scope| {
        for rank in 0..RANKS as u32 {
            let (latch, counted) = (&latch, &counted);
            scope.spawn(move || {
                for count in (1..=3).cycle() {
                    match latch.count_down(rank, count) {
                        Ok(()) => drop(counted.fetch_add(count, Ordering::Relaxed)),
                        Err(0) => break,
                        Err(remaining) => assert!(remaining < count),
                    }
                }
            });
        }
    });
    assert_eq!(counted.into_inner(), 1000);
}

#[test]
fn a_rank_that_died_first_is_missing() {
    let (domain, latch) = latch(RANKS as u64);
    domain.reclaim(3);
    latch.count_down(0, 1).expect("four remain");
    // Ranks 1 and 2 may count down, but not in place of rank 3.
    assert_eq!(latch.wait(0, later()), Err(Stop::Absent(3, Absence::Died)));
    assert_eq!(latch.missing(), (3, vec![1, 2, 3]));
}

#[test]
fn the_others_may_be_enough() {
    let (domain, latch) = latch(RANKS as u64 - 1);
    domain.reclaim(3);
    latch.count_down(0, 1).expect("three remain");
    assert_eq!(latch.wait(0, soon()), Err(Stop::Timeout));
    latch.set_waits(2, true);
    // Rank 2 waits, so it is not expected to count down.
    assert_eq!(latch.wait(0, later()), Err(Stop::Absent(3, Absence::Died)));
    latch.set_waits(2, false);
    latch.count_down(1, 1).expect("two remain");
    latch.count_down(2, 1).expect("one remains");
    assert_eq!(latch.wait(0, soon()), Ok(()));
}

/// A rank that has counted down may do so again, unless it waits.
#[test]
fn a_rank_that_died_after_it_counted_down_is_lost_when_all_others_wait() {
    let (domain, latch) = latch(RANKS as u64 + 1);
    for rank in 0..RANKS as u32 {
        latch.count_down(rank, 1).expect("five remain");
    }
    domain.reclaim(3);
    assert_eq!(latch.wait(0, soon()), Err(Stop::Timeout));
    latch.set_waits(1, true);
    latch.set_waits(2, true);
    assert_eq!(
        latch.wait(0, Deadline::NEVER),
        Err(Stop::Absent(3, Absence::Died))
    );
    latch.count_down(1, 1).expect("one remains");
    assert_eq!(latch.wait(0, Deadline::NEVER), Ok(()));
}

#[test]
fn one_process_has_all_of_the_interface() {
    let latch = Latch::local(3);
    assert_eq!((latch.rank(), latch.size(), latch.root()), (0, 1, 0));
    let limit = Duration::from_millis(3);
    let missing = |remaining, missing| LatchError::Missing {
        waited: limit,
        remaining,
        missing,
        report: WaitReport::default(),
    };
    assert_eq!(latch.wait_timeout(limit), Err(missing(3, vec![0])));
    latch.count_down(0).expect("that is nothing");
    assert_eq!(latch.wait_timeout(limit), Err(missing(3, vec![0])));
    latch.count_down(2).expect("three remain");
    assert_eq!(latch.wait_timeout(limit), Err(missing(1, vec![])));
    let (asked, remaining) = (2, 1);
    let error = latch.count_down(asked).expect_err("one remains");
    assert_eq!(error, LatchError::TooMany { asked, remaining });
    assert_eq!((latch.remaining(), latch.is_open()), (1, false));
    let shown = format!("{latch:?}");
    assert!(shown.contains("remaining: 1, missing: []"), "{shown}");
    // No other rank could open it.
    let alone = latch.wait_timeout(Duration::MAX);
    assert!(matches!(alone, Err(LatchError::Lock(_))), "{alone:?}");
    latch.count_down(1).expect("one remains");
    latch.wait();
    assert!(latch.is_open());
    let error = latch.count_down(u64::MAX).expect_err("nothing remains");
    assert!(error.to_string().contains("because 0 remain"), "{error}");
    assert!(Latch::local(0).is_open());
    latch.close().expect("nobody to wait for");
}
