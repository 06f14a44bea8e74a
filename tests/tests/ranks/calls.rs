//! Ranks in different collective calls: they get errors with the places of the calls, and do not
//! hang.

use std::fmt;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use mpisync::batch::Batch;
use mpisync::guarded::AppendFile;
use mpisync::ndarray::Ix1;
use mpisync::{
    Access, Barrier, CollectiveError, Condvar, Counter, Guarded, Latch, Mutex, OnceShared, Region,
    Semaphore, Turn, WindowController,
};
use mpisync_tests::job::Job;

use crate::collective::{Does, StepError};
use crate::common::still_works;

const LONG: Duration = Duration::from_secs(20);

mpisync_tests::cases!(on [2, 3, 4, 8]:
    different_calls,
    different_calls_on_one_rank,
    call_against_fence,
    fence_against_call,
    call_against_close,
    closed_at_two_places,
    closed_in_another_order,
    skipped_fence,
    swapped_fences,
    swapped_fences_without_macro,
    swapped_fences_of_two_writers,
    shifted_fences,
);

#[mpisync::single_write(rank = writer)]
pub fn note(ctrl: &mut WindowController, writer: i32, does: Does) -> Result<i32, StepError> {
    match does {
        Does::Fine => Ok(ctrl.rank() * 10),
        _ => Err(StepError::Own(format!("no data on {}", ctrl.rank()))),
    }
}

#[mpisync::collective]
pub fn first_call(ctrl: &mut WindowController) -> Result<i32, StepError> {
    Ok(ctrl.rank())
}

#[mpisync::collective]
pub fn second_call(ctrl: &mut WindowController) -> Result<i32, StepError> {
    Ok(-ctrl.rank())
}

#[mpisync::single_write(rank = writer)]
fn rows(ctrl: &mut WindowController, writer: i32) -> Result<i32, StepError> {
    Ok(100 + ctrl.rank())
}

#[mpisync::single_write(rank = writer)]
fn columns(ctrl: &mut WindowController, writer: i32) -> Result<i32, StepError> {
    Ok(200 + ctrl.rank())
}

/// Checks that this rank got an error that another rank is in another call, with both places.
fn assert_diverged<T: fmt::Debug>(outcome: Result<T, StepError>) {
    match outcome {
        Err(StepError::Fence(error @ CollectiveError::Diverged { .. })) => {
            let words = error.to_string();
            let places = words.matches("calls.rs:").count();
            assert!(places >= 2, "both places are named: {words}");
            assert!(words.contains("rank"), "{words}");
        }
        other => panic!("{other:?}"),
    }
}

/// Half of the ranks are in another call. For 2 ranks and more.
fn different_calls(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..20 {
        let outcome = match (job.rank + round) % 2 {
            0 => first_call(&mut ctrl),
            _ => second_call(&mut ctrl),
        };
        assert_diverged(outcome);
        still_works(&mut ctrl);
        assert_eq!(first_call(&mut ctrl).unwrap(), job.rank);
    }
}

/// One rank is in another call than all the others. For 2 ranks and more.
fn different_calls_on_one_rank(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for odd in 0..job.size {
        let outcome = if job.rank == odd {
            first_call(&mut ctrl)
        } else {
            second_call(&mut ctrl)
        };
        assert_diverged(outcome);
        still_works(&mut ctrl);
    }
}

/// One rank is in a collective call while the others wait for it in a fence. For 2 ranks and more.
fn call_against_fence(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..3 * job.size {
        let odd = round % job.size;
        if job.rank == odd {
            assert_diverged(first_call(&mut ctrl));
        } else {
            assert_diverged(note(&mut ctrl, odd, Does::Fine));
        }
        still_works(&mut ctrl);
    }
}

/// One rank waits in a fence while the others, including the writer of the fence, are in a
/// collective call. For 2 ranks and more.
fn fence_against_call(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for odd in 0..job.size {
        for writer in (0..job.size).filter(|writer| *writer != odd) {
            if job.rank == odd {
                let outcome = match ctrl.on(writer).unwrap().single_write() {
                    Access::Writer(fence) => fence.share(1),
                    Access::Excluded(fence) => fence.collect(),
                };
                assert_diverged(outcome.map_err(StepError::Fence));
            } else {
                assert_diverged(first_call(&mut ctrl));
            }
            still_works(&mut ctrl);
        }
    }
}

/// One rank closes the controller while the others continue to use it. For 2 ranks and more.
fn call_against_close(job: &Job) {
    for odd in 0..job.size {
        let mut ctrl = mpisync::sync(&job.world).unwrap();
        still_works(&mut ctrl);
        if job.rank == odd {
            assert_diverged(ctrl.close().map_err(StepError::Fence));
        } else {
            assert_diverged(first_call(&mut ctrl));
        }
    }
}

/// One rank omits a fence, which delays no rank. The next collective call is an error on all ranks,
/// before the late rank can take the value of one fence for that of another. For 2 ranks and more.
fn skipped_fence(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for odd in 0..job.size {
        let writer = (odd + 1) % job.size;
        if job.rank != odd {
            assert_eq!(note(&mut ctrl, writer, Does::Fine).unwrap(), 10 * writer);
        }
        match first_call(&mut ctrl) {
            Err(StepError::Fence(
                ref error @ CollectiveError::OutOfStep {
                    here, rank, there, ..
                },
            )) => {
                // Only the odd rank has made one call less.
                let (mine, others) = if job.rank == odd {
                    (here, there)
                } else {
                    (there, here)
                };
                assert_eq!(mine + 1, others);
                assert!(job.rank == odd || rank == odd);
                assert!(
                    error.to_string().contains(&format!("rank {rank}")),
                    "{error}"
                );
            }
            other => panic!("{other:?}"),
        }
        still_works(&mut ctrl);
        assert_eq!(first_call(&mut ctrl).unwrap(), job.rank);
    }
}

/// A rank makes two calls in another order than the writer: it does not get the value of the other
/// call, and the writer gets an error. For 2 ranks and more.
fn swapped_fences(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..2 * job.size {
        let (writer, odd) = (round % job.size, (round + 1) % job.size);
        let calls = [rows, columns];
        let in_order = |number: usize| if job.rank == odd { 1 - number } else { number };
        let mut diverged = 0;
        for number in 0..2 {
            match calls[in_order(number)](&mut ctrl, writer) {
                Ok(value) => assert_eq!(value, 100 * (1 + in_order(number) as i32) + writer),
                // The writer has found out in its second call.
                Err(StepError::Fence(CollectiveError::WriterFailed { rank, .. })) => {
                    assert_eq!((number, rank), (1, writer));
                    assert!(job.rank != writer && job.rank != odd);
                }
                outcome => {
                    assert!([writer, odd].contains(&job.rank));
                    assert_diverged(outcome);
                    diverged += 1;
                }
            }
        }
        if job.rank == odd {
            assert_eq!(diverged, 2);
        }
        learn_at_last(job, &mut ctrl, [writer, odd], diverged);
        still_works(&mut ctrl);
    }
}

/// If both are on one node, the writer finds out in its next two calls that the odd rank was in
/// another call.
fn learn_at_last(job: &Job, ctrl: &mut WindowController, [writer, odd]: [i32; 2], told: usize) {
    let mut told = told;
    for _ in 0..4 {
        match rows(ctrl, writer) {
            Ok(value) => assert_eq!(value, 100 + writer),
            Err(StepError::Fence(CollectiveError::WriterFailed { rank, .. })) => {
                assert_eq!(rank, writer)
            }
            outcome => {
                assert_eq!(job.rank, writer);
                assert_diverged(outcome);
                told += 1;
            }
        }
    }
    let takes_part = [writer, odd].contains(&job.rank);
    if ctrl.nodes() == 1 {
        assert_eq!(told > 0, takes_part);
    } else {
        assert!(told == 0 || takes_part);
    }
}

/// The same without a macro: the line identifies the call.
fn swapped_fences_without_macro(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let first = |ctrl: &mut WindowController| {
        let access = ctrl.single_write_timeout(LONG)?;
        access.run(|_| Ok::<i32, CollectiveError>(1))
    };
    let second = |ctrl: &mut WindowController| {
        let access = ctrl.on(0)?.single_write_timeout(LONG)?;
        access.run(|_| Ok::<i32, CollectiveError>(2))
    };
    let odd = job.size - 1;
    for _ in 0..10 {
        let [one, two] = if job.rank == odd {
            [second(&mut ctrl), first(&mut ctrl)]
        } else {
            [first(&mut ctrl), second(&mut ctrl)]
        };
        if job.rank == odd {
            assert_diverged(one.map_err(StepError::Fence));
            assert_diverged(two.map_err(StepError::Fence));
        }
        // The writer finds out in the call after the next at the latest, and so do the others.
        let found = (0..4).filter(|_| first(&mut ctrl).is_err()).count();
        assert!(found <= 3, "it goes on for ever");
        still_works(&mut ctrl);
    }
}

/// Each rank is the writer of its own call, or each waits for the other's. For 2 ranks and more.
fn swapped_fences_of_two_writers(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..20 {
        let other = job.size - 1;
        let is_odd = job.rank == other;
        // Both write, or neither.
        let writer = if is_odd == (round % 2 == 0) { other } else { 0 };
        let outcome = if is_odd {
            rows(&mut ctrl, writer)
        } else {
            columns(&mut ctrl, writer)
        };
        let told = job.scratch.word(2 * round);
        match outcome {
            Ok(value) => assert_eq!(value, if is_odd { 100 } else { 200 } + writer),
            // If the other rank is on another node, or has found out and gone on, its place is not
            // known.
            Err(StepError::Fence(CollectiveError::WriterMismatch { .. })) => {
                told.fetch_add(1, SeqCst);
            }
            outcome => {
                assert_diverged(outcome);
                told.fetch_add(1, SeqCst);
            }
        }
        job.scratch.meet(2 * round + 1, job.size);
        assert!(told.load(SeqCst) > 0, "nobody noticed");
        // A rank that gets no error while it writes gets one in the next call.
        let _ = columns(&mut ctrl, 0);
        let _ = columns(&mut ctrl, 0);
        let _ = columns(&mut ctrl, other);
        let _ = columns(&mut ctrl, other);
        still_works(&mut ctrl);
    }
}

/// A call that one rank makes alone is an error on that rank, and so is each later call until the
/// ranks meet. For 2 ranks and more.
fn shifted_fences(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for odd in 1..job.size {
        if job.rank == odd {
            assert_diverged(rows(&mut ctrl, 0));
        }
        for number in 0..4 {
            let outcome = if number % 2 == 0 {
                columns(&mut ctrl, 0)
            } else {
                rows(&mut ctrl, 0)
            };
            if job.rank == odd && number < 3 {
                assert_diverged(outcome);
            } else if let Ok(value) = outcome {
                assert_eq!(value, if number % 2 == 0 { 200 } else { 100 });
            }
            if job.rank == odd && number == 2 {
                break;
            }
        }
        // The writer finds out in the next two calls, and with it the others.
        for _ in 0..3 {
            let _ = rows(&mut ctrl, 0);
        }
        still_works(&mut ctrl);
        assert_eq!(first_call(&mut ctrl).unwrap(), job.rank);
    }
}

/// An object that all ranks close.
trait Close {
    #[track_caller]
    fn close_here(self) -> Result<(), CollectiveError>;
}

macro_rules! close {
    ($($object:ty),* $(,)?) => {
        $(impl Close for $object {
            #[track_caller]
            fn close_here(self) -> Result<(), CollectiveError> {
                self.close()
            }
        })*
    };
}

close!(
    WindowController,
    Guarded<AppendFile>,
    Region<u64, Ix1>,
    Mutex,
    Condvar,
    Semaphore,
    Counter,
    OnceShared<u64>,
    Turn,
    Barrier,
    Latch,
    Batch,
);

/// Rank 0 closes each object on another line than the other ranks. For 2 ranks and more.
fn closed_at_two_places(job: &Job) {
    #[expect(clippy::if_same_then_else, reason = "the lines differ")]
    fn close(job: &Job, object: impl Close) {
        if job.rank == 0 {
            object.close_here().unwrap();
        } else {
            object.close_here().unwrap();
        }
    }
    let world = &job.world;
    close(job, mpisync::sync(world).unwrap());
    let file = AppendFile::new(job.file("closed"));
    close(job, Guarded::new(world, file).unwrap());
    close(job, Region::<u64, Ix1>::new(world, 5).unwrap());
    close(job, Mutex::new(world).unwrap());
    close(job, Condvar::new(world).unwrap());
    close(job, Semaphore::new(world, 1).unwrap());
    close(job, Counter::new(world).unwrap());
    close(job, OnceShared::new(world).unwrap());
    close(job, Turn::new(world).unwrap());
    close(job, Barrier::new(world).unwrap());
    close(job, Latch::new(world, 1).unwrap());
    close(job, Batch::builder(world).tasks(1).build().unwrap());
}

/// Two objects closed in another order are different calls at whatever places. For 2 ranks and more.
fn closed_in_another_order(job: &Job) {
    let make = |name| Mutex::builder(&job.world).name(name).build().unwrap();
    let objects = [make("first"), make("second")];
    let object = match (job.rank, objects) {
        (0, [first, _]) => first,
        (_, [_, second]) => second,
    };
    let error = object.close().unwrap_err();
    assert!(matches!(error, CollectiveError::Diverged { .. }), "{error}");
}
