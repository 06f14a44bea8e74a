//! `#[mpisync::collective]`: all ranks run the body, and all have the same outcome.

use std::fmt;

use mpisync::{Collective, CollectiveError, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::panics::expect_panic;
use serde::{Deserialize, Serialize};

use crate::calls::{first_call, note, second_call};
use crate::common::{Mute, assert_here, still_works};

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    all_ranks_run_the_body,
    one_rank_fails,
    one_rank_panics,
    several_ranks_fail,
    one_rank_gives_its_value,
    calls_inside_calls,
    first_failure_is_named,
    error_texts_of_many_sizes,
    sharers_differ,
    dropped_collective,
    error_without_words,
    value_panics,
    many_calls,
);

/// An error that is not serializable.
#[derive(Debug)]
pub enum StepError {
    Own(String),
    Fence(CollectiveError),
}

impl fmt::Display for StepError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            StepError::Own(words) => out.write_str(words),
            StepError::Fence(error) => write!(out, "{error}"),
        }
    }
}

impl From<CollectiveError> for StepError {
    fn from(error: CollectiveError) -> Self {
        StepError::Fence(error)
    }
}

/// The behaviour of a rank in a step.
#[derive(Clone, Copy, PartialEq)]
pub enum Does {
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

/// Checks the error of rank `by` with which a step ends, on any rank.
fn assert_failed(job: &Job, by: i32, outcome: Result<i32, StepError>) {
    let expected = format!("no data on {by}");
    match outcome {
        // The rank that failed may keep its own error, which has the same text.
        Err(StepError::Own(words)) => {
            assert_eq!(job.rank, by);
            assert_eq!(words, expected);
        }
        Err(StepError::Fence(
            ref error @ CollectiveError::Failed {
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
                ref error @ CollectiveError::Panicked {
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

/// If several ranks fail, all get the same error. For 2 ranks and more.
fn several_ranks_fail(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for first in 0..job.size {
        let what = if job.rank >= first {
            Does::Fail
        } else {
            Does::Fine
        };
        match step(&mut ctrl, what) {
            Err(StepError::Fence(CollectiveError::Failed { rank, .. })) => assert_eq!(rank, first),
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

/// Ranks that name different sharers get no value. For 2 ranks and more.
fn sharers_differ(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for odd in 0..job.size {
        let from = (job.rank == odd).into();
        match choose(&mut ctrl, from, Does::Fine) {
            Ok(plan) => assert_eq!((job.size, plan.rank), (1, 1)),
            Err(StepError::Fence(
                ref error @ CollectiveError::WriterMismatch {
                    here, rank, there, ..
                },
            )) => {
                assert_eq!(here, from);
                assert_eq!(there, 1 - from);
                assert!(job.rank == odd || rank == odd);
                let words = error.to_string();
                assert!(
                    words.contains("rank 0") && words.contains("rank 1"),
                    "{words}"
                );
            }
            // With one rank there is no rank 1.
            Err(StepError::Fence(CollectiveError::NoSuchRank { .. })) => assert_eq!(job.size, 1),
            Err(other) => panic!("{other:?}"),
        }
        assert_eq!(choose(&mut ctrl, 0, Does::Fine).unwrap(), plan(0));
        still_works(&mut ctrl);
    }
}

/// A rank that leaves a call without an outcome notifies the others, and is not inside the call any
/// more.
fn dropped_collective(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..4 * job.size {
        let odd = round % job.size;
        let panics = round / job.size % 2 == 0;
        let call = Collective::enter(&mut ctrl, "step").unwrap();
        if job.rank != odd {
            let outcome = call.agree(&mut ctrl, Ok(Ok::<(), CollectiveError>(())));
            match outcome.unwrap_err() {
                CollectiveError::Failed { rank, .. } => assert!(!panics && rank == odd),
                CollectiveError::Panicked { rank, .. } => assert!(panics && rank == odd),
                other => panic!("{other:?}"),
            }
        } else if panics {
            expect_panic(move || {
                let _call = call;
                panic!("out of luck");
            });
        } else {
            drop(call);
        }
        still_works(&mut ctrl);
        assert_eq!(first_call(&mut ctrl).unwrap(), job.rank);
    }
}

#[mpisync::collective]
fn mutter(ctrl: &mut WindowController, culprit: i32) -> Result<(), Mute> {
    if ctrl.rank() == culprit {
        return Err(Mute);
    }
    Ok(())
}

/// An error whose `Display` panics reaches the others with another text.
fn error_without_words(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for culprit in 0..job.size {
        let outcome = mpisync_tests::panics::quietly(|| mutter(&mut ctrl, culprit));
        assert!(outcome.is_err());
        still_works(&mut ctrl);
    }
}

/// A value whose `Serialize` panics.
#[derive(Debug, Deserialize)]
struct Explosive;

impl Serialize for Explosive {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("not for travel")
    }
}

#[mpisync::collective(share = from)]
fn pass_explosive(ctrl: &mut WindowController, from: i32) -> Result<Explosive, StepError> {
    let _ = ctrl.rank();
    Ok(Explosive)
}

/// A value whose `Serialize` panics is an error on all ranks.
fn value_panics(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for from in 0..job.size {
        let outcome = mpisync_tests::panics::quietly(|| pass_explosive(&mut ctrl, from));
        let words = outcome.unwrap_err().to_string();
        assert!(words.contains("not for travel"), "{words}");
        still_works(&mut ctrl);
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
        // The same error on all ranks, so that all return here.
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

/// Checks that `culprit` has its own error, and that it alone is named on all others.
#[track_caller]
fn assert_named(job: &Job, outcome: Result<i32, StepError>, culprit: i32) {
    let told = format!("no data on {culprit}");
    match outcome.unwrap_err() {
        StepError::Own(words) => assert_eq!((job.rank, words), (culprit, told)),
        StepError::Fence(CollectiveError::Failed { rank, message, .. }) => {
            assert_eq!((rank, message), (culprit, told));
        }
        other => panic!("{other:?}"),
    }
}

#[mpisync::collective]
fn pass_on(ctrl: &mut WindowController, culprit: i32, depth: u32) -> Result<i32, StepError> {
    match depth {
        0 if culprit == ctrl.rank() => step(ctrl, Does::Fail),
        0 => step(ctrl, Does::Fine),
        _ => pass_on(ctrl, culprit, depth - 1),
    }
}

#[mpisync::collective]
fn pass_on_writer(ctrl: &mut WindowController, culprit: i32) -> Result<i32, StepError> {
    note(ctrl, culprit, Does::Fail)
}

#[mpisync::collective]
fn unwrap_on_rank_0(ctrl: &mut WindowController, culprit: i32) -> Result<i32, StepError> {
    let outcome = pass_on_writer(ctrl, culprit);
    if ctrl.rank() == 0 && culprit != 0 {
        return Ok(outcome.unwrap());
    }
    outcome
}

#[mpisync::collective]
fn fail_after_another(
    ctrl: &mut WindowController,
    first: i32,
    second: i32,
) -> Result<i32, StepError> {
    pass_on(ctrl, first, 0).unwrap_err();
    if ctrl.rank() == second {
        return step_alone(second);
    }
    Ok(0)
}

fn step_alone(rank: i32) -> Result<i32, StepError> {
    Err(StepError::Own(format!("no data on {rank}")))
}

/// The rank that failed first is named, however many calls pass its error on.
fn first_failure_is_named(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for culprit in 0..job.size {
        for depth in 0..4 {
            assert_named(job, pass_on(&mut ctrl, culprit, depth), culprit);
        }
        assert_named(job, pass_on_writer(&mut ctrl, culprit), culprit);
        let outcome = mpisync_tests::panics::quietly(|| unwrap_on_rank_0(&mut ctrl, culprit));
        assert_named(job, outcome, culprit);
        // A failure that was dealt with is not the reason of the next one.
        let second = (culprit + 1) % job.size;
        assert_named(job, fail_after_another(&mut ctrl, culprit, second), second);
        assert_named(
            job,
            fail_after_another(&mut ctrl, culprit, culprit),
            culprit,
        );
    }
    still_works(&mut ctrl);
}

#[mpisync::collective]
fn complain(ctrl: &mut WindowController, culprit: i32, length: usize) -> Result<(), StepError> {
    if ctrl.rank() == culprit {
        return Err(StepError::Own("x".repeat(length) + ": root cause"));
    }
    Ok(())
}

/// Errors are told whole up to a length that is enough for a sentence or two, never garbled, and always with their end.
fn error_texts_of_many_sizes(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for (round, length) in [0, 1, 60, 100, 255, 256, 1_000, 4_096, 100_000]
        .into_iter()
        .enumerate()
    {
        let culprit = round as i32 % job.size;
        match complain(&mut ctrl, culprit, length).unwrap_err() {
            StepError::Own(words) => {
                assert_eq!(
                    (job.rank, words.len()),
                    (culprit, length + ": root cause".len())
                );
            }
            StepError::Fence(CollectiveError::Failed { rank, message, .. }) => {
                assert_eq!(rank, culprit);
                assert!(
                    message.len() >= length.min(256),
                    "{} of {length}",
                    message.len()
                );
                let told = message.strip_suffix(": root cause");
                let told = told.expect("the end is there").replacen(" … ", "", 1);
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
