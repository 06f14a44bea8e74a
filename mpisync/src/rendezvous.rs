//! The rendezvous of all ranks of a communicator in a collective call, which checks that they are
//! in the same call.
//!
//! Meetings are numbered. For each meeting every rank posts one announcement in its arrival slot,
//! which names its call. A rank goes on after it has read all announcements of the meeting. So two
//! announcements per slot are enough: no rank can post announcement `n + 2` before all ranks have
//! read announcement `n`, and a rank that has waited in vain for a dead one posts no more. Ranks in
//! different calls have diverged, and each of them reads so in the others' announcements. A rank
//! that waits in a fence for a rank that went to a meeting instead joins that meeting, and learns
//! the same from the announcements.

use crate::error::{CollectiveError, LockError, ObjectCall};
use crate::fingerprint::fingerprint;
use crate::location::{CallSite, Place};
use crate::shm::absence::absent;
use crate::shm::arrival::{
    Announcement, AnnouncementData, ArrivalSlot, EXIT, FAILED, FINE, PANICKED, PASSED_ON,
    PAYLOAD_WORDS,
};
use crate::shm::block::{Block, ObjectName};
use crate::shm::domain::Domain;
use crate::shm::event::ALL;
use crate::shm::wait::{Deadline, Stop, wait};
use crate::shm::waiting::want::{Want, Wanted};
use crate::shm::waiting::{Awaited, Call};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The reason why a rank comes to a meeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// It enters a collective call.
    Enter,
    /// It leaves a collective call.
    Exit = EXIT as isize,
    /// It waits in a fence for a rank that is in the meeting.
    Fenced,
}

/// The outcome of a rank's part in a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Fine,
    Failed(Reason),
    Panicked(Reason),
}

/// Why a rank's part in a call failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reason {
    pub(crate) text: String,
    /// Whether the rank had got the failure of another rank in the same call before, so that it
    /// probably passes that on.
    pub(crate) passed_on: bool,
}

thread_local! {
    /// How many failures of other ranks this thread has got.
    static FAILURES: Cell<u64> = const { Cell::new(0) };
}

/// How many errors about the failure of another rank this thread has got from collective calls, of
/// whatever object and communicator.
pub(crate) fn failures() -> u64 {
    FAILURES.get()
}

/// Counts a failure of another rank that this thread is about to get.
pub(crate) fn count_failure() {
    FAILURES.set(FAILURES.get() + 1);
}

/// A rank's part in a meeting.
pub(crate) struct Arrival<'a> {
    pub(crate) step: Step,
    /// The number of collective calls that it is already in.
    pub(crate) depth: u32,
    /// The object of the call.
    pub(crate) object: &'a ObjectName,
    pub(crate) site: CallSite,
    /// The number of fenced calls that it has made on the controller.
    pub(crate) calls: u64,
    pub(crate) outcome: Outcome,
    /// Data for the other ranks.
    pub(crate) payload: Payload,
}

/// Data that a rank brings to a meeting. The call defines its meaning.
pub(crate) type Payload = [u64; PAYLOAD_WORDS];

/// An empty payload.
pub(crate) const NOTHING: Payload = [0; PAYLOAD_WORDS];

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

impl<'a> Arrival<'a> {
    /// This rank's announcement.
    fn announcement(&'a self, signature: u64) -> AnnouncementData<'a> {
        let failed = |word: u32, reason: &'a Reason| {
            let passed_on = if reason.passed_on { PASSED_ON } else { 0 };
            (word | passed_on, &*reason.text)
        };
        let (outcome, reason) = match &self.outcome {
            Outcome::Fine => (FINE, ""),
            Outcome::Failed(reason) => failed(FAILED, reason),
            Outcome::Panicked(reason) => failed(PANICKED, reason),
        };
        let location = self.site.location();
        AnnouncementData {
            signature,
            step: self.step as u32,
            depth: self.depth,
            outcome,
            line: location.line(),
            calls: self.calls,
            said: self.payload,
            call: self.site.label().into(),
            kind: self.object.kind.into(),
            object: (*self.object.name).into(),
            file: location.file().into(),
            reason: reason.into(),
        }
    }

    /// A number that differs between calls, and between controllers.
    fn signature(&self, controller: u64) -> u64 {
        let step = [self.step as u8];
        let parts: [&[u8]; 4] = [
            &controller.to_ne_bytes(),
            &step,
            &self.depth.to_ne_bytes(),
            &self.site.number().to_ne_bytes(),
        ];
        fingerprint(parts.into_iter().flatten())
    }

    /// This rank's call.
    fn call(&self) -> ObjectCall {
        self.object.call(self.site.label(), self.site.place())
    }
}

/// The announcement of another rank.
struct Reading<'a> {
    rank: usize,
    signature: u64,
    step: Step,
    depth: u32,
    calls: u64,
    outcome: Outcome,
    payload: Payload,
    announcement: &'a Announcement,
}

impl<'a> Reading<'a> {
    fn of(rank: usize, announcement: &'a Announcement) -> Self {
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
    fn call(&self) -> ObjectCall {
        let Announcement {
            call, kind, object, ..
        } = self.announcement;
        ObjectCall::new(call.get(), kind.get(), object.get(), self.place())
    }

    /// The error for its outcome, if it failed. Must be read as early as its place.
    fn failure(&self) -> Option<CollectiveError> {
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
enum Met<'a> {
    /// It is in the same call.
    Same(Reading<'a>),
    /// It is in another call.
    Elsewhere(Reading<'a>),
    /// It has left a call that this rank is still in.
    Left(Reading<'a>),
    /// It is still inside the call that this rank is leaving.
    Inside,
}

/// Meets all ranks of the communicator.
///
/// # Errors
/// [`CollectiveError::Diverged`] if ranks are in different calls; the failure of a rank that has left
/// an outer call with one; [`CollectiveError::OutOfStep`] if they have made different numbers of
/// fenced calls; [`CollectiveError::RankDied`]; [`CollectiveError::RankEnded`].
pub(crate) fn meet<'a>(
    block: &'a Block,
    arrival: &Arrival<'_>,
) -> Result<Rendezvous<'a>, CollectiveError> {
    let signature = arrival.signature(block.identity());
    loop {
        let announcements = gather(block, arrival, signature)?;
        let met = announcements
            .into_iter()
            .map(|announcement| compare(arrival, signature, announcement));
        let met: Vec<Met<'_>> = met.collect();
        // A rank that is still inside the call has now read that this rank leaves it, and leaves
        // too.
        if !met.iter().any(|met| matches!(met, Met::Inside)) {
            return settle(arrival, met);
        }
    }
}

/// Joins a meeting to which `writer` went, as a rank that waits for it in the fence at `site`.
/// Returns the reason why `writer` shares nothing.
pub(crate) fn meet_from_fence(block: &Block, writer: usize, site: CallSite) -> CollectiveError {
    let arrival = Arrival {
        step: Step::Fenced,
        depth: block.domain().depth(),
        object: block.object_name(),
        site,
        calls: 0,
        outcome: Outcome::Fine,
        payload: NOTHING,
    };
    let announcements = match gather(block, &arrival, arrival.signature(block.identity())) {
        Ok(announcements) => announcements,
        Err(error) => return error,
    };
    let there = announcements.iter().find(|there| there.rank == writer);
    let there = there.expect("it takes part");
    if there.outcome == Outcome::Fine {
        return CollectiveError::diverged(arrival.call(), writer, there.call());
    }
    count_failure();
    let first = first_failed(announcements.iter()).expect("the writer has failed");
    first.failure().expect("it has failed")
}

/// Whether `rank` has come to a later meeting than this rank.
pub(crate) fn is_ahead(block: &Block, rank: usize) -> bool {
    let domain = block.domain();
    let mine = domain.my_arrival_slot().posted.load(Ordering::Relaxed);
    domain.arrival_slot(rank).posted.load(Ordering::Acquire) > mine && domain.takes_part(rank)
}

/// Comes to the next meeting. Returns all announcements, by rank.
fn gather<'a>(
    block: &'a Block,
    arrival: &Arrival<'_>,
    signature: u64,
) -> Result<Vec<Reading<'a>>, CollectiveError> {
    let domain = block.domain();
    let size = domain.topology().size();
    if domain.take_left_meeting() {
        catch_up(block)?;
    }
    check_last_meeting(domain)?;
    let number = arrive(domain, arrival, signature);
    let mut search = Search { number, next: 0 };
    let want = |of| Want::of_each(of, Wanted::Meeting(number));
    let awaited = block.awaits(|| missing(domain, number));
    let awaited = awaited.wanted(block.global().map(want));
    let (name, location) = (arrival.site.name(), arrival.site.location());
    let deadline = Deadline::NEVER.of(Call::new(&awaited, name, location));
    let mut announcements = Vec::with_capacity(size);
    for rank in domain.participants() {
        let slot = domain.arrival_slot(rank);
        let has_come = || slot.posted.load(Ordering::Acquire) >= number;
        wait(
            block,
            domain.segment().arrival(),
            deadline,
            || has_come().then_some(()),
            || search.check(domain, rank),
        )
        .map_err(|NotMet(error)| {
            if matches!(error, CollectiveError::Lock(LockError::Deadlock { .. })) {
                // The others may come yet, and read this rank's announcement.
                domain.set_left_meeting();
            }
            error
        })?;
        announcements.push(Reading::of(
            rank,
            &slot.announcements[(number % 2) as usize],
        ));
    }
    let alike = |announcement: &Reading<'_>| {
        announcement.signature == signature && announcement.calls == arrival.calls
    };
    let all_fine = announcements
        .iter()
        .all(|announcement| announcement.outcome == Outcome::Fine);
    if !(all_fine && announcements.iter().all(alike)) {
        // All ranks read the same announcements, and together forget fenced calls that only some of
        // them have made.
        domain.advance_epoch();
    }
    Ok(announcements)
}

/// Comes to the next meeting without waiting for the other ranks and without reading their
/// announcements: this rank has left the call whose outcome they agree on. They learn so, and so do
/// ranks that are still inside the call.
pub(crate) fn leave(domain: &Arc<Domain>, controller: u64, arrival: &Arrival<'_>) {
    // Two announcements per rank are enough if no rank comes to a meeting before all have come to
    // the last one.
    let last = domain.my_arrival_slot().posted.load(Ordering::Relaxed);
    if domain.take_left_meeting() && !all_have_come(domain, last) {
        domain.set_left_meeting();
        return;
    }
    arrive(domain, arrival, arrival.signature(controller));
    domain.set_left_meeting();
    // As the other ranks do, which read that this rank has failed.
    domain.advance_epoch();
}

fn all_have_come(domain: &Domain, number: u64) -> bool {
    let has_come = |rank| domain.arrival_slot(rank).posted.load(Ordering::Acquire) >= number;
    domain.participants().all(has_come)
}

/// The ranks that have not come to the meeting of this number.
fn missing(domain: &Domain, number: u64) -> Vec<Awaited> {
    let is_missing =
        |&rank: &usize| domain.arrival_slot(rank).posted.load(Ordering::Acquire) < number;
    let missing = domain.participants().filter(is_missing);
    Awaited::all(missing.map(|rank| rank as u32), "has not come")
}

/// Waits until all ranks have come to the last meeting of this rank, which did not read its
/// announcements.
fn catch_up(block: &Block) -> Result<(), CollectiveError> {
    let domain = block.domain();
    let number = domain.my_arrival_slot().posted.load(Ordering::Relaxed);
    let mut search = Search { number, next: 0 };
    let awaited = block.awaits(|| missing(domain, number));
    wait(
        block,
        domain.segment().arrival(),
        Deadline::NEVER.of(Call::internal(&awaited, "the last collective call")),
        || all_have_come(domain, number).then_some(()),
        || search.check(domain, 0),
    )
    .map_err(|NotMet(error)| error)
}

/// Checks that no rank is absent for whom this rank has waited in vain in its last meeting. If this
/// rank came to another one, others might still read its announcement of the meeting before.
fn check_last_meeting(domain: &Domain) -> Result<(), CollectiveError> {
    let posted = |slot: &ArrivalSlot| slot.posted.load(Ordering::Acquire);
    let last = posted(domain.my_arrival_slot());
    for rank in domain.participants() {
        if posted(domain.arrival_slot(rank)) < last
            && let Some(absence) = domain.departure(rank)
        {
            return Err(CollectiveError::absent(rank as u32, absence));
        }
    }
    Ok(())
}

/// The search for ranks that will never come to a meeting.
struct Search {
    number: u64,
    next: usize,
}

impl Search {
    /// Checks the awaited rank and some more. A rank that is alive may have left a meeting to which
    /// another rank could not come.
    fn check(&mut self, domain: &Domain, rank: usize) -> Result<(), NotMet> {
        /// Limited, because checking a rank of this node takes system calls.
        const MORE: usize = 8;
        let size = domain.topology().size();
        let more = (0..MORE.min(size)).map(|index| (self.next + index) % size);
        for rank in more.chain([rank]) {
            let has_come =
                || domain.arrival_slot(rank).posted.load(Ordering::Acquire) >= self.number;
            // It may have come before it died or ended.
            if let Some(absence) = domain.departure(rank)
                && domain.takes_part(rank)
                && !has_come()
            {
                return Err(NotMet(CollectiveError::absent(rank as u32, absence)));
            }
        }
        self.next = (self.next + MORE) % size;
        Ok(())
    }
}

/// Posts this rank's announcement for the next meeting. Returns the number of the meeting.
fn arrive(domain: &Arc<Domain>, arrival: &Arrival<'_>, signature: u64) -> u64 {
    let slot = domain.my_arrival_slot();
    let number = slot.posted.load(Ordering::Relaxed) + 1;
    slot.announcements[(number % 2) as usize].set(&arrival.announcement(signature));
    let spans_nodes = domain.topology().spans_nodes();
    // Counted before it is visible. Otherwise a rank could go on to the next meeting, and count for
    // that one, before all have counted for this one. On one node the count is not needed, and
    // would only cause contention.
    let before = spans_nodes.then(|| domain.segment().count_post());
    // An exchange, so that the check for sleepers comes after it.
    slot.posted.swap(number, Ordering::SeqCst);
    domain.segment().arrival().notify(ALL);
    let here = || domain.local_participants() as u64;
    // The last rank of a node sends the announcements of all to the other nodes.
    if before.is_some_and(|before| (before + 1).is_multiple_of(here())) {
        domain.announce(number);
    }
    number
}

/// The relation of another rank's call to this rank's, from its announcement.
fn compare<'a>(arrival: &Arrival<'_>, signature: u64, announcement: Reading<'a>) -> Met<'a> {
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
fn settle<'a>(arrival: &Arrival<'_>, met: Vec<Met<'a>>) -> Result<Rendezvous<'a>, CollectiveError> {
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
fn first_failed<'a, 'b: 'a>(
    readings: impl Iterator<Item = &'a Reading<'b>>,
) -> Option<&'a Reading<'b>> {
    let failed = readings.filter_map(|there| match &there.outcome {
        Outcome::Fine => None,
        Outcome::Failed(reason) | Outcome::Panicked(reason) => Some((reason.passed_on, there)),
    });
    let first = failed.min_by_key(|(passed_on, there)| (*passed_on, there.rank));
    first.map(|(_, there)| there)
}

absent!(CollectiveError);

/// Why a rank was not met.
struct NotMet(CollectiveError);

impl From<Stop> for NotMet {
    fn from(stop: Stop) -> Self {
        NotMet(stop.into_error().into())
    }
}
