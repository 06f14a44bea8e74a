//! Ranks that disagree about the type, the writer or the call.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use mpisync::{Access, CollectiveError, Equivalence, WindowController};
use mpisync_tests::job::Job;
use mpisync_tests::panics::{caught, quietly};
use serde::{Deserialize, Serialize};

use crate::common::{assert_here, still_works};

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    types_differ,
    slice_types_differ,
    slice_lengths_differ,
    value_against_slice,
    collected_types_of_one_name,
    value_cannot_be_decoded,
    no_such_rank,
);

mpisync_tests::cases!(on [2, 3, 4, 8]:
    nobody_is_the_writer,
    everybody_is_the_writer,
    one_rank_disagrees,
    mismatch_without_timeout,
);

const LONG: Duration = Duration::from_secs(20);

fn assert_type_mismatch<T>(outcome: Result<T, CollectiveError>, by: i32, words: [&str; 2]) {
    match outcome.err().expect("the types differ") {
        ref error @ CollectiveError::TypeMismatch {
            writer,
            ref shared,
            ref collected,
            ref here_call,
            ref there_call,
        } => {
            assert_eq!(writer, by);
            assert!(shared.contains(words[0]), "{shared}");
            assert!(collected.contains(words[1]), "{collected}");
            let text = error.to_string();
            assert!(
                text.contains(shared.as_str()) && text.contains(collected.as_str()),
                "{text}"
            );
            assert!(text.contains(&format!("rank {by}")), "{text}");
            for call in [here_call, there_call] {
                let words = call.to_string();
                assert!(
                    words.starts_with("`single_write` of controller at"),
                    "{words}"
                );
                assert_here(call.place(), file!());
                assert!(text.contains(&words), "{text}");
            }
        }
        other => panic!("{other:?}"),
    }
}

fn types_differ(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => assert_eq!(fence.share(7_u32).unwrap(), 7),
            // Decoding would succeed: the bytes are the same.
            Access::Excluded(fence) => {
                assert_type_mismatch(fence.collect::<u64>(), writer, ["u32", "u64"]);
            }
        }
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => drop(fence.share(vec![1_i32; 10_000]).unwrap()),
            Access::Excluded(fence) => {
                assert_type_mismatch(fence.collect::<String>(), writer, ["i32", "String"]);
            }
        }
        // If the value is not kept, its type does not matter.
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => drop(fence.share(String::from("unwanted")).unwrap()),
            Access::Excluded(fence) => fence.wait().unwrap(),
        }
        still_works(&mut ctrl);
    }
}

fn slice_types_differ(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        for length in [1, 100_000] {
            match ctrl.on(writer).unwrap().single_write() {
                Access::Writer(fence) => fence.share_slice(&vec![1_u32; length]).unwrap(),
                Access::Excluded(fence) => {
                    // Of the same size, so only the type differs.
                    assert_type_mismatch(fence.collect_vec::<f32>(), writer, ["u32", "f32"]);
                }
            }
            match ctrl.on(writer).unwrap().single_write() {
                Access::Writer(fence) => fence.share_slice(&vec![1_u32; length]).unwrap(),
                Access::Excluded(fence) => {
                    let mut items = vec![0_u64; length];
                    let outcome = fence.collect_into(&mut items);
                    assert_type_mismatch(outcome, writer, ["u32", "u64"]);
                    assert!(items == vec![0; length], "written in spite of the mismatch");
                }
            }
        }
        still_works(&mut ctrl);
    }
}

fn slice_lengths_differ(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        for (shared, room) in [(10, 9), (9, 10), (0, 1), (1, 0), (100_000, 99_999)] {
            match ctrl.on(writer).unwrap().single_write() {
                Access::Writer(fence) => fence.share_slice(&vec![5_u32; shared]).unwrap(),
                Access::Excluded(fence) => {
                    let mut items = vec![0_u32; room];
                    let outcome = fence.collect_into(&mut items);
                    let error = outcome.expect_err("the lengths differ");
                    let text = error.to_string();
                    let CollectiveError::LengthMismatch {
                        writer: by,
                        shared: found,
                        room: space,
                        here_call,
                        there_call,
                    } = error
                    else {
                        panic!("{error:?}");
                    };
                    assert_eq!((by, found, space), (writer, shared, room));
                    for call in [here_call, there_call] {
                        assert!(text.contains(&call.to_string()), "{text}");
                        assert_here(call.place(), file!());
                    }
                    assert!(items == vec![0; room], "written in spite of the mismatch");
                }
            }
        }
        still_works(&mut ctrl);
    }
}

fn value_against_slice(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => drop(fence.share(vec![1_u8, 2]).unwrap()),
            Access::Excluded(fence) => {
                assert_type_mismatch(fence.collect_vec::<u8>(), writer, ["u8", "u8"]);
            }
        }
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => fence.share_slice(&[1_u8, 2]).unwrap(),
            Access::Excluded(fence) => {
                assert_type_mismatch(fence.collect::<Vec<u8>>(), writer, ["u8", "u8"]);
            }
        }
        still_works(&mut ctrl);
    }
}

/// A type of 4 bytes per item, or one of 8 bytes with the same name.
fn share_one_of_two(ctrl: &mut WindowController, writer: i32, large: bool) -> Vec<CollectiveError> {
    let mut errors = Vec::new();
    for slice in [false, true] {
        let access = ctrl.on(writer).unwrap().single_write();
        let outcome = if large {
            #[derive(Clone, Copy, Serialize, Deserialize, Equivalence)]
            struct Sample(u64);
            match access {
                Access::Writer(fence) if slice => fence.share_slice(&[Sample(3); 50]),
                Access::Writer(fence) => fence.share(Sample(3)).map(drop),
                Access::Excluded(fence) if slice => fence.collect_vec::<Sample>().map(drop),
                Access::Excluded(fence) => fence.collect::<Sample>().map(drop),
            }
        } else {
            #[derive(Clone, Copy, Serialize, Deserialize, Equivalence)]
            struct Sample(u32);
            match access {
                Access::Writer(fence) if slice => fence.share_slice(&[Sample(3); 50]),
                Access::Writer(fence) => fence.share(Sample(3)).map(drop),
                Access::Excluded(fence) if slice => fence.collect_vec::<Sample>().map(drop),
                Access::Excluded(fence) => fence.collect::<Sample>().map(drop),
            }
        };
        errors.extend(outcome.err());
    }
    errors
}

/// Two types of the same name, as two blocks of a function may define them, are distinguished.
fn collected_types_of_one_name(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        for large in [false, true] {
            let writes = job.rank == writer;
            let errors = share_one_of_two(&mut ctrl, writer, large == writes);
            assert_eq!(errors.len(), if writes { 0 } else { 2 });
            let sizes = if large { [8, 4] } else { [4, 8] };
            for error in errors {
                assert!(
                    matches!(error, CollectiveError::TypeMismatch { .. }),
                    "{error:?}"
                );
                let words = error.to_string();
                let [shared, collected] = sizes.map(|size| words.find(&format!("({size} bytes")));
                assert!(shared.is_some() && shared < collected, "{words}");
            }
        }
        still_works(&mut ctrl);
    }
}

/// A type that cannot be decoded.
#[derive(Debug, Serialize, Deserialize)]
#[serde(try_from = "u8")]
struct Picky(u8);

impl TryFrom<u8> for Picky {
    type Error = String;

    fn try_from(_: u8) -> Result<Self, String> {
        Err("never good enough".to_owned())
    }
}

fn value_cannot_be_decoded(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => assert_eq!(fence.share(Picky(3)).unwrap().0, 3),
            Access::Excluded(fence) => {
                let outcome = fence.collect::<Picky>();
                assert!(
                    matches!(outcome, Err(CollectiveError::Decode(_))),
                    "{outcome:?}"
                );
            }
        }
        still_works(&mut ctrl);
    }
}

/// A complete fence whose writer is `writer` according to this rank.
fn fence_on(ctrl: &mut WindowController, writer: i32) -> Result<i32, CollectiveError> {
    match ctrl.on(writer)?.single_write_timeout(LONG)? {
        Access::Writer(fence) => fence.share(writer),
        Access::Excluded(fence) => fence.collect_timeout(LONG),
    }
}

/// Runs a fence on whose writer the ranks disagree. Returns the number of ranks with an error. A
/// rank that agrees with the actual writer may get the value.
fn count_mismatches(job: &Job, ctrl: &mut WindowController, round: usize, named: i32) -> u64 {
    let count = job.scratch.word(2 * round);
    match fence_on(ctrl, named) {
        Ok(value) => assert_eq!(value, named, "the value of another writer"),
        Err(error @ CollectiveError::WriterMismatch { here, .. }) => {
            assert_eq!(here, named);
            assert!(
                error.to_string().contains(&format!("rank {named}")),
                "{error}"
            );
            count.fetch_add(1, SeqCst);
        }
        Err(other) => panic!("{other:?}"),
    }
    still_works(ctrl);
    job.scratch.meet(2 * round + 1, job.size);
    count.load(SeqCst)
}

/// Each rank waits for the next one. For 2 ranks and more.
fn nobody_is_the_writer(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..20 {
        let named = (job.rank + 1) % job.size;
        let mismatches = count_mismatches(job, &mut ctrl, round, named);
        assert_eq!(mismatches, job.size as u64);
    }
}

/// Each rank takes itself for the writer: one is. For 2 ranks and more.
fn everybody_is_the_writer(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..20 {
        let mismatches = count_mismatches(job, &mut ctrl, round, job.rank);
        assert_eq!(mismatches, job.size as u64 - 1);
    }
}

/// One rank names another writer than all the others: itself, or one of them. For 2 ranks and more.
fn one_rank_disagrees(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    let mut round = 0;
    for odd in 0..job.size {
        for writer in [odd, (odd + 1) % job.size] {
            let others_name = (writer + 1) % job.size;
            let named = if job.rank == odd { writer } else { others_name };
            let mismatches = count_mismatches(job, &mut ctrl, round, named);
            assert!(
                mismatches > 0,
                "rank {odd} named {writer}, and nobody noticed"
            );
            round += 1;
        }
    }
}

/// The forms without a timeout do not hang either: they return the error, or panic with its text.
fn mismatch_without_timeout(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for (round, writer) in [job.rank, (job.rank + 1) % job.size]
        .into_iter()
        .enumerate()
    {
        let mismatches = job.scratch.word(2 * round);
        let outcome = quietly(|| {
            caught(AssertUnwindSafe(|| {
                match ctrl.on(writer).unwrap().single_write() {
                    Access::Writer(fence) => fence.share(writer).unwrap(),
                    Access::Excluded(fence) => fence.collect().unwrap(),
                }
            }))
        });
        if let Err(words) = outcome {
            assert!(words.contains("rank"), "{words}");
            mismatches.fetch_add(1, SeqCst);
        }
        still_works(&mut ctrl);
        job.scratch.meet(2 * round + 1, job.size);
        assert!(mismatches.load(SeqCst) > 0, "nobody noticed");
    }
}

/// The rank is checked before any wait, so one rank alone gets the error.
fn no_such_rank(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for wrong in [-1, job.size, i32::MAX, i32::MIN] {
        match ctrl.on(wrong).expect_err("there is no such rank") {
            error @ CollectiveError::NoSuchRank { rank, size } => {
                assert_eq!((rank, size), (wrong, job.size));
                assert!(error.to_string().contains(&wrong.to_string()), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    still_works(&mut ctrl);
}
