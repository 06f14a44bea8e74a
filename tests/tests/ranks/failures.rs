//! The errors of the other ranks when the writer has no value for them.

use std::fmt;

use mpisync::{Access, CollectiveError, Excluded, Fence, Place, Writer};
use mpisync_tests::job::Job;
use mpisync_tests::panics::{expect_panic, quietly};
use serde::Serialize;
use serde::ser::Error;

use crate::common::{Mute, assert_here, still_works};

mpisync_tests::cases!(on [1, 2, 3, 4, 8]:
    writer_fails_in_closure,
    writer_fails_with_reason,
    writer_fails_with_result,
    writer_panics_in_closure,
    writer_panics_in_match,
    writer_drops_its_fence,
    writer_drops_its_access,
    value_cannot_be_encoded,
    error_cannot_be_displayed,
    failures_in_a_row,
);

/// An error of the program that is not serializable.
#[derive(Debug)]
pub enum OwnError {
    DiskFull,
    Fence(CollectiveError),
}

impl fmt::Display for OwnError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            OwnError::DiskFull => write!(out, "the disk is full"),
            OwnError::Fence(error) => write!(out, "no value: {error}"),
        }
    }
}

impl From<CollectiveError> for OwnError {
    fn from(error: CollectiveError) -> Self {
        OwnError::Fence(error)
    }
}

/// All ways to ask for a value that does not arrive; each must give the same error.
const WAYS: usize = 6;

fn error_of(fence: Fence<Excluded>, way: usize) -> CollectiveError {
    match way % WAYS {
        0 => fence.collect::<u32>().unwrap_err(),
        1 => fence.collect::<String>().unwrap_err(),
        2 => fence.collect_vec::<u16>().unwrap_err(),
        3 => fence.collect_into(&mut [0_i64; 4]).unwrap_err(),
        4 => fence.wait().unwrap_err(),
        _ => {
            let long = std::time::Duration::from_secs(20);
            fence.collect_timeout::<u32>(long).unwrap_err()
        }
    }
}

/// One fence for each writer and each way to collect: `write` fails on the writer, `check` checks
/// the error of the others, and then the controller must still work.
fn for_each_writer(job: &Job, write: impl Fn(Fence<Writer>), check: impl Fn(i32, CollectiveError)) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        for way in 0..WAYS {
            match ctrl.on(writer).unwrap().single_write() {
                Access::Writer(fence) => write(fence),
                Access::Excluded(fence) => check(writer, error_of(fence, way)),
            }
        }
        // The form with a handle gets the same error.
        let access = ctrl.on(writer).unwrap().single_write();
        if job.rank == writer {
            write(access.writer().unwrap().expect("this rank is the writer"));
        } else {
            match access.writer() {
                Err(error) => check(writer, error),
                Ok(_) => panic!("the writer failed"),
            }
        }
        still_works(&mut ctrl);
    }
}

fn assert_failed(writer: i32, error: &CollectiveError, expected: &str) {
    match error {
        CollectiveError::WriterFailed {
            rank,
            place,
            message,
        } => {
            assert_eq!(*rank, writer);
            assert_here(place, file!());
            assert_eq!(message, expected);
            assert_named(error, writer, place, message);
        }
        other => panic!("{other:?}"),
    }
}

/// The text of the error has everything that a reader of a log needs.
fn assert_named(error: &CollectiveError, writer: i32, place: &Place, message: &str) {
    let words = error.to_string();
    assert!(words.contains(&format!("rank {writer}")), "{words}");
    assert!(words.contains(&place.to_string()), "{words}");
    assert!(words.contains(message), "{words}");
}

/// The writer keeps its own error; the others get its text.
fn writer_fails_in_closure(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        let access = ctrl.on(writer).unwrap().single_write();
        let outcome = access.run(|_| Err::<u32, OwnError>(OwnError::DiskFull));
        match outcome.expect_err("the writer failed") {
            OwnError::DiskFull => {
                assert_eq!(job.rank, writer, "the error did not travel as itself")
            }
            OwnError::Fence(error) => {
                assert_ne!(job.rank, writer);
                assert_failed(writer, &error, "the disk is full");
            }
        }
        still_works(&mut ctrl);
    }
}

fn writer_fails_with_reason(job: &Job) {
    let write = |fence: Fence<Writer>| {
        let rank = fence.controller().rank();
        assert_failed(rank, &fence.fail(OwnError::DiskFull), "the disk is full");
    };
    for_each_writer(job, write, |writer, error| {
        assert_failed(writer, &error, "the disk is full")
    });
}

fn writer_fails_with_result(job: &Job) {
    let write = |fence: Fence<Writer>| {
        let outcome = fence.share_result(Err::<u32, OwnError>(OwnError::DiskFull));
        assert!(matches!(outcome, Err(OwnError::DiskFull)), "{outcome:?}");
    };
    for_each_writer(job, write, |writer, error| {
        assert_failed(writer, &error, "the disk is full")
    });
}

fn assert_panicked(writer: i32, error: &CollectiveError) -> String {
    match error {
        CollectiveError::WriterPanicked {
            rank,
            place,
            message,
        } => {
            assert_eq!(*rank, writer);
            assert_here(place, file!());
            assert_named(error, writer, place, message);
            message.clone()
        }
        other => panic!("{other:?}"),
    }
}

/// The writer's panic continues, and its message reaches the others.
fn writer_panics_in_closure(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        if job.rank == writer {
            let words = expect_panic(|| {
                let access = ctrl.on(writer).unwrap().named("paper").single_write();
                access.run(|_| -> Result<u32, OwnError> { panic!("no paper on rank {writer}") })
            });
            assert!(words.contains("no paper"), "{words}");
        } else {
            let access = ctrl.on(writer).unwrap().named("paper").single_write();
            match access.run(|_| -> Result<u32, OwnError> { unreachable!("on the writer only") }) {
                Err(OwnError::Fence(error)) => {
                    let message = assert_panicked(writer, &error);
                    assert!(
                        message.contains(&format!("no paper on rank {writer}")),
                        "{message}"
                    );
                }
                other => panic!("{other:?}"),
            }
        }
        still_works(&mut ctrl);
    }
}

/// A panic that drops the fence is distinguished from a forgotten fence.
fn writer_panics_in_match(job: &Job) {
    let write = |fence: Fence<Writer>| {
        expect_panic(move || {
            let _fence = fence;
            panic!("no paper");
        });
    };
    for_each_writer(job, write, |writer, error| {
        assert_panicked(writer, &error);
    });
}

fn assert_unshared(writer: i32, error: &CollectiveError) {
    match error {
        CollectiveError::Unshared { rank, place } => {
            assert_eq!(*rank, writer);
            assert_here(place, file!());
            assert_named(error, writer, place, "");
        }
        other => panic!("{other:?}"),
    }
}

fn writer_drops_its_fence(job: &Job) {
    for_each_writer(
        job,
        |fence| drop(fence),
        |writer, error| assert_unshared(writer, &error),
    );
}

fn writer_drops_its_access(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for writer in 0..job.size {
        match ctrl.on(writer).unwrap().single_write() {
            access if job.rank == writer => drop(access),
            Access::Excluded(fence) => {
                assert_unshared(writer, &fence.collect::<u32>().unwrap_err())
            }
            Access::Writer(_) => panic!("rank {writer} is the writer"),
        }
        still_works(&mut ctrl);
    }
}

/// A value that fails in the middle of its serialization.
struct Stubborn;

impl Serialize for Stubborn {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(S::Error::custom("not for travel"))
    }
}

fn value_cannot_be_encoded(job: &Job) {
    let write = |fence: Fence<Writer>| {
        let outcome = fence.share(vec![Stubborn, Stubborn]).map(|_| ());
        assert!(
            matches!(outcome, Err(CollectiveError::Encode(_))),
            "{outcome:?}"
        );
    };
    for_each_writer(job, write, |writer, error| {
        let words = error.to_string();
        assert!(
            matches!(error, CollectiveError::WriterFailed { rank, .. } if rank == writer),
            "{error:?}"
        );
        assert!(words.contains(&format!("rank {writer}")), "{words}");
    });
}

/// The others get an error even if it has no text.
fn error_cannot_be_displayed(job: &Job) {
    let write = |fence: Fence<Writer>| {
        let outcome = quietly(|| fence.share_result(Err::<u32, Mute>(Mute)));
        assert!(outcome.is_err());
    };
    for_each_writer(job, write, |writer, error| match error {
        CollectiveError::WriterFailed { rank, message, .. } => {
            assert_eq!(rank, writer);
            assert!(message.contains("lost for words"), "{message}");
        }
        other => panic!("{other:?}"),
    });
}

/// Many failures of all kinds, one after the other without a barrier, are each reported correctly.
fn failures_in_a_row(job: &Job) {
    let mut ctrl = mpisync::sync(&job.world).unwrap();
    for round in 0..500 {
        let writer = round % job.size;
        match ctrl.on(writer).unwrap().single_write() {
            Access::Writer(fence) => go_wrong(fence, round),
            Access::Excluded(fence) => hear_of(fence, writer, round),
        }
    }
    still_works(&mut ctrl);
}

fn go_wrong(fence: Fence<Writer>, round: i32) {
    match round % 5 {
        0 => drop(fence.fail(format!("reason {round}"))),
        1 => drop(fence),
        2 => fence.done().unwrap(),
        3 => {
            expect_panic(move || {
                let _fence = fence;
                panic!("no paper");
            });
        }
        _ => assert_eq!(fence.share(round).unwrap(), round),
    }
}

fn hear_of(fence: Fence<Excluded>, writer: i32, round: i32) {
    match round % 5 {
        0 => assert_failed(
            writer,
            &fence.wait().unwrap_err(),
            &format!("reason {round}"),
        ),
        1 => assert_unshared(writer, &fence.wait().unwrap_err()),
        2 => fence.wait().unwrap(),
        3 => drop(assert_panicked(writer, &fence.wait().unwrap_err())),
        _ => assert_eq!(fence.collect::<i32>().unwrap(), round),
    }
}
