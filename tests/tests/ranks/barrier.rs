//! Barriers: no rank leaves before all have arrived, and errors name the missing ranks.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::{Duration, Instant};

use mpi::topology::Color;
use mpi::traits::*;
use mpisync::sync::BarrierError;
use mpisync::{Barrier, CreateError, Transport, Turn, WaitReport};
use mpisync_tests::job::Job;
use mpisync_tests::scratch::until;

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    barrier_holds_all,
    barrier_names_who_is_missing,
    barrier_goes_on_after_a_timeout,
    barrier_tries,
    barrier_orders_what_was_done,
    barriers_beside_each_other,
    barriers_come_and_go,
    barrier_on_parts,
    barrier_shows_its_state,
    barrier_through_windows,
);

fn barrier_holds_all(job: &Job) {
    let barrier = Barrier::new(&job.world).unwrap();
    assert_eq!((barrier.rank(), barrier.size()), (job.rank, job.size));
    let come = job.scratch.word(0);
    for round in 1..=200 {
        come.fetch_add(1, SeqCst);
        barrier.wait();
        let all = come.load(SeqCst);
        let least = round * job.size as u64;
        assert!(all >= least && all < least + job.size as u64, "{all}");
    }
    barrier.close().unwrap();
}

fn barrier_names_who_is_missing(job: &Job) {
    let barrier = Barrier::new(&job.world).unwrap();
    for late in 0..job.size.min(3) {
        let given_up = job.scratch.word(late as usize);
        let others = job.size as u64 - 1;
        if job.rank == late {
            until("the others to give up", || given_up.load(SeqCst) == others);
        } else {
            let limit = Duration::from_millis(60);
            // Some ranks may arrive after the first one has given up.
            until("the late one alone", || {
                let start = Instant::now();
                match barrier.wait_timeout(limit) {
                    Err(BarrierError::Missing {
                        waited,
                        missing,
                        silent,
                        ..
                    }) => {
                        assert_eq!((waited, silent), (limit, vec![]));
                        assert!(start.elapsed() >= limit && missing.contains(&late));
                        missing == [late]
                    }
                    other => panic!("{other:?}"),
                }
            });
            given_up.fetch_add(1, SeqCst);
        }
        barrier.wait();
    }
}

fn barrier_goes_on_after_a_timeout(job: &Job) {
    let barrier = Barrier::new(&job.world).unwrap();
    let come = job.scratch.word(0);
    for round in 1..=20u64 {
        if (round + job.rank as u64).is_multiple_of(3) {
            thread::sleep(Duration::from_millis(3));
        }
        come.fetch_add(1, SeqCst);
        // A rank that gives up has arrived, and is not counted twice.
        while let Err(error) = barrier.wait_timeout(Duration::from_micros(200)) {
            assert!(matches!(error, BarrierError::Missing { .. }), "{error}");
        }
        assert!(come.load(SeqCst) >= round * job.size as u64);
    }
    let error = BarrierError::Missing {
        waited: Duration::from_secs(1),
        missing: vec![3, 5],
        silent: vec![],
        report: WaitReport::default(),
    };
    assert!(
        error
            .to_string()
            .ends_with("the ranks [3, 5] have not come")
    );
}

fn barrier_tries(job: &Job) {
    let barrier = Barrier::new(&job.world).unwrap();
    let come = job.scratch.word(0);
    for round in 1..=10u64 {
        come.fetch_add(1, SeqCst);
        until("all", || barrier.try_wait());
        assert!(come.load(SeqCst) >= round * job.size as u64);
    }
    barrier.wait();
    if job.size > 1 && job.rank == 0 {
        assert!(!barrier.try_wait());
        job.scratch.word(1).store(1, SeqCst);
    } else {
        until("rank 0", || {
            job.size == 1 || job.scratch.word(1).load(SeqCst) == 1
        });
    }
    barrier.wait_timeout(Duration::MAX).unwrap();
}

/// Changes before the barrier are visible after it.
fn barrier_orders_what_was_done(job: &Job) {
    let barrier = Barrier::new(&job.world).unwrap();
    for round in 1..100u64 {
        let mine = job.scratch.word(job.rank as usize);
        mine.store(round, std::sync::atomic::Ordering::Relaxed);
        barrier.wait();
        for rank in 0..job.size {
            let word = job.scratch.word(rank as usize);
            assert_eq!(word.load(std::sync::atomic::Ordering::Relaxed), round);
        }
        barrier.wait();
    }
}

fn barriers_beside_each_other(job: &Job) {
    let barriers: Vec<Barrier> = (0..20).map(|_| Barrier::new(&job.world).unwrap()).collect();
    let mut turn = Turn::new(&job.world).unwrap();
    let come = job.scratch.word(0);
    for round in 1..=5u64 {
        for (number, barrier) in barriers.iter().enumerate() {
            come.fetch_add(1, SeqCst);
            barrier.wait();
            let before = (round - 1) * 20 + number as u64 + 1;
            assert!(come.load(SeqCst) >= before * job.size as u64);
        }
        turn.each(|rank| assert_eq!(rank, job.rank));
    }
}

fn barriers_come_and_go(job: &Job) {
    for round in 0..50 {
        let barrier = Barrier::new(&job.world).unwrap();
        barrier.wait();
        if round % 3 == 0 {
            barrier.close().unwrap();
        }
    }
}

fn barrier_on_parts(job: &Job) {
    let half = Color::with_value(job.rank % 2);
    let comm = job.world.split_by_color(half).unwrap();
    let barrier = Barrier::builder(&comm).name("half").build().unwrap();
    let come = job.scratch.word(job.rank as usize % 2);
    for round in 1..=30 {
        come.fetch_add(1, SeqCst);
        barrier.wait();
        assert!(come.load(SeqCst) >= round * comm.size() as u64);
    }
}

fn barrier_shows_its_state(job: &Job) {
    let barrier = Barrier::builder(&job.world).name("end").build().unwrap();
    barrier.wait();
    let shown = format!("{barrier:?}");
    assert!(
        shown.contains("end") && shown.contains("complete: "),
        "{shown}"
    );
}

fn barrier_through_windows(job: &Job) {
    let comm = job.world.duplicate();
    let builder = Barrier::builder(&comm).transport(Transport::Windows);
    let barrier = match builder.build() {
        Ok(barrier) => barrier,
        Err(CreateError::NoWindows { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let come = job.scratch.word(0);
    for round in 1..=30 {
        come.fetch_add(1, SeqCst);
        barrier.wait();
        assert!(come.load(SeqCst) >= round * job.size as u64);
    }
}
