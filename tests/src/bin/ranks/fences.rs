//! Fences: who is the writer, when the others go on, and what they get.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use mpisync::{Access, FenceError, LockError, WindowController};
use mpisync_tests::job::{Case, Job};
use mpisync_tests::rng::Rng;
use mpisync_tests::scratch::until;

use crate::common::{shared, still_works};

pub const CASES: &[Case] = &[
    ("three_forms", three_forms),
    ("writer_is_alone", writer_is_alone),
    ("writer_reads", writer_reads),
    ("fence_waits_for_a_reader", fence_waits_for_a_reader),
    ("lock_is_free_after_share", lock_is_free_after_share),
    ("excluded_may_skip_the_value", excluded_may_skip_the_value),
    ("collect_timeout", collect_timeout),
    ("many_fences", many_fences),
    ("late_rank", late_rank),
    ("fences_of_two_controllers", fences_of_two_controllers),
];

/// The match, the closure and the handle do the same.
fn three_forms(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..300 {
        let writer = round % job.size;
        let matched = match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => {
                assert_eq!(job.rank, writer);
                fence.share(round)
            }
            Access::Excluded(fence) => {
                assert_ne!(job.rank, writer);
                fence.collect()
            }
        };
        assert_eq!(matched.unwrap(), round);

        let mut runs = 0;
        let value = ctrl.on(writer).unwrap().single_write().run(|ctrl| {
            runs += 1;
            Ok::<_, FenceError>((ctrl.rank(), ctrl.size()))
        });
        assert_eq!(value.unwrap(), (writer, job.size));
        assert_eq!(
            runs,
            i32::from(job.rank == writer),
            "the closure runs on the writer only"
        );

        let word = job.scratch.word(round as usize);
        let handle = ctrl.on(writer).unwrap().single_write().writer().unwrap();
        assert_eq!(handle.is_some(), job.rank == writer);
        if let Some(fence) = handle {
            word.store(7, Relaxed);
            fence.done().unwrap();
        }
        // The others go on when the writer is done, and see what it did.
        assert_eq!(word.load(Relaxed), 7);
    }
    // Without `on` the master writes.
    let last = job.size - 1;
    let mut ctrl = WindowController::builder(&job.world)
        .master(last)
        .build()
        .unwrap();
    for _ in 0..100 {
        let access = ctrl.single_write();
        assert_eq!(matches!(access, Access::Writer(_)), job.rank == last);
        assert_eq!(
            access.run(|ctrl| Ok::<_, FenceError>(ctrl.rank())).unwrap(),
            last
        );
        let access = ctrl.single_write_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(
            access.run(|ctrl| Ok::<_, FenceError>(ctrl.rank())).unwrap(),
            last
        );
    }
}

/// In its fence the writer holds the lock for writing, against ranks that lock without a fence of their own.
fn writer_is_alone(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let inside = job.scratch.word(0);
    for round in 0..500 {
        let writer = round % job.size;
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => {
                inside.store(1, SeqCst);
                for _ in 0..20 {
                    std::hint::spin_loop();
                }
                inside.store(0, SeqCst);
                fence.done().unwrap();
            }
            // Not collected: this rank goes straight on to the lock, which the fence must keep closed.
            Access::Excluded(fence) => drop(fence),
        }
        let _guard = ctrl.read();
        assert_eq!(inside.load(SeqCst), 0, "a reader beside the writer");
    }
}

/// The writer may read, and look at its controller, while it writes.
fn writer_reads(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => {
                let inner = fence.controller();
                assert_eq!((inner.rank(), inner.size()), (writer, job.size));
                let first = inner.read();
                let second = inner.try_read().expect("held for writing already");
                drop((first, second));
                drop(fence.controller().read());
                fence.done().unwrap();
            }
            Access::Excluded(fence) => fence.wait().unwrap(),
        }
    }
}

/// The writer of a fence waits for who reads; `single_write_timeout` gives up, on the writer with its own error.
fn fence_waits_for_a_reader(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    if job.size == 1 {
        return still_works(&mut ctrl);
    }
    if job.rank == 1 {
        let guard = ctrl.read();
        job.scratch.raise(0);
        job.scratch.wait_for(1);
        drop(guard);
        let error = match ctrl.single_write() {
            Access::Excluded(fence) => fence.wait().unwrap_err(),
            Access::Writer(_) => panic!("rank 0 is the writer"),
        };
        assert!(!error.to_string().is_empty());
    } else {
        job.scratch.wait_for(0);
        let access = ctrl.single_write_timeout(Duration::from_millis(20));
        if job.rank == 0 {
            let error = access.expect_err("rank 1 reads");
            let timeout = matches!(
                error,
                FenceError::Timeout { .. } | FenceError::Lock(LockError::Timeout { .. })
            );
            assert!(timeout, "{error:?}");
            job.scratch.raise(1);
        } else {
            let error = access
                .and_then(|access| access.writer().map(|_| ()))
                .unwrap_err();
            assert!(!error.to_string().is_empty());
        }
    }
    still_works(&mut ctrl);
}

/// Once the writer has shared, the lock is free, whether or not anybody has collected.
fn lock_is_free_after_share(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..200 {
        let [locked, done] = [2 * round, 2 * round + 1];
        let value = vec![round; 10];
        let writer = match ctrl.single_write() {
            Access::Writer(fence) => {
                fence.share(value).unwrap();
                true
            }
            Access::Excluded(fence) => {
                // The writer locks and lets go again before anybody collects.
                job.scratch.wait_for(locked);
                assert_eq!(fence.collect::<Vec<usize>>().unwrap(), value);
                false
            }
        };
        if writer {
            drop(ctrl.write());
            drop(ctrl.read());
            job.scratch.raise(locked);
        }
        job.scratch.meet(done, job.size);
    }
}

/// Who drops its fence uncollected has no part in this value, and the right one of the next.
fn excluded_may_skip_the_value(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let mut rng = Rng::new(job.rank as u64);
    for round in 0..2_000_u64 {
        let writer = (round % job.size as u64) as i32;
        let sizes = [1, 10, 1_000];
        let size = if round % 97 == 0 {
            100_000
        } else {
            sizes[round as usize % 3]
        };
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => drop(fence.share(vec![round; size]).unwrap()),
            Access::Excluded(fence) if rng.below(2) == 0 => drop(fence),
            Access::Excluded(fence) => {
                let value: Vec<u64> = fence.collect().unwrap();
                assert!(
                    value == vec![round; size],
                    "another fence's value in round {round}"
                );
            }
        }
    }
    // An `Access` that is dropped whole is no different.
    for round in 0..200 {
        let access = ctrl.on(round % job.size).unwrap().single_write();
        match access {
            Access::Writer(fence) => fence.done().unwrap(),
            excluded if round % 2 == 0 => drop(excluded),
            Access::Excluded(fence) => fence.wait().unwrap(),
        }
    }
    still_works(&mut ctrl);
}

/// Collecting with a timeout gives up while the writer writes, and the next fence is right.
fn collect_timeout(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..20 {
        let [gave_up, done] = [2 * round, 2 * round + 1];
        let writer = round as i32 % job.size;
        let gave_up = job.scratch.word(gave_up);
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => {
                until("the others to give up", || {
                    gave_up.load(SeqCst) == job.size as u64 - 1
                });
                fence.share(round).unwrap();
            }
            Access::Excluded(fence) => {
                let result = fence.collect_timeout::<usize>(Duration::from_millis(2));
                assert!(
                    matches!(result, Err(FenceError::Timeout { .. })),
                    "{result:?}"
                );
                gave_up.fetch_add(1, SeqCst);
            }
        }
        // A timeout that is long enough changes nothing.
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => drop(fence.share(round + 1).unwrap()),
            Access::Excluded(fence) => {
                let result = fence.collect_timeout::<usize>(Duration::from_secs(20));
                assert_eq!(result.unwrap(), round + 1);
            }
        }
        job.scratch.meet(done, job.size);
    }
    still_works(&mut ctrl);
}

/// Up to 100,000 fences in a row, each with another writer.
fn many_fences(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    // The same seed on all ranks: they agree on the writer.
    let mut rng = Rng::new(1);
    for _ in 0..(200_000 / job.size).min(100_000) {
        let writer = rng.below(job.size as u64) as i32;
        let expected = rng.bits();
        let value = if job.rank == writer { expected } else { 0 };
        assert_eq!(shared(&mut ctrl, writer, value), expected);
    }
}

/// A rank that comes late to a call has the others of its node wait with values that have come, while those of another
/// node run ahead by some calls.
fn late_rank(job: &Job) {
    let few = job.size.min(4);
    for writer in 0..few {
        for other in (0..few).filter(|other| *other != writer) {
            let late = (0..job.size)
                .rev()
                .find(|late| ![writer, other].contains(late));
            let mut ctrl = mpisync::sync(&job.world).unwrap();
            if late == Some(job.rank) {
                std::thread::sleep(Duration::from_millis(120));
            }
            // Every other call uses the same memory: `writer`, then `other`, then `writer` again, while the late rank is not
            // through with the call before.
            let writers = [other, other, writer, writer, other, other, writer, writer];
            for (number, writer) in writers.into_iter().enumerate() {
                assert_eq!(shared(&mut ctrl, writer, number), number);
            }
        }
    }
}

/// The fence of one controller may be inside the fence of another.
fn fences_of_two_controllers(job: &Job) {
    let mut outer = mpisync::sync(&job.world).unwrap();
    let mut inner = mpisync::sync(&job.world).unwrap();
    for round in 0..300 {
        let (first, second) = (round % job.size, (round + 1) % job.size);
        let access = outer.on(first).unwrap().single_write();
        assert_eq!(shared(&mut inner, second, -round), -round);
        let _guard = inner.read();
        assert_eq!(access.run(|_| Ok::<_, FenceError>(round)).unwrap(), round);
    }
}
