//! `#[mpisync::collective]`: all ranks run the body, and all have the same outcome.

use std::fmt;

use mpisync::{Access, FenceError, WindowController};
use mpisync_tests::job::{Case, Job};
use serde::{Deserialize, Serialize};

use crate::common::{assert_here, still_works};

pub const CASES: &[Case] = &[
    ("all_ranks_run_the_body", all_ranks_run_the_body),
    ("one_rank_fails", one_rank_fails),
    ("one_rank_panics", one_rank_panics),
    ("several_ranks_fail", several_ranks_fail),
    ("one_rank_gives_its_value", one_rank_gives_its_value),
    ("calls_inside_calls", calls_inside_calls),
    ("different_calls", different_calls),
    ("different_calls_on_one_rank", different_calls_on_one_rank),
    ("call_against_fence", call_against_fence),
    ("fence_against_call", fence_against_call),
    ("call_against_close", call_against_close),
    ("skipped_fence", skipped_fence),
    ("error_texts_of_many_sizes", error_texts_of_many_sizes),
    ("many_calls", many_calls),
];

/// An error that is not serializable.
#[derive(Debug)]
enum StepError {
    Own(String),
    Fence(FenceError),
}

impl fmt::Display for StepError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            StepError::Own(words) => out.write_str(words),
            StepError::Fence(error) => write!(out, "{error}"),
        }
    }
}

impl From<FenceError> for StepError {
    fn from(error: FenceError) -> Self {
        StepError::Fence(error)
    }
}

/// What a rank does in a step.
#[derive(Clone, Copy, PartialEq)]
enum Does {
    Fine,
    Fail,
    Panic,
}

#[mpisync::collective]
fn step(ctrl: &mut WindowController, does: Does) -> Result<i32, StepError> {
    let rank = ctrl.rank();
    match does {
        Does::Fine => Ok(rank),
        Does::Fail => Err(StepError::Own(format!("no data on {rank}")))?,
        Does::Panic => panic!("no memory on {rank}"),
    }
}

fn all_ranks_run_the_body(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for _ in 0..200 {
        assert_eq!(step(&mut ctrl, Does::Fine).unwrap(), job.rank);
    }
    still_works(&mut ctrl);
}

fn does(job: &Job, culprit: i32, what: Does) -> Does {
    if job.rank == culprit {
        what
    } else {
        Does::Fine
    }
}

/// The error of rank `by` that a step ends with, on whichever rank this is.
fn assert_failed(job: &Job, by: i32, outcome: Result<i32, StepError>) {
    let expected = format!("no data on {by}");
    match outcome {
        // The rank that failed may keep its own error: it says the same.
        Err(StepError::Own(words)) => {
            assert_eq!(job.rank, by);
            assert_eq!(words, expected);
        }
        Err(StepError::Fence(
            ref error @ FenceError::Failed {
                rank,
                ref place,
                ref message,
            },
        )) => {
            assert_eq!((rank, message), (by, &expected));
            assert_here(place, file!());
            let words = error.to_string();
            assert!(words.contains(&format!("rank {by}")), "{words}");
            assert!(words.contains(&expected), "{words}");
        }
        other => panic!("{other:?}"),
    }
}

fn one_rank_fails(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for culprit in 0..job.size {
        assert_failed(
            job,
            culprit,
            step(&mut ctrl, does(job, culprit, Does::Fail)),
        );
        still_works(&mut ctrl);
    }
}

/// A panic is an error like any other, also on the rank that panicked.
fn one_rank_panics(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for culprit in 0..job.size {
        let what = does(job, culprit, Does::Panic);
        let outcome = mpisync_tests::panics::quietly(|| step(&mut ctrl, what));
        match outcome {
            Err(StepError::Fence(
                ref error @ FenceError::Panicked {
                    rank,
                    ref place,
                    ref message,
                },
            )) => {
                assert_eq!(rank, culprit);
                assert_here(place, file!());
                assert!(
                    message.contains(&format!("no memory on {culprit}")),
                    "{message}"
                );
                let words = error.to_string();
                assert!(words.contains(&format!("rank {culprit}")), "{words}");
            }
            other => panic!("{other:?}"),
        }
        still_works(&mut ctrl);
    }
}

/// When several fail, all hear of the same one. For 2 ranks and more.
fn several_ranks_fail(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for first in 0..job.size {
        let what = if job.rank >= first {
            Does::Fail
        } else {
            Does::Fine
        };
        match step(&mut ctrl, what) {
            Err(StepError::Fence(FenceError::Failed { rank, .. })) => assert_eq!(rank, first),
            Err(StepError::Own(words)) => {
                assert_eq!(words, format!("no data on {}", job.rank), "of another rank");
            }
            other => panic!("{other:?}"),
        }
    }
    still_works(&mut ctrl);
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Plan {
    rank: i32,
    steps: Vec<String>,
}

fn plan(rank: i32) -> Plan {
    let steps = (0..100 * rank)
        .map(|number| format!("step {number}"))
        .collect();
    Plan { rank, steps }
}

#[mpisync::collective(share = from)]
fn choose(ctrl: &mut WindowController, from: i32, does: Does) -> Result<Plan, StepError> {
    match does {
        Does::Fine => Ok(plan(ctrl.rank())),
        Does::Fail => Err(StepError::Own(format!("no data on {}", ctrl.rank()))),
        Does::Panic => panic!("no memory on {}", ctrl.rank()),
    }
}

fn one_rank_gives_its_value(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for from in 0..job.size {
        assert_eq!(choose(&mut ctrl, from, Does::Fine).unwrap(), plan(from));
        for culprit in 0..job.size {
            let outcome = choose(&mut ctrl, from, does(job, culprit, Does::Fail));
            assert_failed(job, culprit, outcome.map(|plan| plan.rank));
            assert_eq!(choose(&mut ctrl, from, Does::Fine).unwrap(), plan(from));
        }
        still_works(&mut ctrl);
    }
}

#[mpisync::single_write(rank = writer)]
fn note(ctrl: &mut WindowController, writer: i32, does: Does) -> Result<i32, StepError> {
    match does {
        Does::Fine => Ok(ctrl.rank() * 10),
        _ => Err(StepError::Own(format!("no data on {}", ctrl.rank()))),
    }
}

#[mpisync::collective]
fn outer(ctrl: &mut WindowController, culprit: i32) -> Result<i32, StepError> {
    let mut sum = 0;
    for writer in 0..ctrl.size() {
        sum += note(ctrl, writer, Does::Fine)?;
        let rank = ctrl.rank();
        let what = if rank == culprit {
            Does::Fail
        } else {
            Does::Fine
        };
        // The same error on all ranks, so that all leave here.
        sum += step(ctrl, what)? - rank;
        let _guard = ctrl.write();
    }
    Ok(sum)
}

/// Fences and collective calls inside a collective call.
fn calls_inside_calls(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let expected: i32 = (0..job.size).map(|writer| writer * 10).sum();
    for _ in 0..20 {
        assert_eq!(outer(&mut ctrl, -1).unwrap(), expected);
    }
    for culprit in 0..job.size {
        let words = outer(&mut ctrl, culprit).unwrap_err().to_string();
        assert!(words.contains(&format!("no data on {culprit}")), "{words}");
        assert_eq!(outer(&mut ctrl, -1).unwrap(), expected);
    }
    still_works(&mut ctrl);
}

#[mpisync::collective]
fn first_call(ctrl: &mut WindowController) -> Result<i32, StepError> {
    Ok(ctrl.rank())
}

#[mpisync::collective]
fn second_call(ctrl: &mut WindowController) -> Result<i32, StepError> {
    Ok(-ctrl.rank())
}

/// Checks that this rank was told that another one is in another call, and where both are.
fn assert_diverged<T: fmt::Debug>(outcome: Result<T, StepError>) {
    match outcome {
        Err(StepError::Fence(error @ FenceError::Diverged { .. })) => {
            let words = error.to_string();
            let places = words.matches("collective.rs:").count();
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

#[mpisync::collective]
fn complain(ctrl: &mut WindowController, culprit: i32, length: usize) -> Result<(), StepError> {
    if ctrl.rank() == culprit {
        return Err(StepError::Own("x".repeat(length)));
    }
    Ok(())
}

/// Errors are told whole up to a length that is enough for a sentence or two, and never garbled.
fn error_texts_of_many_sizes(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for (round, length) in [0, 1, 60, 100, 255, 256, 1_000, 4_096, 100_000]
        .into_iter()
        .enumerate()
    {
        let culprit = round as i32 % job.size;
        match complain(&mut ctrl, culprit, length).unwrap_err() {
            StepError::Own(words) => assert_eq!((job.rank, words.len()), (culprit, length)),
            StepError::Fence(FenceError::Failed { rank, message, .. }) => {
                assert_eq!(rank, culprit);
                assert!(
                    message.len() >= length.min(256),
                    "{} of {length}",
                    message.len()
                );
                let told = message.trim_end_matches(['.', '…', ' ']);
                assert!(
                    length >= told.len() && told.bytes().all(|byte| byte == b'x'),
                    "{message}"
                );
            }
            StepError::Fence(other) => panic!("{other:?}"),
        }
        still_works(&mut ctrl);
    }
}

fn many_calls(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..10_000 {
        match round % 3 {
            0 => assert_eq!(first_call(&mut ctrl).unwrap(), job.rank),
            1 => assert_eq!(second_call(&mut ctrl).unwrap(), -job.rank),
            _ => {
                let from = round % job.size;
                assert_eq!(note(&mut ctrl, from, Does::Fine).unwrap(), 10 * from);
            }
        }
    }
}
