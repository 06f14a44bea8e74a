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

mod arrival;
mod reading;

pub(crate) use crate::rendezvous::arrival::{Arrival, NOTHING, Outcome, Payload, Reason, Step};
pub(crate) use crate::rendezvous::reading::Rendezvous;

use crate::error::{CollectiveError, LockError};
use crate::location::CallSite;
use crate::rendezvous::reading::{Met, Reading, compare, first_failed, settle};
use crate::shm::absence::absent;
use crate::shm::arrival::ArrivalSlot;
use crate::shm::block::Block;
use crate::shm::domain::Domain;
use crate::shm::event::ALL;
use crate::shm::wait::{Deadline, Stop, wait};
use crate::shm::waiting::want::{Want, Wanted};
use crate::shm::waiting::{Awaited, Call};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

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
            if let CollectiveError::Lock(LockError::Deadlock { .. } | LockError::Interrupted) =
                error
            {
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
            if let Some((absent, absence)) = domain.absentee(rank, domain.departure(rank))
                && domain.takes_part(rank)
                && !has_come()
            {
                return Err(NotMet(CollectiveError::absent(absent, absence)));
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
    let here = || domain.local_participant_count() as u64;
    // The last rank of a node sends the announcements of all to the other nodes.
    if before.is_some_and(|before| (before + 1).is_multiple_of(here())) {
        domain.announce(number);
    }
    number
}
absent!(CollectiveError);

/// Why a rank was not met.
struct NotMet(CollectiveError);

impl From<Stop> for NotMet {
    fn from(stop: Stop) -> Self {
        NotMet(stop.into_error().into())
    }
}
