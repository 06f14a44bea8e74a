//! Spans: what a rank waits for, and what it holds, for a subscriber of the crate `tracing` and for a
//! trace file.
//!
//! Without the features `tracing` and `trace` nobody observes, and the compiler removes the calls.

#[cfg(any(feature = "trace", feature = "inspect"))]
pub(crate) mod file;
#[cfg(not(all(feature = "tracing", feature = "trace")))]
mod nobody;
#[cfg(feature = "tracing")]
mod subscriber;

#[cfg(not(feature = "trace"))]
use crate::span::nobody as recorder;
#[cfg(not(feature = "tracing"))]
use crate::span::nobody as subscriber;
#[cfg(feature = "trace")]
use file::recorder;
use std::cell::{Cell, RefCell};
use std::thread;
pub(crate) use subscriber::warn;

/// What a rank does for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Activity {
    /// It waits.
    Wait,
    /// It holds a read lock.
    Read,
    /// It holds a write lock.
    Write,
    /// It holds a mutex, permits or the turn.
    Hold,
    /// It is in a `#[collective]` call.
    Collective,
    /// It has a task of a batch.
    Task,
}

impl Activity {
    /// All activities, by their numbers.
    #[cfg(feature = "inspect")]
    pub const ALL: [Self; 6] = [
        Activity::Wait,
        Activity::Read,
        Activity::Write,
        Activity::Hold,
        Activity::Collective,
        Activity::Task,
    ];

    /// The name of the activity.
    pub fn name(self) -> &'static str {
        match self {
            Activity::Wait => "wait",
            Activity::Read => "read",
            Activity::Write => "write",
            Activity::Hold => "hold",
            Activity::Collective => "collective",
            Activity::Task => "task",
        }
    }
}

/// How a span ends.
#[allow(dead_code, reason = "only a reader of traces finds open ones")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It has not ended.
    Open,
    /// What it waited for has come, or what it held was released.
    Success,
    /// The time limit of the wait has passed.
    Timeout,
    /// By an error or a panic.
    Failure,
    /// The future that waited was dropped.
    Dropped,
}

#[cfg(any(feature = "tracing", feature = "inspect"))]
impl Outcome {
    /// All outcomes, by their numbers.
    #[cfg(feature = "inspect")]
    pub const ALL: [Self; 5] = [
        Outcome::Open,
        Outcome::Success,
        Outcome::Timeout,
        Outcome::Failure,
        Outcome::Dropped,
    ];

    /// The name of the outcome.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Open => "open",
            Outcome::Success => "success",
            Outcome::Timeout => "timeout",
            Outcome::Failure => "failure",
            Outcome::Dropped => "dropped",
        }
    }
}

/// What a span says from its beginning.
#[allow(dead_code, reason = "each observer takes what it can show")]
pub(crate) struct About<'a> {
    pub(crate) activity: Activity,
    /// The kind of the object, such as `mutex`.
    pub(crate) kind: &'a str,
    /// The name of the object.
    pub(crate) name: &'a str,
    /// Differs between the objects of a communicator; 0 if not known.
    pub(crate) object: u64,
    /// The number of the communicator; 0 if it has none.
    pub(crate) communicator: u64,
    /// This rank in the object's communicator.
    pub(crate) rank: u32,
    /// How many ranks that has.
    pub(crate) size: usize,
    /// The number of this rank's node.
    pub(crate) node: u32,
    /// The call that waits, or by which this rank holds the object.
    pub(crate) call: &'a str,
    /// The place of the call in the program, file and line, if known.
    pub(crate) place: Option<(&'a str, u32)>,
    /// Of a wait: the rank that keeps this one waiting, if known.
    pub(crate) keeper: Option<Keeper>,
    /// The index of the task, of a batch.
    pub(crate) task: Option<usize>,
}

/// A rank that keeps another one waiting.
#[allow(dead_code, reason = "each observer takes what it can show")]
#[derive(Clone, Copy)]
pub(crate) struct Keeper {
    pub(crate) rank: u32,
    /// Why the other one waits for it, such as "holds it".
    pub(crate) role: &'static str,
    /// Where it has taken what the other one waits for, if known.
    pub(crate) place: Option<(&'static str, u32)>,
}

/// A span that somebody observes.
struct Span {
    subscriber: subscriber::Span,
    recorder: recorder::Span,
}

/// Whether this process has a trace file.
pub(crate) fn is_recorded() -> bool {
    recorder::is_on()
}

/// Whether somebody observes.
#[inline]
fn is_observed() -> bool {
    subscriber::is_on() || recorder::is_on()
}

impl Span {
    fn begin(about: &About<'_>) -> Self {
        Span {
            subscriber: subscriber::Span::begin(about),
            recorder: recorder::Span::begin(about),
        }
    }

    /// Ends it for the recorder; for the subscriber once the result is dropped.
    fn end(self, outcome: Outcome) -> Ended {
        self.recorder.end(outcome);
        Ended(Some((self.subscriber, outcome)))
    }
}

/// A span that has ended, as the subscriber will hear when this is dropped. The subscriber is code of the
/// program, which may panic or use the object, so the rank first lets go of what it held.
#[derive(Default)]
#[must_use = "the subscriber hears when it is dropped"]
pub(crate) struct Ended(Option<(subscriber::Span, Outcome)>);

impl Drop for Ended {
    #[inline]
    fn drop(&mut self) {
        if let Some((span, outcome)) = self.0.take() {
            span.end(outcome);
        }
    }
}

/// What this rank holds. The span lasts from the first of several guards to the last one.
#[derive(Default)]
pub(crate) struct Hold {
    /// Whether there is a span: a release looks at this alone.
    is_open: Cell<bool>,
    span: RefCell<Option<Span>>,
}

impl Hold {
    /// Whether there can be a span.
    const POSSIBLE: bool = cfg!(any(feature = "trace", feature = "tracing"));

    /// Begins a span, if somebody observes and there is none yet.
    #[inline]
    pub(crate) fn begin<'a>(&self, about: impl FnOnce() -> About<'a>) {
        if is_observed() && !self.is_open.get() {
            self.begin_span(&about());
        }
    }

    #[cold]
    fn begin_span(&self, about: &About<'_>) {
        *self.span.borrow_mut() = Some(Span::begin(about));
        self.is_open.set(true);
    }

    /// Ends the span, if there is one. It fails if this thread panics.
    #[inline]
    pub(crate) fn end(&self) -> Ended {
        self.end_as(Outcome::Success)
    }

    /// Ends the span with this outcome, if there is one. It fails if this thread panics.
    #[inline]
    pub(crate) fn end_as(&self, outcome: Outcome) -> Ended {
        if Self::POSSIBLE && self.is_open.get() {
            return self.end_span(outcome);
        }
        Ended::default()
    }

    #[cold]
    fn end_span(&self, outcome: Outcome) -> Ended {
        self.is_open.set(false);
        let span = self.span.borrow_mut().take();
        let outcome = match thread::panicking() {
            true => Outcome::Failure,
            false => outcome,
        };
        span.map(|span| span.end(outcome)).unwrap_or_default()
    }
}

impl Drop for Hold {
    #[inline]
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// A wait of this rank.
pub(crate) struct Wait(Option<Span>);

impl Wait {
    /// Begins a span, if somebody observes and the wait says what it is.
    #[inline]
    pub(crate) fn begin<'a>(about: impl FnOnce() -> Option<About<'a>>) -> Self {
        let about = if is_observed() { about() } else { None };
        Wait(about.as_ref().map(Span::begin))
    }

    /// Ends the span, if it has not ended.
    #[inline]
    pub(crate) fn end(&mut self, outcome: Outcome) {
        if let Some(span) = self.0.take() {
            drop(span.end(outcome));
        }
    }
}
