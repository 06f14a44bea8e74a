//! The reasons why a call has no value, as words of a record and as text for other ranks.

use crate::error::{CollectiveError, panic_text};
use crate::rendezvous;
use crate::share::layout::{FAILED, PANICKED, Record, UNSHARED};
use std::any::Any;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

/// Why there is no value.
#[derive(Clone, Copy)]
pub(crate) enum Failure<'a> {
    Failed(&'a str),
    Panicked(&'a str),
    Unshared,
}

impl<'a> Failure<'a> {
    /// The outcome and the reason in a record.
    pub(super) fn to_words(self) -> (u32, &'a str) {
        match self {
            Failure::Failed(reason) => (FAILED, reason),
            Failure::Panicked(message) => (PANICKED, message),
            Failure::Unshared => (UNSHARED, ""),
        }
    }
}

impl Record {
    /// The error of a collector for this record's outcome, which is not a value.
    pub(super) fn failure(&self, outcome: u32) -> CollectiveError {
        rendezvous::count_failure();
        let rank = self.writer.load(Ordering::Relaxed) as i32;
        let place = self.place();
        match outcome {
            UNSHARED => CollectiveError::Unshared { rank, place },
            PANICKED => CollectiveError::WriterPanicked {
                rank,
                place,
                message: self.reason.get(),
            },
            _ => CollectiveError::WriterFailed {
                rank,
                place,
                message: self.reason.get(),
            },
        }
    }
}

/// The message of a panic, if it has one.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    panic_text(panic)
        .unwrap_or("a panic without a text")
        .to_owned()
}

/// The text of an error. Other ranks wait for it, so there is one even if its `Display` panics.
pub(crate) fn text_of(error: &impl Display) -> String {
    catch_unwind(AssertUnwindSafe(|| format!("{error:#}"))).unwrap_or_else(|panic| {
        let message = panic_message(panic.as_ref());
        format!("an error whose `Display` panicked: {message}")
    })
}
