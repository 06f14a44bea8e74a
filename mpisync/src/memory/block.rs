//! One controller's part of a segment.

use super::domain::Domain;
use super::mapping::{Mapping, Shareable};
use super::segment::Extent;
use super::words::lock::{Door, DoorKind, Line, RankWords, Words};
use super::words::mail::{Mail, Mailbox};
use super::words::station::Station;
use super::{Memory, Surroundings};
use crate::wait::ROUND_TRIPS;
use crate::wait::Stop;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// What a block begins with: how it goes back to the segment.
#[repr(C, align(128))]
pub(crate) struct BlockHeader {
    /// How many ranks have given it back.
    pub(crate) given_back: AtomicU32,
    /// Once all have: its length, and the next block on the list.
    pub(crate) length: AtomicU32,
    pub(crate) next: AtomicU64,
}

// SAFETY: atomics only, for all of which zero is a value.
unsafe impl Shareable for BlockHeader {}
// SAFETY: as above.
unsafe impl Shareable for Words {}
// SAFETY: as above.
unsafe impl Shareable for Line<RankWords> {}
// SAFETY: as above.
unsafe impl Shareable for Line<Shelf> {}
// SAFETY: as above.
unsafe impl Shareable for Mailbox {}
// SAFETY: as above.
unsafe impl Shareable for Line<Mail> {}

// SAFETY: as above.
unsafe impl Shareable for Station {}

const STATION: usize = size_of::<Station>();

const WORDS_AT: usize = size_of::<BlockHeader>();
const MAILBOX_AT: usize = WORDS_AT + size_of::<Words>();
const SHELF_AT: usize = MAILBOX_AT + size_of::<Mailbox>();
const RANKS_AT: usize = SHELF_AT + size_of::<Line<Shelf>>();

/// Words for what is no lock and stands beside one; all zero at first.
pub(crate) type Shelf = [AtomicU64; 2];

/// The block of one controller, as this rank sees it. Dropping it gives this rank's share back, without a word to
/// the others.
pub(crate) struct Block {
    /// Into `chunk`; kept as pointers because a read lock takes less time than finding them.
    words: NonNull<Words>,
    rank_words: NonNull<Line<RankWords>>,
    my_words: NonNull<RankWords>,
    shelf: NonNull<Shelf>,
    me: usize,
    seats: usize,
    door: DoorKind,
    number: Option<u64>,
    can_be_quiet: bool,
    extent: Extent,
    chunk: Arc<Mapping>,
    domain: Arc<Domain>,
}

impl Block {
    /// The length of a block for that many seats, with a station or without.
    pub(crate) fn length(seats: usize, has_station: bool) -> usize {
        let station = if has_station { STATION } else { 0 };
        Self::station_at(seats) + station
    }

    fn mails_at(seats: usize) -> usize {
        RANKS_AT + seats * size_of::<Line<RankWords>>()
    }

    fn station_at(seats: usize) -> usize {
        Self::mails_at(seats) + seats * size_of::<Line<Mail>>()
    }

    /// This rank's view of the block at `extent`, of a controller that has a number if it spans nodes.
    pub(crate) fn new(domain: Arc<Domain>, extent: Extent, number: Option<u64>) -> Self {
        let seat = domain.segment().me();
        Self::at_seat(domain, extent, number, seat)
    }

    /// The view of the node's agent.
    pub(crate) fn for_agent(domain: Arc<Domain>, extent: Extent, number: u64) -> Self {
        let seat = domain.segment().shape().seat_of_agent();
        Self::at_seat(domain, extent, Some(number), seat)
    }

    fn at_seat(domain: Arc<Domain>, extent: Extent, number: Option<u64>, me: usize) -> Self {
        let chunk = domain.segment().chunk(extent.chunk);
        let seats = domain.segment().shape().seats;
        let door = match number {
            Some(_) => DoorKind::Gate,
            None => DoorKind::Turn,
        };
        let start = extent.offset as usize;
        let rank_words: &[Line<RankWords>] = chunk.slice(start + RANKS_AT, seats);
        Block {
            words: NonNull::from(chunk.get(start + WORDS_AT)),
            rank_words: NonNull::from(rank_words).cast(),
            my_words: NonNull::from(&rank_words[me].0),
            shelf: NonNull::from(&chunk.get::<Line<Shelf>>(start + SHELF_AT).0),
            me,
            seats,
            door,
            number,
            can_be_quiet: domain.heeds_fences(),
            extent,
            chunk,
            domain,
        }
    }

    /// What this controller's communicator has.
    pub(crate) fn domain(&self) -> &Arc<Domain> {
        &self.domain
    }

    /// How many seats belong to ranks; the agent's comes after them.
    pub(crate) fn seats_of_ranks(&self) -> usize {
        self.domain.topology().here().len()
    }

    /// A number that tells this controller from the others of the communicator; the same on all ranks.
    pub(crate) fn identity(&self) -> u64 {
        let place = u64::from(self.extent.chunk) << 32 | u64::from(self.extent.offset);
        self.number.unwrap_or(place)
    }

    /// What an object that is more than a controller keeps.
    #[inline]
    pub(crate) fn shelf(&self) -> &Shelf {
        // SAFETY: taken from a reference into `chunk`, which `self` keeps mapped.
        unsafe { self.shelf.as_ref() }
    }

    /// Through which values travel.
    pub(crate) fn mailbox(&self) -> &Mailbox {
        self.chunk.get(self.extent.offset as usize + MAILBOX_AT)
    }

    /// What the rank in this seat has to say about the mailbox.
    pub(crate) fn mail(&self, seat: usize) -> &Mail {
        let offset = self.extent.offset as usize + Self::mails_at(self.seats);
        let mails: &[Line<Mail>] = self.chunk.slice(offset, self.seats);
        &mails[seat].0
    }

    /// This rank takes part in no call any more: nobody waits for it to be done with one, and who waits for what it shares finds
    /// that it went on without.
    pub(crate) fn leave_calls(&self) {
        self.mail(self.me).done.swap(u64::MAX, Ordering::SeqCst);
    }

    /// The memory behind the block's own, and where it begins there.
    pub(crate) fn annex(&self) -> (&Arc<Mapping>, usize) {
        let own = self.domain.segment().shape().block_length();
        (&self.chunk, self.extent.offset as usize + own)
    }

    /// For whom the rank in this seat waits in `call`, if it does.
    pub(crate) fn waits_for(&self, seat: usize, call: u64) -> Option<u32> {
        let mail = self.mail(seat);
        let waits = mail.waiting.load(Ordering::Acquire) == call;
        waits.then(|| mail.waits_for.load(Ordering::Relaxed))
    }
}

/// Where it is on several nodes.
impl Block {
    /// The node's place in the queue for the cluster's turn.
    pub(crate) fn station(&self) -> &Station {
        let at = Self::station_at(self.seats);
        self.chunk.get(self.extent.offset as usize + at)
    }

    /// Whether all ranks of this node that live are done with `call`.
    pub(crate) fn all_here_are_done(&self, call: u64) -> bool {
        (0..self.seats_of_ranks()).all(|seat| {
            self.mail(seat).done.load(Ordering::Acquire) >= call || !self.domain.is_alive(seat)
        })
    }

    /// Whether all ranks of this node have dropped the controller, and only the agent has not.
    pub(crate) fn is_left_to_agent(&self) -> bool {
        let header: &BlockHeader = self.chunk.get(self.extent.offset as usize);
        header.given_back.load(Ordering::Relaxed) as usize + 1 == self.seats
    }
}

// SAFETY: the pointers lead into `chunk`, which any thread may use, to words that are atomics.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Drop for Block {
    fn drop(&mut self) {
        let header = self.chunk.get(self.extent.offset as usize);
        self.domain.segment().give_back(self.extent, header);
    }
}

impl Surroundings for Block {
    fn progress(&self) {
        self.domain.progress();
    }

    fn attend(&self, attends: bool) {
        if self.number.is_some() {
            self.domain.attend(attends);
        }
    }

    fn patience(&self) -> Option<Duration> {
        self.number.map(|_| ROUND_TRIPS)
    }

    fn check(&self) -> Result<(), Stop> {
        if self.number.is_none() {
            return Ok(());
        }
        match self.station().broken.load(Ordering::Relaxed).checked_sub(1) {
            Some(rank) => Err(Stop::RankDied(rank)),
            None => Ok(()),
        }
    }

    fn is_alive(&self, rank: usize) -> bool {
        self.domain.is_alive(rank)
    }
}

impl Memory for Block {
    #[inline]
    fn words(&self) -> &Words {
        // SAFETY: taken from a reference into `chunk`, which `self` keeps mapped.
        unsafe { self.words.as_ref() }
    }

    #[inline]
    fn door(&self) -> Door<'_> {
        self.words().door(self.door)
    }

    #[inline]
    fn rank_words(&self, rank: usize) -> &RankWords {
        assert!(rank < self.seats, "a seat of this node");
        // SAFETY: taken from a slice of `seats` values in `chunk`, which `self` keeps mapped.
        unsafe { &self.rank_words.add(rank).as_ref().0 }
    }

    #[inline]
    fn my_words(&self) -> &RankWords {
        // SAFETY: taken from a reference into `chunk`, which `self` keeps mapped.
        unsafe { self.my_words.as_ref() }
    }

    fn can_be_quiet(&self) -> bool {
        self.can_be_quiet
    }

    #[inline]
    fn ranks(&self) -> usize {
        self.seats
    }

    #[inline]
    fn me(&self) -> usize {
        self.me
    }
}
