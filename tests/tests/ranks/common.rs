//! Helpers for the cases of several files.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use mpisync::{CollectiveError, CreateError, Place, WindowController, WriteGuard};
use mpisync_tests::scratch::{Scratch, until};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The value that each rank has after `writer` shared it. Only the writer's `value` is used.
pub fn shared<T: Serialize + DeserializeOwned>(
    ctrl: &mut WindowController,
    writer: i32,
    value: T,
) -> T {
    let access = ctrl.on(writer).unwrap().single_write();
    access
        .run(move |_| Ok::<T, CollectiveError>(value))
        .unwrap()
}

/// Checks that ranks that make an object with another `argument` get an error that names it.
pub fn differs(outcome: Result<(), CreateError>, argument: &str) {
    let error = outcome.expect_err("the arguments differ").to_string();
    assert!(error.contains(argument), "{error}");
}

/// Checks that a controller works after an error: the lock is free, and fences carry the right
/// value from every rank. There is no barrier before, because the library may not need one.
pub fn still_works(ctrl: &mut WindowController) {
    const SOON: Duration = Duration::from_secs(20);
    drop(
        ctrl.write_timeout(SOON)
            .expect("the lock is free for a writer"),
    );
    for writer in 0..ctrl.size() {
        // Small values, and one that is sent in pieces.
        for words in [1, 60, 20_000] {
            if words > 1_000 && writer != ctrl.size() - 1 {
                continue;
            }
            let right = vec![writer as u32 + 1; words];
            // The others pass another value, which must not be shared.
            let mine = if ctrl.rank() == writer {
                right.clone()
            } else {
                vec![0; 3]
            };
            assert!(
                shared(ctrl, writer, mine) == right,
                "a wrong value of {words} words"
            );
        }
    }
    drop(
        ctrl.read_timeout(SOON)
            .expect("the lock is free for a reader"),
    );
    drop(
        ctrl.write_timeout(SOON)
            .expect("the lock is free for a writer"),
    );
}

/// Checks that `place` lies in `file`, which is the `file!()` of the case.
pub fn assert_here(place: &Place, file: &str) {
    assert_eq!(place.file(), file);
    assert!(place.line() > 0);
    assert_eq!(place.to_string(), format!("{file}:{}", place.line()));
}

/// Writers, some of which always wait: each keeps the lock until others request it. Otherwise a
/// rank would run all its rounds without a break, and the ranks of a busy machine would hardly
/// contend.
pub struct Crowd {
    members: &'static AtomicU64,
    wanting: &'static AtomicU64,
}

impl Crowd {
    /// A crowd of all `size` ranks that call this. Uses the words `first` to `first + 2`.
    pub fn join(scratch: &Scratch, first: usize, size: i32) -> Self {
        let crowd = Self {
            members: scratch.word(first),
            wanting: scratch.word(first + 1),
        };
        crowd.members.fetch_add(1, SeqCst);
        scratch.meet(first + 2, size);
        crowd
    }

    /// Takes the lock for writing. Returns when two other members request it, or all remaining
    /// ones.
    pub fn write<'a>(&self, ctrl: &'a mut WindowController) -> WriteGuard<'a> {
        self.wanting.fetch_add(1, SeqCst);
        let guard = ctrl.write();
        self.wanting.fetch_sub(1, SeqCst);
        until("other writers to come", || {
            // Of two, one has been waiting for some time, and is not just about to request the
            // lock.
            let others = self.members.load(SeqCst) - 1;
            self.wanting.load(SeqCst) >= others.min(2)
        });
        guard
    }

    /// Lets the others continue without this rank.
    pub fn leave(self) {
        self.members.fetch_sub(1, SeqCst);
    }
}

/// An error whose `Display` panics.
#[derive(Debug)]
pub struct Mute;

impl fmt::Display for Mute {
    fn fmt(&self, _: &mut fmt::Formatter) -> fmt::Result {
        panic!("lost for words")
    }
}

impl From<CollectiveError> for Mute {
    fn from(_: CollectiveError) -> Self {
        Mute
    }
}
