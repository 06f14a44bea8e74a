//! What is left of an observer that is not there.

use crate::span::{About, Outcome};

pub(super) struct Span;

#[inline]
pub(super) fn is_on() -> bool {
    false
}

impl Span {
    pub(super) fn begin(_about: &About<'_>) -> Self {
        Span
    }

    pub(super) fn end(self, _outcome: Outcome) {}
}

/// Passes a report on as an event. Returns whether somebody listens.
#[allow(dead_code, reason = "there may be another subscriber")]
pub(crate) fn warn(_report: &str) -> bool {
    false
}
