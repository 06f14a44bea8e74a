//! The collectors' side of a fenced call.

use crate::error::CollectiveError;
use crate::share::calls::FencedCall;
use crate::share::layout::{INLINE, INLINE_VALUE, OBJECT_VALUE, STAGED_VALUE};
use crate::share::payload;
use crate::share::payload::Kind;
use crate::share::remote::read_object;
use crate::share::stream::{Discard, Sink};
use crate::shm::cells;
use crate::shm::wait::{Deadline, Stop, WithSpinBudget, wait};
use crate::shm::waiting::Awaited;
use crate::shm::waiting::want::{Want, Wanted};
use serde::de::DeserializeOwned;
use std::sync::atomic::Ordering;
use std::time::Duration;

impl FencedCall<'_> {
    /// Takes the value that `writer` shares, and ends this rank's part. `open` makes the sink for a
    /// value of the given length. Without a `kind` any value will do.
    pub(crate) fn collect<S: Sink>(
        &self,
        writer: usize,
        kind: Option<Kind>,
        limit: Option<Duration>,
        open: impl FnOnce(u64) -> Result<S, CollectiveError>,
    ) -> Result<S, CollectiveError> {
        let place = WithSpinBudget {
            place: self.block,
            spin_budget: self.spin_budget,
        };
        let awaited = || Awaited::all([writer as u32], "has not shared its value");
        let subject = self.awaits(awaited).wanted(self.want(writer));
        let waiting = self.waiting(&subject, "collect");
        let published = wait(
            &place,
            self.published(),
            Deadline::within(limit).of(waiting),
            || self.is_published().then_some(()),
            || {
                if let Some(outer) = self.outer {
                    (outer.poll)();
                }
                self.inspect(writer).map_err(Interrupted::Failed)
            },
        );
        let taken = match published {
            Ok(()) => (self.take(writer, kind, open)).and_then(|taken| match taken {
                Taken::Whole(sink) => Ok(sink),
                Taken::Staged(mut sink, length) => self
                    .receive_chunks(writer, length, &mut sink)
                    .map(|()| sink),
            }),
            Err(Interrupted::Failed(error)) => Err(error),
            Err(Interrupted::Stopped) => {
                self.announce_wait(writer);
                let waited = limit.unwrap_or(Duration::MAX);
                let report = waiting.report(waited);
                Err(CollectiveError::Timeout { waited, report })
            }
        };
        self.finish();
        taken
    }

    /// What a collector waits for. None in a part of another call, which may end for other reasons.
    fn want(&self, writer: usize) -> Option<Want> {
        let of = self.block.global().filter(|_| self.outer.is_none())?;
        let posted = &self.block.domain().my_arrival_slot().posted;
        let value = Wanted::Value {
            call: self.number.0,
            writer: writer as u32,
            meetings: posted.load(Ordering::Relaxed),
        };
        Some(Want::of_each(of, value))
    }

    /// [`collect`](Self::collect) for an encoded value.
    pub(crate) fn collect_encoded<T: DeserializeOwned>(
        &self,
        writer: usize,
        limit: Option<Duration>,
    ) -> Result<T, CollectiveError> {
        let kind = Some(Kind::serde::<T>());
        let room = |length| Ok(Vec::with_capacity(length as usize));
        let bytes = self.collect(writer, kind, limit, room)?;
        payload::decode(&bytes)
    }

    /// Waits until `writer` has shared any value.
    pub(crate) fn wait(&self, writer: usize) -> Result<(), CollectiveError> {
        self.collect(writer, None, None, |_| Ok(Discard)).map(drop)
    }

    /// Ends this rank's part without waiting for `writer`.
    pub(crate) fn leave(&self, writer: usize) {
        self.announce_wait(writer);
        self.finish();
    }

    /// The error if the value of `writer` has not as many items as this rank has space for.
    #[cold]
    pub(crate) fn length_mismatch(
        &self,
        writer: i32,
        shared: usize,
        room: usize,
    ) -> CollectiveError {
        CollectiveError::LengthMismatch {
            here_call: self.here(),
            there_call: self.writers_call(),
            writer,
            shared,
            room,
        }
    }

    /// Takes a value that is published, but for a large one of this node, which comes in chunks.
    pub(super) fn take<S: Sink>(
        &self,
        writer: usize,
        kind: Option<Kind>,
        open: impl FnOnce(u64) -> Result<S, CollectiveError>,
    ) -> Result<Taken<S>, CollectiveError> {
        let record = self.record();
        let author = record.writer.load(Ordering::Relaxed) as usize;
        if let Err(error) = self.check_site(author) {
            self.notify_diverged(author);
            return Err(error);
        }
        if author != writer {
            let call = Some(self.writers_call());
            return Err(self.writer_mismatch(writer, author, author, call));
        }
        let outcome = record.outcome.load(Ordering::Relaxed);
        if !matches!(outcome, INLINE_VALUE | STAGED_VALUE | OBJECT_VALUE) {
            return Err(record.failure(outcome));
        }
        if let Some(kind) = kind {
            let layout = record.layout.load(Ordering::Relaxed);
            if !kind.is(record.kind.load(Ordering::Relaxed), layout) {
                let (shared, collected) = kind.mismatch(record.label.get(), layout);
                return Err(CollectiveError::TypeMismatch {
                    here_call: self.here(),
                    there_call: self.writers_call(),
                    writer: writer as i32,
                    shared,
                    collected,
                });
            }
        }
        let length = record.length.load(Ordering::Relaxed);
        let mut sink = open(length)?;
        if outcome == INLINE_VALUE {
            let mut bytes = [0; INLINE];
            let bytes = &mut bytes[..(length as usize).min(INLINE)];
            cells::copy_out(&record.data, bytes);
            sink.put(bytes);
        } else if kind.is_none() {
            // The caller does not want the value.
        } else if outcome == OBJECT_VALUE {
            read_object(record, length, &mut sink)?;
        } else {
            return Ok(Taken::Staged(sink, length));
        }
        Ok(Taken::Whole(sink))
    }
}

/// A value that is published.
pub(super) enum Taken<S> {
    Whole(S),
    /// It comes in chunks, and has this length.
    Staged(S, u64),
}

/// Why a wait for a writer ended early.
pub(super) enum Interrupted {
    Stopped,
    Failed(CollectiveError),
}

impl From<Stop> for Interrupted {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::HostLost(_) | Stop::Deadlock | Stop::Interrupted => {
                Interrupted::Failed(stop.into_error().into())
            }
            _ => Interrupted::Stopped,
        }
    }
}

impl Interrupted {
    pub(super) fn into_error(self) -> CollectiveError {
        match self {
            Interrupted::Failed(error) => error,
            Interrupted::Stopped => unreachable!("there is no deadline"),
        }
    }
}
