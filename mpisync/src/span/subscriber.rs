//! Spans and events for the subscriber of the program.
//!
//! The names of the fields follow the [conventions] of OpenTelemetry.
//!
//! [conventions]: https://opentelemetry.io/docs/specs/semconv/

use crate::span::{About, Activity, Outcome};
use tracing::{Level, field};

/// Whether a subscriber may want spans.
#[inline]
pub(super) fn is_on() -> bool {
    tracing::level_enabled!(Level::DEBUG)
}

pub(super) struct Span(tracing::Span);

/// A span of this name with these fields.
macro_rules! span {
    ($name:literal, $about:expr) => {{
        let about: &About<'_> = $about;
        let keeper = about.keeper;
        let keeper_place = keeper.and_then(|keeper| keeper.place);
        tracing::debug_span!(
            target: "mpisync",
            $name,
            mpisync.object.kind = about.kind,
            mpisync.object.name = about.name,
            mpisync.call = about.call,
            mpisync.rank = about.rank,
            mpisync.size = about.size,
            mpisync.node = about.node,
            mpisync.task.index = about.task,
            mpisync.keeper.rank = keeper.map(|keeper| keeper.rank),
            mpisync.keeper.role = keeper.map(|keeper| keeper.role),
            mpisync.keeper.file = keeper_place.map(|(file, _)| file),
            mpisync.keeper.line = keeper_place.map(|(_, line)| line),
            code.file.path = about.place.map(|(file, _)| file),
            code.line.number = about.place.map(|(_, line)| line),
            mpisync.outcome = field::Empty,
            otel.status_code = field::Empty,
        )
    }};
}

impl Span {
    pub(super) fn begin(about: &About<'_>) -> Self {
        Span(match about.activity {
            Activity::Wait => span!("wait", about),
            Activity::Read => span!("read", about),
            Activity::Write => span!("write", about),
            Activity::Hold => span!("hold", about),
            Activity::Collective => span!("collective", about),
            Activity::Task => span!("task", about),
        })
    }

    pub(super) fn end(self, outcome: Outcome) {
        self.0.record("mpisync.outcome", outcome.name());
        if matches!(outcome, Outcome::Timeout | Outcome::Failure) {
            self.0.record("otel.status_code", "ERROR");
        }
    }
}

/// Passes a report on as an event. Returns whether somebody listens.
pub(crate) fn warn(report: &str) -> bool {
    let is_heard = tracing::event_enabled!(target: "mpisync", Level::WARN);
    if is_heard {
        tracing::warn!(target: "mpisync", "{report}");
    }
    is_heard
}
