//! Fences: the choice of the writer, when the others continue, and the values that they get.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::thread;
use std::time::Duration;

use mpisync::{Access, CollectiveError, Fence, LockError, WindowController, Writer};
use mpisync_tests::job::Job;
use mpisync_tests::panics::expect_panic;
use mpisync_tests::rng::Rng;
use mpisync_tests::scratch::until;

use crate::common::{shared, still_works};

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    three_forms,
    writer_is_alone,
    writer_reads,
    fence_waits_for_a_reader,
    lock_is_free_after_share,
    excluded_may_skip_the_value,
    missing_branch_waits,
    missing_branch_learns,
    panic_does_not_wait,
    named_calls,
    forgotten_writers_fence,
    forgotten_excluded_fence,
    collect_timeout,
    fences_of_two_controllers,
    many_fences,
    late_rank,
    large_values_after_a_failure,
);

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
            Ok::<_, CollectiveError>((ctrl.rank(), ctrl.size()))
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
        // The others continue after the writer is done, and see its change.
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
            access
                .run(|ctrl| Ok::<_, CollectiveError>(ctrl.rank()))
                .unwrap(),
            last
        );
        let access = ctrl.single_write_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(
            access
                .run(|ctrl| Ok::<_, CollectiveError>(ctrl.rank()))
                .unwrap(),
            last
        );
    }
}

/// In its fence the writer holds the write lock, against ranks that lock without a fence.
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
            // Not collected: this rank proceeds to the lock, which the fence must keep closed.
            Access::Excluded(fence) => fence.skip(),
        }
        let _guard = ctrl.read();
        assert_eq!(inside.load(SeqCst), 0, "a reader beside the writer");
    }
}

/// The writer may read, and access its controller, while it writes.
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

/// The writer of a fence waits for readers; `single_write_timeout` gives up, on the writer with its
/// own error.
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
        let access = ctrl.on(0).unwrap().named("late").single_write();
        let error = access.writer().map(|_| ()).unwrap_err();
        assert!(!error.to_string().is_empty());
    } else {
        job.scratch.wait_for(0);
        let on = ctrl.on(0).unwrap().named("late");
        let access = on.single_write_timeout(Duration::from_millis(20));
        if job.rank == 0 {
            let error = access.expect_err("rank 1 reads");
            let timeout = matches!(
                error,
                CollectiveError::Timeout { .. } | CollectiveError::Lock(LockError::Timeout { .. })
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

/// The lock is free after the writer has shared, whether or not any rank has collected.
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
                // The writer locks and unlocks again before any rank collects.
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

/// A rank that skips or drops its fence uncollected does not get this value, and gets the next one
/// correctly.
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
            Access::Excluded(fence) if rng.below(3) == 0 => fence.skip(),
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
    // Dropping a whole `Access` is no different.
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

/// A rank whose branch is missing also waits for the writer, for any form and size of the shared
/// value.
fn missing_branch_waits(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..60 {
        let writer = round % job.size;
        let words = [1, 1_000, 100_000][round as usize % 3];
        let word = job.scratch.word(round as usize);
        let write = |fence: Fence<'_, Writer>| {
            std::thread::sleep(Duration::from_millis(2));
            word.store(7, SeqCst);
            drop(fence.share(vec![1_u64; words]).unwrap());
        };
        match round / 3 % 3 {
            0 => {
                if let Access::Writer(fence) = ctrl.on(writer).unwrap().single_write() {
                    write(fence);
                }
            }
            1 => (|| {
                let Access::Writer(fence) = ctrl.on(writer).unwrap().single_write() else {
                    return;
                };
                write(fence);
            })(),
            _ => match ctrl.on(writer).unwrap().single_write() {
                Access::Writer(fence) => write(fence),
                Access::Excluded(fence) => drop(fence),
            },
        }
        assert_eq!(word.load(SeqCst), 7, "this rank did not wait");
    }
    still_works(&mut ctrl);
}

/// A rank whose branch is missing panics if the writer fails.
fn missing_branch_learns(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        let mut failing = || {
            if let Access::Writer(fence) = ctrl.on(writer).unwrap().single_write() {
                fence.fail("no paper");
            }
        };
        if job.rank == writer {
            failing();
        } else {
            let words = expect_panic(failing);
            assert!(words.contains("no paper"), "{words}");
            assert!(words.contains("fences.rs:"), "{words}");
            assert!(words.contains(&format!("rank {writer}")), "{words}");
        }
        let mut ignoring = || {
            let _ = ctrl.on(writer).unwrap().single_write();
        };
        if job.rank == writer {
            ignoring();
        } else {
            let words = expect_panic(ignoring);
            assert!(words.contains("without sharing"), "{words}");
        }
        still_works(&mut ctrl);
    }
}

/// A rank that panics in its fence does not wait for the writer, which may wait for it.
fn panic_does_not_wait(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..10 {
        let writer = round % job.size;
        let left = job.scratch.word(round as usize);
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => {
                until("the others to panic", || {
                    left.load(SeqCst) == job.size as u64 - 1
                });
                drop(fence.share(vec![round; 10_000]).unwrap());
            }
            Access::Excluded(fence) => {
                expect_panic(move || {
                    let _fence = fence;
                    panic!("out of luck");
                });
                left.fetch_add(1, SeqCst);
            }
        }
        // A rank that has left may be the next writer, and would keep this one from the lock.
        job.scratch.meet(20 + round as usize, job.size);
    }
    still_works(&mut ctrl);
}

/// Ranks at different lines are in the same call if it has a name.
fn named_calls(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..100 {
        let writer = round % job.size;
        let value = if job.rank == writer {
            let Access::Writer(fence) = ctrl.on(writer).unwrap().named("round").single_write()
            else {
                panic!("this rank writes");
            };
            fence.share(round)
        } else {
            let long = Duration::from_secs(20);
            let on = ctrl.on(writer).unwrap().named("round");
            let Access::Excluded(fence) = on.single_write_timeout(long).unwrap() else {
                panic!("another rank writes");
            };
            fence.collect()
        };
        assert_eq!(value.unwrap(), round);
    }
    still_works(&mut ctrl);
}

/// The next action of a rank after it has forgotten a fence.
fn go_on_after_leak(mut ctrl: WindowController, way: i32) -> Option<WindowController> {
    match way {
        0 => drop(ctrl.write()),
        1 => drop(ctrl.try_write()),
        2 => drop(ctrl.write_timeout(Duration::from_secs(20)).unwrap()),
        3 => return None,
        _ => {}
    }
    Some(ctrl)
}

/// After a writer has forgotten its fence, its next call releases the lock, and the others get an
/// error.
fn forgotten_writers_fence(job: &Job) {
    for way in 0..5 {
        for writer in 0..job.size {
            let mut ctrl = mpisync::sync(&job.world).unwrap();
            match ctrl.on(writer).unwrap().single_write() {
                Access::Writer(fence) => std::mem::forget(fence),
                Access::Excluded(fence) => match fence.wait().unwrap_err() {
                    CollectiveError::Unshared { rank, .. } => assert_eq!(rank, writer),
                    other => panic!("{other:?}"),
                },
            }
            let left = if job.rank == writer {
                go_on_after_leak(ctrl, way)
            } else {
                Some(ctrl)
            };
            if let Some(mut ctrl) = left.filter(|_| way != 3) {
                still_works(&mut ctrl);
            }
        }
    }
}

/// A writer with a large value waits for a rank that has forgotten its fence only until that rank's
/// next call.
fn forgotten_excluded_fence(job: &Job) {
    for way in 0..5 {
        for writer in 0..job.size {
            let mut ctrl = mpisync::sync(&job.world).unwrap();
            match ctrl.on(writer).unwrap().single_write() {
                Access::Writer(fence) => drop(fence.share(vec![7_u64; 100_000]).unwrap()),
                Access::Excluded(fence) => std::mem::forget(fence),
            }
            let left = if job.rank == writer {
                Some(ctrl)
            } else {
                go_on_after_leak(ctrl, way)
            };
            if let Some(mut ctrl) = left.filter(|_| way != 3) {
                still_works(&mut ctrl);
            }
        }
    }
    // The whole `Access`.
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for _ in 0..10 {
        std::mem::forget(ctrl.single_write());
        still_works(&mut ctrl);
    }
    std::mem::forget(ctrl.single_write());
    ctrl.close().unwrap();
}

/// Collecting with a timeout gives up while the writer writes, and the next fence works.
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
                    matches!(result, Err(CollectiveError::Timeout { .. })),
                    "{result:?}"
                );
                gave_up.fetch_add(1, SeqCst);
            }
        }
        // A sufficient timeout changes nothing.
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

/// Up to 100,000 consecutive fences, each with another writer.
fn many_fences(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    // The same seed on all ranks, so that they agree on the writer.
    let mut rng = Rng::new(1);
    for _ in 0..job.rounds((200_000 / job.size as u64).min(100_000)) {
        let writer = rng.below(job.size as u64) as i32;
        let expected = rng.bits();
        let value = if job.rank == writer { expected } else { 0 };
        assert_eq!(shared(&mut ctrl, writer, value), expected);
    }
}

/// A rank is late in a call. The others of its node wait with values that have arrived, while those
/// of another node run ahead by some calls.
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
            // Every other call uses the same memory: `writer`, then `other`, then `writer` again,
            // while the late rank is still in the call before.
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
        assert_eq!(
            access.run(|_| Ok::<_, CollectiveError>(round)).unwrap(),
            round
        );
    }
}

#[mpisync::collective]
fn fails_on_all(_ctrl: &mut WindowController) -> Result<(), Box<dyn std::error::Error>> {
    Err("as intended".into())
}

/// After a `#[collective]` call has failed the calls are counted from the start again. A writer still waits for
/// collectors of the same number before it uses its staging buffer again.
fn large_values_after_a_failure(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..4 {
        let right: Vec<u64> = (0..100_000).map(|index| index ^ round).collect();
        if job.rank == job.size - 1 {
            thread::sleep(Duration::from_millis(10));
        }
        assert!(
            shared(&mut ctrl, 0, right.clone()) == right,
            "a wrong value after {round} failures"
        );
        fails_on_all(&mut ctrl).unwrap_err();
    }
}
