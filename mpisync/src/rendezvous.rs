//! How the ranks of a communicator meet in a collective call and find out that they are in the same one.
//!
//! Meetings are numbered, and to each of them every rank posts one note on its board: where it stands. A rank that
//! goes on has read all notes of the meeting, so two notes a board are enough: nobody can post note `n + 2` before
//! everybody has read note `n`. Ranks that stand at different places have diverged, and each of them reads so in the
//! others' notes. A rank that waits in a fence for somebody who went to a meeting instead posts that, and is told the
//! same by the other's note.

use crate::error::CollectiveError;
use crate::fingerprint::fingerprint;
use crate::location::Place;
use crate::shm::block::Block;
use crate::shm::board::{FAILED, FINE, Note, NoteData, PANICKED, SAID};
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
pub(crate) struct Stand<'a> {
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
    pub(crate) said: Said,
}

/// What a rank says at a meeting, in words of the call's own.
pub(crate) type Said = [u64; SAID];

/// A rank has nothing to say.
pub(crate) const NOTHING: Said = [0; SAID];

/// What all ranks brought to a meeting, by rank.
pub(crate) struct Meeting {
    /// What came of their parts in the call.
    pub(crate) outcomes: Vec<Outcome>,
    /// What they said about the call.
    pub(crate) said: Vec<Said>,
}

impl Stand<'_> {
    /// What this rank's note says.
    fn note(&self, signature: u64) -> NoteData<'_> {
        let (outcome, reason) = match &self.outcome {
            Outcome::Fine => (FINE, ""),
            Outcome::Failed(reason) => (FAILED, &**reason),
            Outcome::Panicked(reason) => (PANICKED, &**reason),
        };
        NoteData {
            signature,
            step: self.step as u32,
            depth: self.depth,
            outcome,
            line: self.place.line(),
            calls: self.calls,
            said: self.said,
            file: self.place.file().into(),
            reason: reason.into(),
        }
    }

    /// A number that differs between stands: over all that says where the rank is, on which controller.
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

/// What another rank's note says.
struct Reading<'a> {
    signature: u64,
    step: Step,
    depth: u32,
    calls: u64,
    outcome: Outcome,
    said: Said,
    note: &'a Note,
}

impl<'a> Reading<'a> {
    fn of(note: &'a Note) -> Self {
        let step = note.step.load(Ordering::Relaxed);
        Reading {
            signature: note.signature.load(Ordering::Relaxed),
            step: [Step::Enter, Step::Exit, Step::Fenced][step.min(2) as usize],
            depth: note.depth.load(Ordering::Relaxed),
            calls: note.calls.load(Ordering::Relaxed),
            outcome: match note.outcome.load(Ordering::Relaxed) {
                FINE => Outcome::Fine,
                FAILED => Outcome::Failed(note.reason()),
                _ => Outcome::Panicked(note.reason()),
            },
            said: note.said(),
            note,
        }
    }

    /// Where it stands; asked before this rank goes to another meeting, while the note is as it was.
    fn place(&self) -> Place {
        Place::new(self.note.file.get(), self.note.line.load(Ordering::Relaxed))
    }
}

/// How another rank's stand is related to this rank's.
enum Met {
    /// It is in the same call, and has made so many fenced calls.
    Same(Outcome, u64, Said),
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
/// [`CollectiveError::Diverged`] where ranks stand in different calls; the failure of a rank that has left an outer call
/// with one; [`CollectiveError::OutOfStep`] where they have made different numbers of fenced calls;
/// [`CollectiveError::RankDied`].
pub(crate) fn meet(block: &Block, stand: &Stand<'_>) -> Result<Meeting, CollectiveError> {
    let signature = stand.signature(block.identity());
    loop {
        let notes = gather(block, stand, signature)?;
        let met = notes
            .into_iter()
            .map(|note| compare(stand, signature, note));
        let met: Vec<Met> = met.collect();
        // Who is still inside the call has read now that this rank is leaving it, and comes out.
        if !met.iter().any(|met| matches!(met, Met::Inside)) {
            return settle(stand, met);
        }
    }
}

/// For a rank that waits in the fence at `here` for `writer`, which went to a meeting instead: comes to that meeting,
/// and returns why there is nothing to wait for.
pub(crate) fn meet_from_fence(
    block: &Block,
    writer: usize,
    here: &Location<'_>,
) -> CollectiveError {
    let place = Place::from(here);
    let stand = Stand {
        step: Step::Fenced,
        depth: block.domain().depth(),
        name: "",
        place: &place,
        anywhere: false,
        calls: 0,
        outcome: Outcome::Fine,
        said: NOTHING,
    };
    let notes = match gather(block, &stand, stand.signature(block.identity())) {
        Ok(notes) => notes,
        Err(error) => return error,
    };
    let there = &notes[writer];
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
    let mine = domain.my_board().posted.load(Ordering::Relaxed);
    domain.board(rank).posted.load(Ordering::Acquire) > mine
}

/// Comes to the next meeting and reads all notes, by rank.
fn gather<'a>(
    block: &'a Block,
    stand: &Stand<'_>,
    signature: u64,
) -> Result<Vec<Reading<'a>>, CollectiveError> {
    let domain = block.domain();
    let size = domain.topology().size();
    if domain.take_left_meeting() {
        catch_up(block)?;
    }
    let number = post(domain, stand, signature);
    let mut absence = Absence { number, next: 0 };
    let mut notes = Vec::with_capacity(size);
    for rank in 0..size {
        let board = domain.board(rank);
        let has_come = || board.posted.load(Ordering::Acquire) >= number;
        wait(
            block,
            domain.segment().arrival(),
            Deadline::Never,
            || has_come().then_some(()),
            || absence.look(domain, rank),
        )
        .map_err(|NotMet(error)| error)?;
        notes.push(Reading::of(&board.notes[(number % 2) as usize]));
    }
    let alike = |note: &Reading<'_>| note.signature == signature && note.calls == stand.calls;
    let all_fine = notes.iter().all(|note| note.outcome == Outcome::Fine);
    if !(all_fine && notes.iter().all(alike)) {
        // All ranks read the same notes. What fences they did not come to, or came to alone, they forget together.
        domain.advance_epoch();
    }
    Ok(notes)
}

/// Comes to the next meeting for the ranks that are there, without waiting for them and without a look at their notes: this
/// rank has left the call whose outcome they agree upon. They are told, and so is who is still inside the call.
pub(crate) fn leave(domain: &Arc<Domain>, controller: u64, stand: &Stand<'_>) {
    // Two notes a rank are enough if nobody comes to a meeting before all have come to the last one.
    let last = domain.my_board().posted.load(Ordering::Relaxed);
    if domain.take_left_meeting() && !all_have_come(domain, last) {
        domain.set_left_meeting();
        return;
    }
    post(domain, stand, stand.signature(controller));
    domain.set_left_meeting();
    // As the others do, who read that this rank has failed.
    domain.advance_epoch();
}

fn all_have_come(domain: &Domain, number: u64) -> bool {
    let size = domain.topology().size();
    (0..size).all(|rank| domain.board(rank).posted.load(Ordering::Acquire) >= number)
}

/// Waits until all ranks have come to the last meeting of this rank, whose notes it has not read.
fn catch_up(block: &Block) -> Result<(), CollectiveError> {
    let domain = block.domain();
    let number = domain.my_board().posted.load(Ordering::Relaxed);
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
    /// Looks at the rank that is waited for, and at some more: one that is alive may have gone away from a meeting to which
    /// another could not come.
    fn look(&mut self, domain: &Domain, rank: usize) -> Result<(), NotMet> {
        /// A look at a rank of this node takes system calls.
        const MORE: usize = 8;
        let size = domain.topology().size();
        let more = (0..MORE.min(size)).map(|index| (self.next + index) % size);
        for rank in more.chain([rank]) {
            let has_come = || domain.board(rank).posted.load(Ordering::Acquire) >= self.number;
            // It may have come before it died.
            if !domain.rank_is_alive(rank) && !has_come() {
                return Err(NotMet(CollectiveError::RankDied { rank: rank as i32 }));
            }
        }
        self.next = (self.next + MORE) % size;
        Ok(())
    }
}

/// Posts this rank's note for the next meeting; returns its number.
fn post(domain: &Arc<Domain>, stand: &Stand<'_>, signature: u64) -> u64 {
    let board = domain.my_board();
    let number = board.posted.load(Ordering::Relaxed) + 1;
    board.notes[(number % 2) as usize].set(&stand.note(signature));
    let spans_nodes = domain.topology().spans_nodes();
    // Counted before it can be seen, so that nobody goes on to the next meeting, and counts for that one, before all
    // have counted for this one. On one node nobody asks, and the ranks would get into each other's way.
    let before = spans_nodes.then(|| domain.segment().count_post());
    // An exchange, so that the look at the sleepers comes after it.
    board.posted.swap(number, Ordering::SeqCst);
    domain.segment().arrival().notify(ALL);
    let here = domain.topology().here().len() as u64;
    // The last rank of a node to post tells the other nodes for all.
    if before.is_some_and(|before| (before + 1).is_multiple_of(here)) {
        domain.announce(number);
    }
    number
}

/// What this rank makes of another's note.
fn compare(stand: &Stand<'_>, signature: u64, note: Reading<'_>) -> Met {
    if note.signature == signature {
        return Met::Same(note.outcome, note.calls, note.said);
    }
    match (stand.step, note.step) {
        (Step::Exit, Step::Exit) if note.depth < stand.depth => {
            let place = note.place();
            Met::Left(note.outcome, place)
        }
        (Step::Exit, _) if note.depth > stand.depth => Met::Inside,
        (Step::Enter | Step::Fenced, Step::Exit) => {
            let place = note.place();
            Met::Left(note.outcome, place)
        }
        // It is not in the call that this rank is leaving either.
        _ => Met::Elsewhere(note.place()),
    }
}

/// Decides what all notes together mean.
fn settle(stand: &Stand<'_>, met: Vec<Met>) -> Result<Meeting, CollectiveError> {
    let diverged = |rank: usize, there: &Place| CollectiveError::Diverged {
        here: stand.place.clone(),
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
    let mut meeting = Meeting {
        outcomes: Vec::with_capacity(met.len()),
        said: Vec::with_capacity(met.len()),
    };
    for (rank, met) in met.into_iter().enumerate() {
        match met {
            Met::Same(_, calls, _) if all_fine && calls != stand.calls => {
                return Err(CollectiveError::OutOfStep {
                    here: u64::from(stand.calls as u32),
                    rank: rank as i32,
                    there: u64::from(calls as u32),
                });
            }
            Met::Same(outcome, _, said) => {
                meeting.outcomes.push(outcome);
                meeting.said.push(said);
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
