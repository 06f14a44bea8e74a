//! Writers exclude all others, readers are together, and a writer sees the changes of the previous
//! one.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use mpisync::WindowController;
use mpisync_tests::job::Job;
use mpisync_tests::rng::Rng;
use mpisync_tests::scratch::until;

use crate::guarded::{GUARDED, Guarded, operation};

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    plain_counter,
    readers_are_together,
    try_says_no,
    timeouts_end,
    mixed_operations,
    interleaved_controllers,
);

/// An increment that is not atomic is exact if writers exclude each other.
fn plain_counter(job: &Job) {
    let rounds = job.rounds(20_000);
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let guarded = Guarded {
        scratch: &job.scratch,
        first: 0,
    };
    for _ in 0..rounds {
        let _guard = ctrl.write();
        guarded.write();
    }
    job.scratch.meet(100, job.size);
    assert_eq!(
        guarded.count(),
        rounds * job.size as u64,
        "writes were lost"
    );
}

/// Every rank holds the read lock until all hold it: a reader that excludes another would hang
/// here.
fn readers_are_together(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..50 {
        let [together, done] = [2 * round, 2 * round + 1];
        {
            let _guard = ctrl.read();
            job.scratch.meet(together, job.size);
        }
        // A writer in between, so that each round starts from a closed gate.
        drop(ctrl.write());
        job.scratch.meet(done, job.size);
    }
}

/// `try_*` and timeouts fail while another rank holds the lock, and succeed afterwards.
fn try_says_no(job: &Job) {
    const HELD: usize = 0;
    const TRIED: usize = 1;
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for holder in 0..job.size {
        let base = 10 * (1 + holder as usize);
        if job.rank == holder {
            let guard = ctrl.write();
            job.scratch.raise(base + HELD);
            let others = job.size as u64 - 1;
            until("the others to have tried", || {
                job.scratch.word(base + TRIED).load(SeqCst) == others
            });
            drop(guard);
        } else {
            job.scratch.wait_for(base + HELD);
            assert!(ctrl.try_read().is_none(), "read beside a writer");
            assert!(ctrl.try_write().is_none(), "two writers");
            assert!(
                ctrl.read_timeout(Duration::ZERO).is_err(),
                "read beside a writer"
            );
            assert!(
                ctrl.write_timeout(Duration::from_millis(2)).is_err(),
                "two writers"
            );
            job.scratch.word(base + TRIED).fetch_add(1, SeqCst);
        }
        job.scratch.meet(base + 2, job.size);
        drop(until_some(|| ctrl.try_read()));
        job.scratch.meet(base + 3, job.size);
        if job.rank == holder {
            let guard = ctrl.read();
            job.scratch.raise(base + 4);
            job.scratch.meet(base + 5, job.size);
            drop(guard);
        } else {
            job.scratch.wait_for(base + 4);
            assert!(ctrl.try_write().is_none(), "a writer beside a reader");
            assert!(
                ctrl.write_timeout(Duration::from_millis(2)).is_err(),
                "a writer beside a reader"
            );
            job.scratch.meet(base + 5, job.size);
        }
        job.scratch.meet(base + 6, job.size);
        if job.rank == holder {
            // No rank holds or requests the lock now, although some gave up before.
            is_free(ctrl.nodes(), "a writer", || ctrl.try_write().is_some());
            is_free(ctrl.nodes(), "a reader", || ctrl.try_read().is_some());
        }
        job.scratch.meet(base + 7, job.size);
    }
}

/// Checks that an attempt succeeds. Over several nodes the request of a node whose writer gave up
/// may still be on its way.
fn is_free(nodes: i32, what: &str, mut attempt: impl FnMut() -> bool) {
    if nodes == 1 {
        assert!(attempt(), "the lock is free for {what}");
    }
    until("the lock to be free", attempt);
}

fn until_some<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    until("a try to succeed", || {
        found = attempt();
        found.is_some()
    });
    found.expect("it was just found")
}

/// A writer that gives up lets the readers that it stopped continue, and its place in the queue
/// passes to the next one.
fn timeouts_end(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..20 {
        let base = 8 * round;
        let holder = (round as i32) % job.size;
        if job.rank == holder {
            let guard = ctrl.read();
            job.scratch.raise(base);
            // All others give up writing, and then read beside this reader.
            job.scratch.meet(base + 1, job.size);
            drop(guard);
        } else {
            job.scratch.wait_for(base);
            let gave_up = ctrl.write_timeout(Duration::from_micros(100 * (job.rank as u64 + 1)));
            assert!(gave_up.is_err(), "a writer beside a reader");
            drop(gave_up);
            // Another writer may still be waiting, but none waits forever.
            let guard = ctrl.read();
            job.scratch.meet(base + 1, job.size);
            drop(guard);
        }
        drop(ctrl.write());
        job.scratch.meet(base + 2, job.size);
    }
}

/// 100,000 random operations per rank, or 5,000 if writers use a network: all ways to take the
/// lock, nested in all ways that the types allow.
fn mixed_operations(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let guarded = Guarded {
        scratch: &job.scratch,
        first: 0,
    };
    let mut rng = Rng::new(job.rank as u64);
    let mut written = 0;
    let rounds = if ctrl.nodes() == 1 { 100_000 } else { 5_000 };
    for _ in 0..rounds {
        written += operation(&mut ctrl, &guarded, &mut rng);
    }
    job.scratch.word(50).fetch_add(written, SeqCst);
    job.scratch.meet(51, job.size);
    assert_eq!(
        guarded.count(),
        job.scratch.word(50).load(SeqCst),
        "writes were lost"
    );
    assert!(
        written > rounds / 20,
        "only {written} writes: this did not test much"
    );
}

/// Three locks on the same ranks protect three things independently.
fn interleaved_controllers(job: &Job) {
    let last = job.size - 1;
    let mut controllers: Vec<WindowController> = [0, last, last / 2]
        .into_iter()
        .map(|master| {
            WindowController::builder(&job.world)
                .master(master)
                .build()
                .unwrap()
        })
        .collect();
    let guarded: Vec<Guarded> = (0..controllers.len())
        .map(|index| Guarded {
            scratch: &job.scratch,
            first: index * GUARDED,
        })
        .collect();
    let mut rng = Rng::new(job.rank as u64);
    let mut written = [0; 3];
    for _ in 0..10_000 {
        let chosen = rng.below(3) as usize;
        let (first, rest) = controllers.split_at_mut(chosen);
        let (chosen_ctrl, _) = rest.split_first_mut().expect("one of three");
        // Outer locks have a lower number and are for reading, so no order of two ranks can
        // deadlock.
        let outer = (chosen > 0).then(|| {
            let index = rng.below(chosen as u64) as usize;
            (index, first[index].read())
        });
        if let Some((index, _)) = &outer {
            guarded[*index].read();
        }
        written[chosen] += operation(chosen_ctrl, &guarded[chosen], &mut rng);
        if let Some((index, _)) = &outer {
            guarded[*index].read();
        }
    }
    for (index, count) in written.into_iter().enumerate() {
        job.scratch.word(60 + index).fetch_add(count, SeqCst);
    }
    job.scratch.meet(63, job.size);
    for (index, guarded) in guarded.iter().enumerate() {
        let expected = job.scratch.word(60 + index).load(SeqCst);
        assert_eq!(guarded.count(), expected, "controller {index} lost writes");
    }
}
