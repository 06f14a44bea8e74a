//! Ranks that are in different collective calls: they are told so, and where, instead of hanging.

use std::fmt;

use mpisync::{Access, FenceError, WindowController};
use mpisync_tests::job::{Case, Job};

use crate::collective::{Does, StepError};
use crate::common::still_works;

pub const CASES: &[Case] = &[
    ("different_calls", different_calls),
    ("different_calls_on_one_rank", different_calls_on_one_rank),
    ("call_against_fence", call_against_fence),
    ("fence_against_call", fence_against_call),
    ("call_against_close", call_against_close),
    ("skipped_fence", skipped_fence),
];

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

/// Checks that this rank was told that another one is in another call, and where both are.
fn assert_diverged<T: fmt::Debug>(outcome: Result<T, StepError>) {
    match outcome {
        Err(StepError::Fence(error @ FenceError::Diverged { .. })) => {
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

/// One rank waits in a fence while the others, among them the writer of the fence, are in a collective call. For 2
/// ranks and more.
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

/// One rank closes the controller while the others go on with it. For 2 ranks and more.
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

/// One rank leaves a fence out, which holds nobody up. The next collective call tells all ranks, before the one that
/// is behind can take a value of one fence for that of another. For 2 ranks and more.
fn skipped_fence(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for odd in 0..job.size {
        let writer = (odd + 1) % job.size;
        if job.rank != odd {
            assert_eq!(note(&mut ctrl, writer, Does::Fine).unwrap(), 10 * writer);
        }
        match first_call(&mut ctrl) {
            Err(StepError::Fence(ref error @ FenceError::OutOfStep { here, rank, there })) => {
                // Only the odd one has made one less.
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
