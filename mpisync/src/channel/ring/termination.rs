//! Termination: which ranks still put and take, and whether the stream has ended.

use crate::channel::ring::layout::{
    FELL_SHORT, NO_CONSUMER, NO_PRODUCER, ONE_END, Position, WAITING,
};
use crate::channel::ring::memory::QueueMemory;
use crate::channel::ring::{NoMessage, Queue};
use crate::shm::atomic::Ordering;

/// The value of [`Account::endings`](crate::channel::ring::layout::Account::endings) when a rank
/// began to wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(pub(in crate::channel) u32);

/// The next value of [`Account::endings`](crate::channel::ring::layout::Account::endings).
pub(in crate::channel) fn one_more_end(endings: u32, fell_short: bool) -> u32 {
    let next = (endings & !FELL_SHORT).wrapping_add(ONE_END);
    if fell_short { next | FELL_SHORT } else { next }
}

impl<M: QueueMemory> Queue<M> {
    /// Announces that this rank puts no more messages.
    pub(crate) fn close_producer(&self) {
        // SeqCst: a rank that sees this also sees all messages put before.
        self.my_state().ends.fetch_or(NO_PRODUCER, Ordering::SeqCst);
        self.notify_not_empty();
    }

    /// Announces that this rank takes no more messages.
    pub(crate) fn close_consumer(&self) {
        self.my_state().ends.fetch_or(NO_CONSUMER, Ordering::SeqCst);
        self.close_if_no_consumer();
    }

    /// If no rank is left that takes, closes the queue and wakes the ranks that wait for room.
    pub(in crate::channel) fn close_if_no_consumer(&self) {
        if self.all_have_closed(NO_CONSUMER) {
            let account = &self.memory.words().account.0;
            account.closed.store(1, Ordering::SeqCst);
            self.notify_not_full();
        }
    }

    /// Whether all ranks have closed that end.
    pub(in crate::channel) fn all_have_closed(&self, end: u32) -> bool {
        (0..self.memory.ranks()).all(|rank| {
            let ends = &self.memory.rank_state(rank).ends;
            ends.load(Ordering::SeqCst) & end != 0
        })
    }

    /// Whether all other ranks have closed their consumers; stable.
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

    /// The other ranks that have not closed that end; None if there are other nodes.
    pub(in crate::channel) fn others_with(&self, end: u32) -> Option<Vec<usize>> {
        if self.memory.relay().is_some() {
            return None;
        }
        let me = self.memory.me();
        let is_open = |&rank: &usize| {
            let ends = &self.memory.rank_state(rank).ends;
            rank != me && ends.load(Ordering::SeqCst) & end == 0
        };
        Some((0..self.memory.ranks()).filter(is_open).collect())
    }

    /// Begins to wait for a message. The result is the argument of [`Self::end_of_wait`]. A
    /// `patient` rank waits until there is a message, and puts nothing before.
    pub(crate) fn begin_waiting(&self, patient: bool) -> Generation {
        let began = self.memory.words().account.0.endings.load(Ordering::SeqCst);
        if patient {
            // SeqCst: ordered with the loads of `all_are_idle`.
            (self.my_state().waits).store(began | WAITING, Ordering::SeqCst);
        }
        Generation(began)
    }

    /// Announces that this rank waits no more.
    #[inline]
    pub(in crate::channel) fn stop_waiting(&self) {
        let waits = &self.my_state().waits;
        if waits.load(Ordering::Relaxed) != 0 {
            waits.store(0, Ordering::SeqCst);
        }
    }

    /// [`Self::end`] for a rank that waits.
    ///
    /// The first rank that finds all others waiting continues after that, and may put again. So it
    /// counts the end, and the ranks that have waited until then see the new count.
    pub(in crate::channel) fn end_of_wait(
        &self,
        Generation(began): Generation,
    ) -> Option<NoMessage> {
        let endings = &self.memory.words().account.0.endings;
        let ended = endings.load(Ordering::SeqCst);
        if ended != began {
            // Not computed from the current promises, which may be newer than that end.
            let fell_short = ended & FELL_SHORT != 0;
            return Some(if fell_short {
                self.shortfall()
            } else {
                NoMessage::Over
            });
        }
        if self.memory.relay().is_some() {
            // The coordinator detects the end, and the server counts it.
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
        // Fails if another rank has already counted this end.
        let _ = endings.compare_exchange(began, next, Ordering::SeqCst, Ordering::Relaxed);
        Some(end)
    }

    /// The end of the stream, if it has ended. For a rank that has found no message.
    pub(crate) fn end(&self) -> Option<NoMessage> {
        if self.promises_are_kept() {
            return Some(NoMessage::Over);
        }
        self.all_are_idle().then(|| self.shortfall())
    }

    /// Whether messages were promised and all of them were taken.
    fn promises_are_kept(&self) -> bool {
        let claimed = &self.memory.words().account.0.claimed;
        let claimed = claimed.load(Ordering::SeqCst);
        claimed > 0 && self.is_empty() && self.taken() >= claimed
    }

    /// Whether the queue is empty and every rank has either closed its producer or waits for a
    /// message.
    ///
    /// The ranks are checked between two loads of head and tail, which only grow. If neither has
    /// moved, no rank put or took anything in between. A rank that had taken a message before and
    /// still appears to wait has announced that message. So at the second load no rank has a
    /// message or can get one.
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

    /// The kind of end when no rank is left that puts.
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

    /// Whether the rank puts nothing until it gets a message. A rank that began to wait before the
    /// last end is about to continue.
    fn puts_nothing(&self, rank: usize, waits: u32) -> bool {
        let rank_state = self.memory.rank_state(rank);
        // The announcement is read first: a rank that takes a message stops announcing that it
        // waits before it withdraws the announcement of the message.
        let takes = !rank_state.taking.is_withdrawn();
        let waits = rank_state.waits.load(Ordering::SeqCst) == waits && !takes;
        waits || rank_state.ends.load(Ordering::SeqCst) & NO_PRODUCER != 0
    }

    /// The number of messages that were taken.
    pub(in crate::channel) fn taken(&self) -> u64 {
        let words = self.memory.words();
        let account = &words.account.0;
        let start = Position(account.start.load(Ordering::Relaxed));
        let head = Position(words.head.0.load(Ordering::SeqCst));
        let passed = self.memory.shape().distance(start, head);
        passed - account.voids.load(Ordering::SeqCst).min(passed)
    }
}
