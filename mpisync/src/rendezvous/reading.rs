//! What a rank reads from the others' announcements.

use crate::error::{CollectiveError, ObjectCall};
use crate::location::Place;
use crate::rendezvous::arrival::{Arrival, Outcome, Payload, Reason, Step};
use crate::rendezvous::count_failure;
use crate::shm::arrival::{Announcement, FAILED, FINE, PASSED_ON};
use std::sync::atomic::Ordering;

/// The result of a meeting: one reading for each rank that took part, by rank. Must be read before
/// this rank goes to another meeting.
pub(crate) struct Rendezvous<'a>(Vec<Reading<'a>>);

impl Rendezvous<'_> {
    /// What the ranks have brought, with each rank.
    pub(crate) fn payloads(&self) -> impl Iterator<Item = (usize, &Payload)> {
        self.0.iter().map(|there| (there.rank, &there.payload))
    }

    /// The call of a rank that took part.
    pub(crate) fn call(&self, rank: usize) -> ObjectCall {
        let there = self.0.iter().find(|there| there.rank == rank);
        there.expect("it took part").call()
    }

    /// The failure of the rank that failed first, with that rank.
    pub(crate) fn failure(&self) -> Option<(usize, CollectiveError)> {
        let there = first_failed(self.0.iter())?;
        Some((there.rank, there.failure()?))
    }
}
/// The announcement of another rank.
pub(super) struct Reading<'a> {
    pub(super) rank: usize,
    pub(super) signature: u64,
    step: Step,
    depth: u32,
    pub(super) calls: u64,
    pub(super) outcome: Outcome,
    payload: Payload,
    announcement: &'a Announcement,
}

impl<'a> Reading<'a> {
    pub(super) fn of(rank: usize, announcement: &'a Announcement) -> Self {
        let step = announcement.step.load(Ordering::Relaxed);
        let outcome = announcement.outcome.load(Ordering::Relaxed);
        let reason = || Reason {
            text: announcement.reason(),
            passed_on: outcome & PASSED_ON != 0,
        };
        Reading {
            rank,
            signature: announcement.signature.load(Ordering::Relaxed),
            step: [Step::Enter, Step::Exit, Step::Fenced][step.min(2) as usize],
            depth: announcement.depth.load(Ordering::Relaxed),
            calls: announcement.calls.load(Ordering::Relaxed),
            outcome: match outcome & !PASSED_ON {
                FINE => Outcome::Fine,
                FAILED => Outcome::Failed(reason()),
                _ => Outcome::Panicked(reason()),
            },
            payload: announcement.said(),
            announcement,
        }
    }

    /// The call's place. Must be read before this rank goes to another meeting, because the
    /// announcement changes then.
    fn place(&self) -> Place {
        Place::new(
            self.announcement.file.get(),
            self.announcement.line.load(Ordering::Relaxed),
        )
    }

    /// The call. Must be read as early as its place.
    pub(super) fn call(&self) -> ObjectCall {
        let Announcement {
            call, kind, object, ..
        } = self.announcement;
        ObjectCall::new(call.get(), kind.get(), object.get(), self.place())
    }

    /// The error for its outcome, if it failed. Must be read as early as its place.
    pub(super) fn failure(&self) -> Option<CollectiveError> {
        let (rank, place) = (self.rank as i32, self.place());
        match &self.outcome {
            Outcome::Fine => None,
            Outcome::Failed(reason) => Some(CollectiveError::Failed {
                rank,
                place,
                message: reason.text.clone(),
            }),
            Outcome::Panicked(reason) => Some(CollectiveError::Panicked {
                rank,
                place,
                message: reason.text.clone(),
            }),
        }
    }
}

/// The relation of another rank's call to this rank's.
pub(super) enum Met<'a> {
    /// It is in the same call.
    Same(Reading<'a>),
    /// It is in another call.
    Elsewhere(Reading<'a>),
    /// It has left a call that this rank is still in.
    Left(Reading<'a>),
    /// It is still inside the call that this rank is leaving.
    Inside,
}
/// The relation of another rank's call to this rank's, from its announcement.
pub(super) fn compare<'a>(
    arrival: &Arrival<'_>,
    signature: u64,
    announcement: Reading<'a>,
) -> Met<'a> {
    if announcement.signature == signature {
        return Met::Same(announcement);
    }
    match (arrival.step, announcement.step) {
        (Step::Exit, Step::Exit) if announcement.depth < arrival.depth => Met::Left(announcement),
        (Step::Exit, _) if announcement.depth > arrival.depth => Met::Inside,
        (Step::Enter | Step::Fenced, Step::Exit) => Met::Left(announcement),
        // It is not in the call that this rank is leaving either.
        _ => Met::Elsewhere(announcement),
    }
}

/// The result of a meeting from the relations of all ranks.
pub(super) fn settle<'a>(
    arrival: &Arrival<'_>,
    met: Vec<Met<'a>>,
) -> Result<Rendezvous<'a>, CollectiveError> {
    let diverged = |there: &Reading<'_>| {
        Err(CollectiveError::diverged(
            arrival.call(),
            there.rank,
            there.call(),
        ))
    };
    let left = || {
        met.iter().filter_map(|met| match met {
            Met::Left(there) => Some(there),
            _ => None,
        })
    };
    if let Some(there) = first_failed(left()) {
        count_failure();
        return Err(there.failure().expect("it has failed"));
    }
    if let Some(there) = left().next() {
        return diverged(there);
    }
    let all_fine = met
        .iter()
        .all(|met| matches!(met, Met::Same(there) if there.outcome == Outcome::Fine));
    let mut same = Vec::with_capacity(met.len());
    for met in met {
        match met {
            Met::Same(there) if all_fine && there.calls != arrival.calls => {
                return Err(CollectiveError::OutOfStep {
                    here: u64::from(arrival.calls as u32),
                    here_call: arrival.call(),
                    rank: there.rank as i32,
                    there: u64::from(there.calls as u32),
                    there_call: there.call(),
                });
            }
            Met::Same(there) => same.push(there),
            Met::Elsewhere(there) | Met::Left(there) => return diverged(&there),
            Met::Inside => unreachable!("a meeting goes on until all are out"),
        }
    }
    Ok(Rendezvous(same))
}

/// The rank that failed first, as far as known: the lowest one whose failure is its own, or else the
/// lowest one that failed.
pub(super) fn first_failed<'a, 'b: 'a>(
    readings: impl Iterator<Item = &'a Reading<'b>>,
) -> Option<&'a Reading<'b>> {
    let failed = readings.filter_map(|there| match &there.outcome {
        Outcome::Fine => None,
        Outcome::Failed(reason) | Outcome::Panicked(reason) => Some((reason.passed_on, there)),
    });
    let first = failed.min_by_key(|(passed_on, there)| (*passed_on, there.rank));
    first.map(|(_, there)| there)
}
