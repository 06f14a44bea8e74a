//! Latches: ranks wait until others have counted down, and errors name the missing ranks.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use mpi::topology::Color;
use mpi::traits::*;
use mpisync::sync::LatchError;
use mpisync::{CreateError, Latch, LockError, Transport};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    latch_holds_until_zero,
    latch_names_missing_ranks,
    latch_refuses_too_much,
    latch_is_opened_by_one_rank,
    latch_orders_what_was_done,
    latch_wakes_ranks_that_sleep,
    latch_counts_are_compared,
    latch_on_parts,
    latches_come_and_go,
    latch_shows_its_state,
    latch_through_windows,
);

fn latch_holds_until_zero(job: &Job) {
    for root in 0..job.size {
        let count = 10 * job.size as u64;
        let builder = Latch::builder(&job.world, count).root(root).name("input");
        let latch = builder.build().unwrap();
        assert_eq!((latch.rank(), latch.size()), (job.rank, job.size));
        assert_eq!((latch.root(), latch.name()), (root, "input"));
        let word = job.scratch.word(root as usize);
        for part in [1, 2, 3, 4] {
            assert!(!latch.is_open());
            word.fetch_add(part, SeqCst);
            latch.count_down(part).unwrap();
        }
        latch.wait();
        assert_eq!(word.load(SeqCst), count);
        // It stays open.
        latch.wait_timeout(Duration::ZERO).unwrap();
        assert!(latch.is_open() && latch.remaining() == 0);
        latch.close().unwrap();
    }
}

fn latch_names_missing_ranks(job: &Job) {
    for late in 0..job.size.min(3) {
        let latch = Latch::new(&job.world, job.size as u64).unwrap();
        let given_up = job.scratch.word(late as usize);
        let others = job.size as u64 - 1;
        if job.rank == late {
            until("the others to give up", || given_up.load(SeqCst) == others);
            latch.count_down(1).unwrap();
        } else {
            latch.count_down(1).unwrap();
            let limit = Duration::from_millis(60);
            // Some of the others may count down after the first one has given up.
            until("the late one alone", || {
                let start = Instant::now();
                match latch.wait_timeout(limit) {
                    Err(LatchError::Missing {
                        waited,
                        remaining,
                        missing,
                        ..
                    }) => {
                        assert!(waited == limit && start.elapsed() >= limit);
                        assert!(remaining >= 1 && missing.contains(&late));
                        missing == [late] && remaining == 1
                    }
                    other => panic!("{other:?}"),
                }
            });
            given_up.fetch_add(1, SeqCst);
        }
        latch.wait_timeout(Duration::MAX).unwrap();
    }
}

/// Ranks that count down by more than the remaining count change nothing.
fn latch_refuses_too_much(job: &Job) {
    let latch = Latch::new(&job.world, 100).unwrap();
    let counted = job.scratch.word(0);
    let error = loop {
        match latch.count_down(3) {
            Ok(()) => drop(counted.fetch_add(3, SeqCst)),
            Err(error) => break error,
        }
    };
    let (asked, remaining) = (3, 1);
    assert_eq!(error, LatchError::TooMany { asked, remaining });
    until("all that can be counted", || counted.load(SeqCst) == 99);
    assert_eq!((latch.remaining(), latch.is_open()), (1, false));
    job.scratch.meet(1, job.size);
    if job.rank == 0 {
        latch.count_down(1).unwrap();
    }
    latch.wait_timeout(Duration::from_secs(20)).unwrap();
    let error = latch.count_down(u64::MAX).unwrap_err();
    let (asked, remaining) = (u64::MAX, 0);
    assert_eq!(error, LatchError::TooMany { asked, remaining });
}

/// Each rank in turn opens a latch, and the others wait and never count down.
fn latch_is_opened_by_one_rank(job: &Job) {
    for opener in 0..job.size {
        let latch = Latch::new(&job.world, u64::MAX).unwrap();
        if job.rank == opener {
            if job.size == 1 {
                let alone = latch.wait_timeout(Duration::MAX).unwrap_err();
                assert_eq!(alone, LatchError::Lock(LockError::Alone));
            }
            latch.count_down(u64::MAX - 1).unwrap();
            thread::sleep(Duration::from_millis(3));
            latch.count_down(1).unwrap();
        }
        latch.wait();
    }
}

/// Changes before counting down are visible after the wait.
fn latch_orders_what_was_done(job: &Job) {
    for round in 1..=50u64 {
        let latch = Latch::new(&job.world, job.size as u64).unwrap();
        job.scratch.word(job.rank as usize).store(round, Relaxed);
        latch.count_down(1).unwrap();
        latch.wait();
        for rank in 0..job.size {
            assert!(job.scratch.word(rank as usize).load(Relaxed) >= round);
        }
    }
}

/// The rank that opens it arrives long after the others have gone to sleep; a rank that gave up
/// waits again.
fn latch_wakes_ranks_that_sleep(job: &Job) {
    for opener in [0, job.size - 1] {
        let latch = Latch::new(&job.world, 1).unwrap();
        if job.rank == opener {
            thread::sleep(Duration::from_millis(60));
            latch.count_down(1).unwrap();
        } else if job.rank % 2 == 0 {
            while latch.wait_timeout(Duration::from_millis(5)).is_err() {}
        }
        let start = Instant::now();
        latch.wait();
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

fn latch_counts_are_compared(job: &Job) {
    if job.size == 1 {
        return;
    }
    let count = if job.rank == 0 { 5 } else { 6 };
    match Latch::new(&job.world, count).unwrap_err() {
        CreateError::ArgumentsDiffer {
            argument,
            rank_0,
            here,
            ..
        } => {
            assert_eq!(
                (argument, &*rank_0, &*here, job.rank > 0),
                ("count", "5", "6", true)
            );
        }
        CreateError::OtherRank { rank: 1, found } => {
            assert!(job.rank == 0 && found.contains("count"), "{found}");
        }
        error => panic!("{error}"),
    }
    assert!(Latch::new(&job.world, 0).unwrap().is_open());
}

fn latch_on_parts(job: &Job) {
    let half = Color::with_value(job.rank % 2);
    let comm = job.world.split_by_color(half).unwrap();
    let latch = Latch::builder(&comm, comm.size() as u64).build().unwrap();
    let come = job.scratch.word(job.rank as usize % 2);
    come.fetch_add(1, SeqCst);
    latch.count_down(1).unwrap();
    latch.wait();
    assert_eq!(come.load(SeqCst), comm.size() as u64);
}

fn latches_come_and_go(job: &Job) {
    for round in 0..50 {
        let latch = Latch::new(&job.world, job.size as u64).unwrap();
        latch.count_down(1).unwrap();
        match round % 3 {
            0 => latch.wait(),
            1 => drop(latch),
            _ => latch.close().unwrap(),
        }
    }
}

fn latch_shows_its_state(job: &Job) {
    let builder = Latch::builder(&job.world, 7).name("loaded");
    let latch = builder.build().unwrap();
    let shown = format!("{latch:?}");
    assert!(shown.starts_with("Latch") && shown.contains("loaded"));
    if job.rank == 0 {
        assert!(shown.contains("remaining: 7, missing: [0"), "{shown}");
    }
}

fn latch_through_windows(job: &Job) {
    let comm = job.world.duplicate();
    let builder = Latch::builder(&comm, job.size as u64).transport(Transport::Windows);
    let latch = match builder.build() {
        Ok(latch) => latch,
        Err(CreateError::NoWindows { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    latch.count_down(1).unwrap();
    latch.wait();
}
