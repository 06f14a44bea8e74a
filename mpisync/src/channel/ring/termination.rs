//! Who still puts and takes, and when a stream is at its end.

use crate::channel::ring::layout::{
    FELL_SHORT, NO_CONSUMER, NO_PRODUCER, ONE_END, Position, WAITING,
};
use crate::channel::ring::memory::QueueMemory;
use crate::channel::ring::{NoMessage, Queue};
use crate::shm::atomic::Ordering;

/// After how many ends a rank began to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(pub(in crate::channel) u32);

/// The word for [`Account::endings`](crate::channel::ring::layout::Account::endings) after one more
/// end.
pub(in crate::channel) fn one_more_end(endings: u32, fell_short: bool) -> u32 {
    let next = (endings & !FELL_SHORT).wrapping_add(ONE_END);
    if fell_short { next | FELL_SHORT } else { next }
}

impl<M: QueueMemory> Queue<M> {
    /// This rank puts nothing any more.
    pub(crate) fn close_producer(&self) {
        // SeqCst: who finds this finds all that was put before.
        self.my_state().ends.fetch_or(NO_PRODUCER, Ordering::SeqCst);
        self.ring_news();
    }

    /// This rank takes nothing any more.
    pub(crate) fn close_consumer(&self) {
        self.my_state().ends.fetch_or(NO_CONSUMER, Ordering::SeqCst);
        self.note_desertion();
    }

    /// Sees whether anybody is left who takes, and if not lets those know who put.
    pub(in crate::channel) fn note_desertion(&self) {
        if self.all_have_closed(NO_CONSUMER) {
            let account = &self.memory.words().account.0;
            account.deserted.store(1, Ordering::SeqCst);
            self.ring_room();
        }
    }

    /// Whether all ranks have closed that end.
    pub(in crate::channel) fn all_have_closed(&self, end: u32) -> bool {
        (0..self.memory.ranks()).all(|rank| {
            let ends = &self.memory.rank_state(rank).ends;
            ends.load(Ordering::SeqCst) & end != 0
        })
    }

    /// Whether all other ranks have closed their consumers, for good.
    pub(in crate::channel) fn others_take_nothing(&self) -> bool {
        if let Some(relay) = self.memory.relay()
            && relay.is_alone.load(Ordering::Relaxed) == 0
        {
            return false;
        }
        let me = self.memory.me();
        let mut others = (0..self.memory.ranks()).filter(|&rank| rank != me);
        others.all(|rank| {
            let ends = &self.memory.rank_state(rank).ends;
            ends.load(Ordering::SeqCst) & NO_CONSUMER != 0
        })
    }

    /// Begins to wait for a message; the result is for [`Self::end_of_wait`]. A `patient` rank
    /// waits until there is one, and puts nothing before.
    pub(crate) fn begin_waiting(&self, patient: bool) -> Generation {
        let began = self.memory.words().account.0.endings.load(Ordering::SeqCst);
        if patient {
            // SeqCst: in the order of the looks that `all_are_idle` takes.
            (self.my_state().waits).store(began | WAITING, Ordering::SeqCst);
        }
        Generation(began)
    }

    /// This rank waits no more.
    #[inline]
    pub(in crate::channel) fn stop_waiting(&self) {
        let waits = &self.my_state().waits;
        if waits.load(Ordering::Relaxed) != 0 {
            waits.store(0, Ordering::SeqCst);
        }
    }

    /// [`Self::end`] for a rank that waits.
    ///
    /// The first rank that finds all others waiting goes on after that, and may put again. So it
    /// counts the end, for those that have waited until then.
    pub(in crate::channel) fn end_of_wait(
        &self,
        Generation(began): Generation,
    ) -> Option<NoMessage> {
        let endings = &self.memory.words().account.0.endings;
        let ended = endings.load(Ordering::SeqCst);
        if ended != began {
            // Not by what is promised now: it may have been promised since.
            let fell_short = ended & FELL_SHORT != 0;
            return Some(if fell_short {
                self.shortfall()
            } else {
                NoMessage::Over
            });
        }
        if self.memory.relay().is_some() {
            // The coordinator finds the end, and the server counts it.
            return None;
        }
        if self.promises_are_kept() {
            return Some(NoMessage::Over);
        }
        if !self.all_are_idle() {
            return None;
        }
        let end = self.shortfall();
        let next = one_more_end(began, end != NoMessage::Over);
        // Fails where another rank has counted this end.
        let _ = endings.compare_exchange(began, next, Ordering::SeqCst, Ordering::Relaxed);
        Some(end)
    }

    /// Why no message will come any more, if so; for a rank that has found none.
    pub(crate) fn end(&self) -> Option<NoMessage> {
        if self.promises_are_kept() {
            return Some(NoMessage::Over);
        }
        self.all_are_idle().then(|| self.shortfall())
    }

    /// Whether messages were promised, and all of them taken.
    fn promises_are_kept(&self) -> bool {
        let claimed = &self.memory.words().account.0.claimed;
        let claimed = claimed.load(Ordering::SeqCst);
        claimed > 0 && self.is_empty() && self.taken() >= claimed
    }

    /// Whether the queue is empty, and every rank has either closed its producer or waits for a
    /// message.
    ///
    /// The looks at the ranks come between two looks at head and tail. These only grow, so if they
    /// have not moved, nobody put or took anything in between. A rank that had taken something
    /// before and still seems to wait has announced what it took. So at the second look no rank had
    /// a message, nor could get one.
    pub(in crate::channel) fn all_are_idle(&self) -> bool {
        let words = self.memory.words();
        let ends = || {
            let head = words.head.0.load(Ordering::SeqCst);
            (head, words.tail.0.load(Ordering::SeqCst))
        };
        let (head, tail) = ends();
        let endings = words.account.0.endings.load(Ordering::SeqCst);
        head == tail
            && (0..self.memory.ranks()).all(|rank| self.puts_nothing(rank, endings | WAITING))
            && ends() == (head, tail)
    }

    /// What kind of end it is where nobody is left who puts.
    fn shortfall(&self) -> NoMessage {
        let claimed = &self.memory.words().account.0.claimed;
        let missing = match self.memory.relay() {
            Some(relay) => relay.missing.load(Ordering::SeqCst),
            None => (claimed.load(Ordering::SeqCst)).saturating_sub(self.taken()),
        };
        match missing {
            0 => NoMessage::Over,
            missing => NoMessage::Missing(missing),
        }
    }

    pub(in crate::channel) fn is_empty(&self) -> bool {
        let words = self.memory.words();
        let head = words.head.0.load(Ordering::SeqCst);
        words.tail.0.load(Ordering::SeqCst) == head
    }

    /// Whether the rank puts nothing unless it gets a message first. One that `waits` since before
    /// the last end is about to go on.
    fn puts_nothing(&self, rank: usize, waits: u32) -> bool {
        let rank_state = self.memory.rank_state(rank);
        // In this order: a rank that has taken something says that it does not wait any more, and withdraws its
        // announcement after that.
        let takes = !rank_state.taking.is_withdrawn();
        let waits = rank_state.waits.load(Ordering::SeqCst) == waits && !takes;
        waits || rank_state.ends.load(Ordering::SeqCst) & NO_PRODUCER != 0
    }

    /// How many messages were taken.
    pub(in crate::channel) fn taken(&self) -> u64 {
        let words = self.memory.words();
        let account = &words.account.0;
        let start = Position(account.start.load(Ordering::Relaxed));
        let head = Position(words.head.0.load(Ordering::SeqCst));
        let passed = self.memory.shape().distance(start, head);
        passed - account.voids.load(Ordering::SeqCst).min(passed)
    }
}
