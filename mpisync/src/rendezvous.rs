//! How the ranks of a communicator meet in a collective call and find out that they are in the same
//! one.
//!
//! Meetings are numbered, and to each of them every rank posts one announcement on its arrival
//! slot: where it stands. A rank that goes on has read all announcements of the meeting, so two
//! announcements a slot are enough: nobody can post announcement `n + 2` before everybody has read
//! announcement `n`. Ranks that stand at different places have diverged, and each of them reads so
//! in the others' announcements. A rank that waits in a fence for somebody who went to a meeting
//! instead posts that, and is told the same by the other's announcement.

use crate::error::CollectiveError;
use crate::fingerprint::fingerprint;
use crate::location::Place;
use crate::shm::arrival::{Announcement, AnnouncementData, FAILED, FINE, PANICKED, PAYLOAD_WORDS};
use crate::shm::block::Block;
use crate::shm::domain::Domain;
use crate::shm::event::ALL;
use crate::shm::wait::{Deadline, Stop, wait};
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a rank does at a meeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// It goes into a collective call.
    Enter,
    /// It comes out of one.
    Exit,
    /// It is in a fence, and did not mean to come.
    Fenced,
}

/// What came of a rank's part in a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    Fine,
    Failed(String),
    Panicked(String),
}

/// Where a rank stands.
pub(crate) struct Arrival<'a> {
    pub(crate) step: Step,
    /// In how many collective calls it is already.
    pub(crate) depth: u32,
    /// What it calls.
    pub(crate) name: &'a str,
    pub(crate) place: &'a Place,
    /// Whether ranks at different places may be in the same call.
    pub(crate) anywhere: bool,
    /// How many fenced calls it has made on the controller.
    pub(crate) calls: u64,
    pub(crate) outcome: Outcome,
    /// What it tells the others about its part.
    pub(crate) payload: Payload,
}

/// What a rank says at a meeting, in words of the call's own.
pub(crate) type Payload = [u64; PAYLOAD_WORDS];

/// A rank has nothing to say.
pub(crate) const NOTHING: Payload = [0; PAYLOAD_WORDS];

/// What all ranks brought to a meeting, by rank.
pub(crate) struct Rendezvous {
    /// What came of their parts in the call.
    pub(crate) outcomes: Vec<Outcome>,
    /// What they said about the call.
    pub(crate) payloads: Vec<Payload>,
}

impl Arrival<'_> {
    /// What this rank's announcement says.
    fn announcement(&self, signature: u64) -> AnnouncementData<'_> {
        let (outcome, reason) = match &self.outcome {
            Outcome::Fine => (FINE, ""),
            Outcome::Failed(reason) => (FAILED, &**reason),
            Outcome::Panicked(reason) => (PANICKED, &**reason),
        };
        AnnouncementData {
            signature,
            step: self.step as u32,
            depth: self.depth,
            outcome,
            line: self.place.line(),
            calls: self.calls,
            said: self.payload,
            file: self.place.file().into(),
            reason: reason.into(),
        }
    }

    /// A number that differs between stands: over all that says where the rank is, on which
    /// controller.
    fn signature(&self, controller: u64) -> u64 {
        let step = [self.step as u8];
        let (file, line) = match self.anywhere {
            true => ("", 0),
            false => (self.place.file(), self.place.line()),
        };
        let parts: [&[u8]; 6] = [
            &controller.to_ne_bytes(),
            &step,
            &self.depth.to_ne_bytes(),
            &line.to_ne_bytes(),
            file.as_bytes(),
            self.name.as_bytes(),
        ];
        fingerprint(parts.into_iter().flatten())
    }
}

/// What another rank's announcement says.
struct Reading<'a> {
    signature: u64,
    step: Step,
    depth: u32,
    calls: u64,
    outcome: Outcome,
    payload: Payload,
    announcement: &'a Announcement,
}

impl<'a> Reading<'a> {
    fn of(announcement: &'a Announcement) -> Self {
        let step = announcement.step.load(Ordering::Relaxed);
        Reading {
            signature: announcement.signature.load(Ordering::Relaxed),
            step: [Step::Enter, Step::Exit, Step::Fenced][step.min(2) as usize],
            depth: announcement.depth.load(Ordering::Relaxed),
            calls: announcement.calls.load(Ordering::Relaxed),
            outcome: match announcement.outcome.load(Ordering::Relaxed) {
                FINE => Outcome::Fine,
                FAILED => Outcome::Failed(announcement.reason()),
                _ => Outcome::Panicked(announcement.reason()),
            },
            payload: announcement.said(),
            announcement,
        }
    }

    /// Where it stands; asked before this rank goes to another meeting, while the announcement is
    /// as it was.
    fn place(&self) -> Place {
        Place::new(
            self.announcement.file.get(),
            self.announcement.line.load(Ordering::Relaxed),
        )
    }
}

/// How another rank's stand is related to this rank's.
enum Met {
    /// It is in the same call, and has made so many fenced calls.
    Same(Outcome, u64, Payload),
    /// It is in another call.
    Elsewhere(Place),
    /// It has left a call that this rank is still in.
    Left(Outcome, Place),
    /// It is still inside the call that this rank is leaving.
    Inside,
}

/// Meets all ranks of the communicator where this rank stands; returns what each of them brought.
///
/// # Errors
/// [`CollectiveError::Diverged`] where ranks stand in different calls; the failure of a rank that
/// has left an outer call with one; [`CollectiveError::OutOfStep`] where they have made different
/// numbers of fenced calls; [`CollectiveError::RankDied`].
pub(crate) fn meet(block: &Block, arrival: &Arrival<'_>) -> Result<Rendezvous, CollectiveError> {
    let signature = arrival.signature(block.identity());
    loop {
        let announcements = gather(block, arrival, signature)?;
        let met = announcements
            .into_iter()
            .map(|announcement| compare(arrival, signature, announcement));
        let met: Vec<Met> = met.collect();
        // Who is still inside the call has read now that this rank is leaving it, and comes out.
        if !met.iter().any(|met| matches!(met, Met::Inside)) {
            return settle(arrival, met);
        }
    }
}

/// For a rank that waits in the fence at `here` for `writer`, which went to a meeting instead:
/// comes to that meeting, and returns why there is nothing to wait for.
pub(crate) fn meet_from_fence(
    block: &Block,
    writer: usize,
    here: &Location<'_>,
) -> CollectiveError {
    let place = Place::from(here);
    let arrival = Arrival {
        step: Step::Fenced,
        depth: block.domain().depth(),
        name: "",
        place: &place,
        anywhere: false,
        calls: 0,
        outcome: Outcome::Fine,
        payload: NOTHING,
    };
    let announcements = match gather(block, &arrival, arrival.signature(block.identity())) {
        Ok(announcements) => announcements,
        Err(error) => return error,
    };
    let there = &announcements[writer];
    let its_place = there.place();
    let failed = failure(writer, &there.outcome, &its_place);
    failed.unwrap_or_else(|| CollectiveError::Diverged {
        here: place.clone(),
        rank: writer as i32,
        there: its_place,
    })
}

/// Whether `rank` has come to a meeting to which this rank has not.
pub(crate) fn is_ahead(block: &Block, rank: usize) -> bool {
    let domain = block.domain();
    let mine = domain.my_arrival_slot().posted.load(Ordering::Relaxed);
    domain.arrival_slot(rank).posted.load(Ordering::Acquire) > mine
}

/// Comes to the next meeting and reads all announcements, by rank.
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
    let number = arrive(domain, arrival, signature);
    let mut absence = Absence { number, next: 0 };
    let mut announcements = Vec::with_capacity(size);
    for rank in 0..size {
        let slot = domain.arrival_slot(rank);
        let has_come = || slot.posted.load(Ordering::Acquire) >= number;
        wait(
            block,
            domain.segment().arrival(),
            Deadline::Never,
            || has_come().then_some(()),
            || absence.look(domain, rank),
        )
        .map_err(|NotMet(error)| error)?;
        announcements.push(Reading::of(&slot.announcements[(number % 2) as usize]));
    }
    let alike = |announcement: &Reading<'_>| {
        announcement.signature == signature && announcement.calls == arrival.calls
    };
    let all_fine = announcements
        .iter()
        .all(|announcement| announcement.outcome == Outcome::Fine);
    if !(all_fine && announcements.iter().all(alike)) {
        // All ranks read the same announcements. What fences they did not come to, or came to alone, they forget together.
        domain.advance_epoch();
    }
    Ok(announcements)
}

/// Comes to the next meeting for the ranks that are there, without waiting for them and without a
/// look at their announcements: this rank has left the call whose outcome they agree upon. They are
/// told, and so is who is still inside the call.
pub(crate) fn leave(domain: &Arc<Domain>, controller: u64, arrival: &Arrival<'_>) {
    // Two announcements a rank are enough if nobody comes to a meeting before all have come to the last one.
    let last = domain.my_arrival_slot().posted.load(Ordering::Relaxed);
    if domain.take_left_meeting() && !all_have_come(domain, last) {
        domain.set_left_meeting();
        return;
    }
    arrive(domain, arrival, arrival.signature(controller));
    domain.set_left_meeting();
    // As the others do, who read that this rank has failed.
    domain.advance_epoch();
}

fn all_have_come(domain: &Domain, number: u64) -> bool {
    let size = domain.topology().size();
    (0..size).all(|rank| domain.arrival_slot(rank).posted.load(Ordering::Acquire) >= number)
}

/// Waits until all ranks have come to the last meeting of this rank, whose announcements it has not
/// read.
fn catch_up(block: &Block) -> Result<(), CollectiveError> {
    let domain = block.domain();
    let number = domain.my_arrival_slot().posted.load(Ordering::Relaxed);
    let mut absence = Absence { number, next: 0 };
    wait(
        block,
        domain.segment().arrival(),
        Deadline::Never,
        || all_have_come(domain, number).then_some(()),
        || absence.look(domain, 0),
    )
    .map_err(|NotMet(error)| error)
}

/// Looks for ranks that will never come to a meeting.
struct Absence {
    number: u64,
    next: usize,
}

impl Absence {
    /// Looks at the rank that is waited for, and at some more: one that is alive may have gone away
    /// from a meeting to which another could not come.
    fn look(&mut self, domain: &Domain, rank: usize) -> Result<(), NotMet> {
        /// A look at a rank of this node takes system calls.
        const MORE: usize = 8;
        let size = domain.topology().size();
        let more = (0..MORE.min(size)).map(|index| (self.next + index) % size);
        for rank in more.chain([rank]) {
            let has_come =
                || domain.arrival_slot(rank).posted.load(Ordering::Acquire) >= self.number;
            // It may have come before it died.
            if !domain.rank_is_alive(rank) && !has_come() {
                return Err(NotMet(CollectiveError::RankDied { rank: rank as i32 }));
            }
        }
        self.next = (self.next + MORE) % size;
        Ok(())
    }
}

/// Posts this rank's announcement for the next meeting; returns its number.
fn arrive(domain: &Arc<Domain>, arrival: &Arrival<'_>, signature: u64) -> u64 {
    let slot = domain.my_arrival_slot();
    let number = slot.posted.load(Ordering::Relaxed) + 1;
    slot.announcements[(number % 2) as usize].set(&arrival.announcement(signature));
    let spans_nodes = domain.topology().spans_nodes();
    // Counted before it can be seen, so that nobody goes on to the next meeting, and counts for that one, before all
    // have counted for this one. On one node nobody asks, and the ranks would get into each other's way.
    let before = spans_nodes.then(|| domain.segment().count_post());
    // An exchange, so that the look at the sleepers comes after it.
    slot.posted.swap(number, Ordering::SeqCst);
    domain.segment().arrival().notify(ALL);
    let here = domain.topology().local_ranks().len() as u64;
    // The last rank of a node to post tells the other nodes for all.
    if before.is_some_and(|before| (before + 1).is_multiple_of(here)) {
        domain.announce(number);
    }
    number
}

/// What this rank makes of another's announcement.
fn compare(arrival: &Arrival<'_>, signature: u64, announcement: Reading<'_>) -> Met {
    if announcement.signature == signature {
        return Met::Same(
            announcement.outcome,
            announcement.calls,
            announcement.payload,
        );
    }
    match (arrival.step, announcement.step) {
        (Step::Exit, Step::Exit) if announcement.depth < arrival.depth => {
            let place = announcement.place();
            Met::Left(announcement.outcome, place)
        }
        (Step::Exit, _) if announcement.depth > arrival.depth => Met::Inside,
        (Step::Enter | Step::Fenced, Step::Exit) => {
            let place = announcement.place();
            Met::Left(announcement.outcome, place)
        }
        // It is not in the call that this rank is leaving either.
        _ => Met::Elsewhere(announcement.place()),
    }
}

/// Decides what all announcements together mean.
fn settle(arrival: &Arrival<'_>, met: Vec<Met>) -> Result<Rendezvous, CollectiveError> {
    let diverged = |rank: usize, there: &Place| CollectiveError::Diverged {
        here: arrival.place.clone(),
        rank: rank as i32,
        there: there.clone(),
    };
    for (rank, met) in met.iter().enumerate() {
        if let Met::Left(outcome, place) = met {
            return Err(failure(rank, outcome, place).unwrap_or_else(|| diverged(rank, place)));
        }
    }
    let all_fine = met
        .iter()
        .all(|met| matches!(met, Met::Same(Outcome::Fine, ..)));
    let mut meeting = Rendezvous {
        outcomes: Vec::with_capacity(met.len()),
        payloads: Vec::with_capacity(met.len()),
    };
    for (rank, met) in met.into_iter().enumerate() {
        match met {
            Met::Same(_, calls, _) if all_fine && calls != arrival.calls => {
                return Err(CollectiveError::OutOfStep {
                    here: u64::from(arrival.calls as u32),
                    rank: rank as i32,
                    there: u64::from(calls as u32),
                });
            }
            Met::Same(outcome, _, payload) => {
                meeting.outcomes.push(outcome);
                meeting.payloads.push(payload);
            }
            Met::Elsewhere(place) | Met::Left(_, place) => return Err(diverged(rank, &place)),
            Met::Inside => unreachable!("a meeting goes on until all are out"),
        }
    }
    Ok(meeting)
}

/// The error for what came of a rank's part in a call, if it failed.
pub(crate) fn failure(rank: usize, outcome: &Outcome, place: &Place) -> Option<CollectiveError> {
    let (rank, place) = (rank as i32, place.clone());
    match outcome {
        Outcome::Fine => None,
        Outcome::Failed(message) => Some(CollectiveError::Failed {
            rank,
            place,
            message: message.clone(),
        }),
        Outcome::Panicked(message) => Some(CollectiveError::Panicked {
            rank,
            place,
            message: message.clone(),
        }),
    }
}

/// Why a rank was not met.
struct NotMet(CollectiveError);

impl From<Stop> for NotMet {
    fn from(_: Stop) -> Self {
        unreachable!("there is no deadline")
    }
}
