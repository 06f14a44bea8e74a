//! How the ranks of a communicator meet in a collective call and find out that they are in the same one.
//!
//! Each rank has a board on which it posts where it stands, under the number of the event: the first meeting of the
//! communicator is event 1, and so on. A meeting waits for all boards, so two notes a board are enough: nobody can
//! post event `n + 2` before everybody has read event `n`. Ranks that stand at different places under the same
//! number have diverged, and each of them reads so on the others' boards.

use crate::error::FenceError;
use crate::memory::block::Block;
use crate::memory::cells::Text;
use crate::memory::{Memory, Surroundings};
use crate::place::Place;
use crate::wait::{ALL, Deadline, Stop, wait};
use std::panic::Location;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Where one rank stands in collective calls. Stored by that rank only. All zero is the first state.
#[repr(C)]
pub(crate) struct Board {
    /// The number of the event that this rank has come to last; stored after the note.
    posted: AtomicU64,
    /// What this rank has posted for even and odd numbers.
    notes: [Note; 2],
    /// The event that this rank will not come to, because it waits in a fence for somebody who went there, and where
    /// that fence is. Counts for those who posted before.
    refused: AtomicU64,
    refused_ticket: AtomicU64,
    refused_line: AtomicU32,
    refused_file: Text<16>,
}

#[repr(C)]
struct Note {
    /// Odd while the note is being changed.
    version: AtomicU64,
    /// A number that differs between stands.
    signature: AtomicU64,
    step: AtomicU32,
    depth: AtomicU32,
    outcome: AtomicU32,
    calls: AtomicU64,
    line: AtomicU32,
    file: Text<16>,
    reason: Text<64>,
}

/// Going in or coming out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Enter,
    Exit,
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
    /// How many fenced calls it has made on the controller.
    pub(crate) calls: u64,
    pub(crate) outcome: Outcome,
}

impl Stand<'_> {
    /// A number that differs between stands: FNV-1a over all that says where the rank is, on which controller.
    fn signature(&self, controller: u64) -> u64 {
        let step = [self.step as u8];
        let parts: [&[u8]; 6] = [
            &controller.to_ne_bytes(),
            &step,
            &self.depth.to_ne_bytes(),
            &self.place.line().to_ne_bytes(),
            self.place.file().as_bytes(),
            self.name.as_bytes(),
        ];
        let bytes = parts.into_iter().flatten();
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        })
    }
}

/// What another rank's note says.
struct Reading {
    signature: u64,
    step: Step,
    depth: u32,
    calls: u64,
    outcome: Outcome,
    place: Place,
}

impl Note {
    fn write(&self, stand: &Stand<'_>, signature: u64) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        self.signature.store(signature, Ordering::Relaxed);
        self.step.store(stand.step as u32, Ordering::Relaxed);
        self.depth.store(stand.depth, Ordering::Relaxed);
        self.calls.store(stand.calls, Ordering::Relaxed);
        self.line.store(stand.place.line(), Ordering::Relaxed);
        self.file.set_tail(stand.place.file());
        let outcome = match &stand.outcome {
            Outcome::Fine => 0,
            Outcome::Failed(reason) => {
                self.reason.set(reason);
                1
            }
            Outcome::Panicked(reason) => {
                self.reason.set(reason);
                2
            }
        };
        self.outcome.store(outcome, Ordering::Relaxed);
        self.version.store(version + 2, Ordering::Release);
    }

    /// What it says, unless it is being changed just now.
    fn read(&self) -> Option<Reading> {
        let version = self.version.load(Ordering::Acquire);
        let reading = Reading {
            signature: self.signature.load(Ordering::Relaxed),
            step: if self.step.load(Ordering::Relaxed) == Step::Enter as u32 {
                Step::Enter
            } else {
                Step::Exit
            },
            depth: self.depth.load(Ordering::Relaxed),
            calls: self.calls.load(Ordering::Relaxed),
            outcome: match self.outcome.load(Ordering::Relaxed) {
                0 => Outcome::Fine,
                1 => Outcome::Failed(self.reason.get()),
                _ => Outcome::Panicked(self.reason.get()),
            },
            place: Place::new(self.file.get(), self.line.load(Ordering::Relaxed)),
        };
        fence(Ordering::Acquire);
        let unchanged =
            version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
        unchanged.then_some(reading)
    }
}

/// How another rank's stand is related to this rank's.
enum Met {
    /// It is in the same call, and has made so many fenced calls.
    Same(Outcome, u64),
    /// It is in another call.
    Elsewhere(Place),
    /// It has left a call that this rank is still in.
    Left(Outcome, Place),
}

/// Meets all ranks of the communicator where this rank stands; returns what came of each rank's part, by rank.
///
/// # Errors
/// [`FenceError::Diverged`] where ranks stand in different calls; the failure of a rank that has left an outer call
/// with one; [`FenceError::RankDied`].
pub(crate) fn meet(block: &Block, stand: &Stand<'_>) -> Result<Vec<Outcome>, FenceError> {
    let domain = block.domain();
    let segment = domain.segment();
    let number = domain.events.load(Ordering::Relaxed) + 1;
    let signature = stand.signature(block.identity());
    let board = &segment.member(block.me()).board;
    board.notes[(number % 2) as usize].write(stand, signature);
    let ticket = segment.draw_ticket();
    // An exchange, so that the look at the sleepers comes after it.
    board.posted.swap(number, Ordering::SeqCst);
    segment.arrival().notify(ALL);

    let mut met = Vec::with_capacity(block.ranks());
    for rank in 0..block.ranks() {
        if rank == block.me() {
            met.push(Met::Same(stand.outcome.clone(), stand.calls));
            continue;
        }
        let theirs = &segment.member(rank).board;
        let other = wait(
            block,
            segment.arrival(),
            Deadline::Never,
            || {
                let has_come = theirs.posted.load(Ordering::Acquire) >= number;
                let note = &theirs.notes[(number % 2) as usize];
                has_come
                    .then(|| note.read())
                    .flatten()
                    .and_then(|note| compare(stand, signature, note))
            },
            || inspect(block, rank, number, ticket, stand),
        );
        match other {
            Ok(other) => met.push(other),
            Err(NotMet(error)) => {
                board.posted.store(number - 1, Ordering::Release);
                return Err(error);
            }
        }
    }
    settle(block, stand, number, met)
}

/// What this rank makes of another's note; none while the other still has to come up to where this one is.
fn compare(stand: &Stand<'_>, signature: u64, note: Reading) -> Option<Met> {
    if note.signature == signature {
        return Some(Met::Same(note.outcome, note.calls));
    }
    match (stand.step, note.step) {
        (Step::Enter, Step::Enter) => Some(Met::Elsewhere(note.place)),
        (Step::Enter, Step::Exit) => Some(Met::Left(note.outcome, note.place)),
        (Step::Exit, Step::Exit) if note.depth < stand.depth => {
            Some(Met::Left(note.outcome, note.place))
        }
        // In an inner call, out of which it will come when it sees that this rank has left the outer one.
        (Step::Exit, _) => None,
    }
}

fn settle(
    block: &Block,
    stand: &Stand<'_>,
    number: u64,
    met: Vec<Met>,
) -> Result<Vec<Outcome>, FenceError> {
    let domain = block.domain();
    let left = met.iter().enumerate().find_map(|(rank, met)| match met {
        Met::Left(outcome, place) => Some((rank, outcome, place)),
        _ => None,
    });
    if let Some((rank, outcome, place)) = left {
        // This event is still to come: as the end of the outer call.
        let board = &domain.segment().member(block.me()).board;
        board.posted.store(number - 1, Ordering::Release);
        return Err(
            failure(rank, outcome, place).unwrap_or_else(|| FenceError::Diverged {
                here: stand.place.clone(),
                rank: rank as i32,
                there: place.clone(),
            }),
        );
    }
    domain.events.store(number, Ordering::Relaxed);
    let all_fine = met
        .iter()
        .all(|met| matches!(met, Met::Same(Outcome::Fine, _)));
    if all_fine {
        let strayed = met.iter().enumerate().find_map(|(rank, met)| match met {
            Met::Same(_, calls) if *calls != stand.calls => Some((rank, *calls)),
            _ => None,
        });
        if let Some((rank, there)) = strayed {
            // Every rank finds one that differs from it, so all begin to count anew.
            domain.advance_epoch();
            return Err(FenceError::OutOfStep {
                here: u64::from(stand.calls as u32),
                rank: rank as i32,
                there: u64::from(there as u32),
            });
        }
    }
    met.into_iter()
        .enumerate()
        .map(|(rank, met)| match met {
            Met::Same(outcome, _) => Ok(outcome),
            Met::Elsewhere(there) | Met::Left(_, there) => Err(FenceError::Diverged {
                here: stand.place.clone(),
                rank: rank as i32,
                there,
            }),
        })
        .collect()
}

/// The error for what came of a rank's part in a call, if it failed.
pub(crate) fn failure(rank: usize, outcome: &Outcome, place: &Place) -> Option<FenceError> {
    let (rank, place) = (rank as i32, place.clone());
    match outcome {
        Outcome::Fine => None,
        Outcome::Failed(message) => Some(FenceError::Failed {
            rank,
            place,
            message: message.clone(),
        }),
        Outcome::Panicked(message) => Some(FenceError::Panicked {
            rank,
            place,
            message: message.clone(),
        }),
    }
}

/// Why a rank was not met.
struct NotMet(FenceError);

impl From<Stop> for NotMet {
    fn from(_: Stop) -> Self {
        unreachable!("there is no deadline")
    }
}

/// Looks whether `rank` can still be expected to come to event `number`, for which this rank drew `ticket`.
fn inspect(
    block: &Block,
    rank: usize,
    number: u64,
    ticket: u64,
    stand: &Stand<'_>,
) -> Result<(), NotMet> {
    let board = &block.domain().segment().member(rank).board;
    let is_here = || board.posted.load(Ordering::Acquire) >= number;
    if !block.is_alive(rank) && !is_here() {
        return Err(NotMet(FenceError::RankDied { rank: rank as i32 }));
    }
    let refused = board.refused.load(Ordering::Acquire) == number
        && board.refused_ticket.load(Ordering::Relaxed) > ticket;
    if refused && !is_here() {
        let line = board.refused_line.load(Ordering::Relaxed);
        return Err(NotMet(FenceError::Diverged {
            here: stand.place.clone(),
            rank: rank as i32,
            there: Place::new(board.refused_file.get(), line),
        }));
    }
    Ok(())
}

/// For a rank that waits in the fence at `here` for `writer`: whether the writer waits in a collective call instead,
/// to which this rank has not come.
pub(crate) fn find_elsewhere(
    block: &Block,
    writer: usize,
    here: &Location<'_>,
) -> Result<(), FenceError> {
    let domain = block.domain();
    let next = domain.events.load(Ordering::Relaxed) + 1;
    let board = &domain.segment().member(writer).board;
    if board.posted.load(Ordering::Acquire) < next {
        return Ok(());
    }
    let Some(note) = board.notes[(next % 2) as usize].read() else {
        return Ok(());
    };
    Err(
        failure(writer, &note.outcome, &note.place).unwrap_or_else(|| FenceError::Diverged {
            here: here.into(),
            rank: writer as i32,
            there: note.place,
        }),
    )
}

/// Tells those who wait in the next event that this rank is in the fence at `here`, and not on its way to them.
pub(crate) fn refuse(block: &Block, here: &Location<'_>) {
    let domain = block.domain();
    let segment = domain.segment();
    let board = &segment.member(block.me()).board;
    board.refused_line.store(here.line(), Ordering::Relaxed);
    board.refused_file.set_tail(here.file());
    board
        .refused_ticket
        .store(segment.draw_ticket(), Ordering::Relaxed);
    let next = domain.events.load(Ordering::Relaxed) + 1;
    board.refused.swap(next, Ordering::SeqCst);
    segment.arrival().notify(ALL);
}
