//! The lock of one node: a slot for each reader, and a turn that writers take.
//!
//! A reader stores a flag in its own slot and then checks the [`Gate`]. A writer takes the turn,
//! which closes the gate, and then checks all slots. On both sides a barrier separates the two steps
//! (Dekker's handshake), so at least one side sees the other. No two readers write to the same cache
//! line. After a time without writers, readers omit their barrier, see `bias`.
//!
//! A reader that finds the gate closed stores the number of openings in its slot. A writer that
//! opens the gate increments that number, and each later writer waits for such a slot as for a
//! reader's. So an opening lets in all readers that wait for it, even if the next writer comes at
//! once, and readers cannot starve. A writer opens the gate if no other writer waits, and at the
//! latest after a bounded run of writers.
//!
//! `turn` describes how writers pass the turn on. If the lock spans hosts, the turn concerns the
//! writers of one node only, and the gate is a word of its own, see `global_gate`. Readers do the
//! same in both cases.

mod bias;
mod global_gate;
mod poison;
mod polled;
mod turn;

use crate::rwlock::layout::*;
use crate::rwlock::memory::Memory;
use crate::shm::atomic::{AtomicU32, MODELLED, Ordering, store_then_fence};
use crate::shm::event::{ALL, Event};
use crate::shm::membarrier::light_fence;
use crate::shm::wait::{Deadline, Stop, wait};

/// A reader-writer lock in the memory `M`, as one rank sees it. Without nesting, which
/// [`LockState`](crate::rwlock::state::LockState) counts.
#[derive(Clone, Copy)]
pub(crate) struct NodeLock<M> {
    pub(crate) memory: M,
}

/// The ranks that hold the lock or wait for it, by index on the node; a snapshot that may be out of
/// date.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    pub(crate) writer: Option<usize>,
    pub(crate) readers: Vec<usize>,
    pub(crate) waiting_writers: Vec<usize>,
    pub(crate) waiting_readers: Vec<usize>,
    /// Those that hold a range together with others.
    pub(crate) ranges: Vec<usize>,
}

impl Holders {
    /// From the words of the lock, and of its ranks by index on the node. `threads_read` is whether threads
    /// of a rank have counted themselves as readers.
    pub(super) fn of<'a>(
        words: &Words,
        ranks: impl Iterator<Item = &'a RankWords>,
        threads_read: impl Fn(usize) -> bool,
    ) -> Self {
        let turn = Turn(words.gate_words.0.turn.load(Ordering::Acquire));
        let mut holders = Holders {
            writer: turn.owner().filter(|&owner| owner != Turn::RANGES),
            ..Holders::default()
        };
        for (rank, rank_words) in ranks.enumerate() {
            let slot = rank_words.slot.load(Ordering::Relaxed);
            if slot == READING || threads_read(rank) {
                holders.readers.push(rank);
            }
            if !matches!(slot, IDLE | READING) {
                holders.waiting_readers.push(rank);
            }
            if rank_words.request.load(Ordering::Relaxed) != NOT_REQUESTED {
                holders.waiting_writers.push(rank);
            }
            if rank_words.range.holds() {
                holders.ranges.push(rank);
            }
        }
        holders
    }
}

/// Proof that the gate is closed: readers that entered before are visible in their slots.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Closed {
    /// The number of openings before.
    pub(crate) openings: u32,
}

/// A reader that waits for the next opening.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaitingReader {
    /// The number of openings before.
    before: u32,
    /// Whether that was still the number after the slot was stored.
    came_in_time: bool,
}

/// As a reader.
impl<M: Memory> NodeLock<M> {
    /// Enters as a reader if no writer has or wants the lock.
    #[inline]
    pub(crate) fn try_read(&self) -> bool {
        let gate = self.memory.gate();
        let slot = &self.memory.my_words().slot;
        if MODELLED && self.memory.heavy_fence().is_none() {
            // Saves the model checker a step, which takes it minutes.
            return self.try_read_with_barrier();
        }
        slot.store(READING, Ordering::Relaxed);
        light_fence();
        // Acquires the last writer's changes.
        gate.is_biased(gate.word.load(Ordering::Acquire)) || self.try_read_with_barrier()
    }

    // Inlined, it would take registers from the reads that need no barrier.
    #[inline(never)]
    fn try_read_with_barrier(&self) -> bool {
        let gate = self.memory.gate();
        store_then_fence(&self.memory.my_words().slot, READING);
        // SeqCst for the handshake; also acquires the last writer's changes.
        let word = gate.word.load(Ordering::SeqCst);
        if gate.is_open(word) {
            self.count_read(word);
            return true;
        }
        self.unlock_read();
        false
    }

    /// Enters as a reader; waits while a writer has or wants the lock.
    #[inline]
    pub(crate) fn read<'a>(&self, deadline: impl FnOnce() -> Deadline<'a>) -> Result<(), Stop> {
        if self.try_read() {
            return Ok(());
        }
        self.read_later(deadline())
    }

    #[cold]
    fn read_later(&self, deadline: Deadline<'_>) -> Result<(), Stop> {
        loop {
            if self.gate_is_open() && self.try_read() {
                return Ok(());
            }
            let waiting = self.begin_to_wait();
            let entered = wait(
                &self.memory,
                self.opening(),
                deadline,
                || self.has_come_in(waiting),
                || self.inspect_gate(),
            );
            if entered == Ok(true) {
                self.come_in();
                return Ok(());
            }
            // A writer may already wait for this slot.
            self.unlock_read();
            entered?;
        }
    }

    fn gate_is_open(&self) -> bool {
        let gate = self.memory.gate();
        gate.is_open(gate.word.load(Ordering::Acquire))
    }

    /// Shows in the slot that this rank waits for the next opening.
    fn begin_to_wait(&self) -> WaitingReader {
        let gate = self.memory.gate();
        let before = gate.openings(Ordering::Acquire);
        store_then_fence(&self.memory.my_words().slot, waiting_since(before));
        // If the number is still the same now, the slot was stored before the next opening. Every writer after
        // that opening waits for this rank, which has entered as soon as the number has changed.
        // The load of the gate's word is needed because the stores of the number are not in the language's single
        // total order. Every writer that checks the slots has exchanged that word before, and a load that sees
        // this exchange, or a later one, also sees what was stored before it.
        gate.word.load(Ordering::SeqCst);
        let came_in_time = gate.openings(Ordering::Acquire) == before;
        WaitingReader {
            before,
            came_in_time,
        }
    }

    /// Whether the rank, which waits, has been let in; false if it has to try anew. None as long as it
    /// has to wait.
    fn has_come_in(&self, waiting: WaitingReader) -> Option<bool> {
        let WaitingReader {
            before,
            came_in_time,
        } = waiting;
        let opened = self.memory.gate().openings(Ordering::Acquire) != before;
        // A writer opens before it releases the turn, so there may be no further opening to wait for.
        (!came_in_time || opened || self.gate_is_open()).then_some(came_in_time && opened)
    }

    /// Enters as a reader that has been let in.
    fn come_in(&self) {
        let slot = &self.memory.my_words().slot;
        slot.store(READING, Ordering::Relaxed);
    }

    /// Finds out, as a waiting reader, whether the gate will open.
    fn inspect_gate(&self) -> Result<(), Stop> {
        match self.memory.gate().kind {
            GateKind::Local => self.open_for_the_dead(),
            // The global gate is not opened by the writers of this node.
            GateKind::Global => self.memory.check(),
        }
    }

    /// Leaves as a reader.
    #[inline]
    pub(crate) fn unlock_read(&self) {
        // Release: the next writer acquires it and so comes after this rank's reads.
        self.memory.my_words().slot.store(IDLE, Ordering::Release);
        // A check without a barrier may miss a writer that arrives at the same time; that writer finds the empty slot
        // when its sleep ends. A barrier here would cost every reader more than that. (Under the model checker sleeps
        // do not end by themselves.)
        self.notify_if_closed();
    }

    /// Wakes the writer that waits for readers, if there is one.
    #[inline]
    pub(in crate::rwlock) fn notify_if_closed(&self) {
        let gate = self.memory.gate();
        if MODELLED || !gate.is_open(gate.word.load(Ordering::Relaxed)) {
            self.notify_draining_writer();
        }
    }

    #[cold]
    fn notify_draining_writer(&self) {
        self.left().notify(1);
    }

    /// Recovers from dead writers, as a waiting reader: withdraws the requests of dead ranks, and
    /// opens the gate in place of a writer that will not come.
    fn open_for_the_dead(&self) -> Result<(), Stop> {
        self.inspect_owner()?;
        let writers = self.memory.writers();
        if writers.is_some_and(|writers| !writers.try_take()) {
            // A thread of this rank has or wants the turn, under the same number as this one. It opens the gate.
            return Ok(());
        }
        self.forget_dead_writers();
        let turn = self.turn();
        // The holder of the turn may open at any time, so this does no harm if the writer comes after all.
        if turn.owner().is_none() && self.replace_turn(turn, turn.held_by(self.memory.me())) {
            self.open();
            self.pass_turn(true);
        }
        if let Some(writers) = writers {
            writers.pass_on();
        }
        Ok(())
    }
}

/// As a writer, if only ranks of this node use the lock.
impl<M: Memory> NodeLock<M> {
    /// Enters as a writer if nobody holds the lock or waits to write.
    #[inline]
    pub(crate) fn try_write(&self) -> bool {
        if !self.try_turn() && !self.try_biased_turn() {
            return false;
        }
        if self.others_have_left(self.close()) {
            return true;
        }
        self.unlock_write();
        false
    }

    /// Enters as a writer: takes the turn, then waits until all readers have left.
    #[inline]
    pub(crate) fn write<'a>(&self, deadline: impl FnOnce() -> Deadline<'a>) -> Result<(), Stop> {
        if self.try_turn() {
            self.enter(deadline)
        } else {
            self.write_later(deadline())
        }
    }

    #[cold]
    fn write_later(&self, deadline: Deadline<'_>) -> Result<(), Stop> {
        self.take_turn_later(deadline)?;
        self.enter(|| deadline)
    }

    /// Leaves as a writer.
    #[inline]
    pub(crate) fn unlock_write(&self) {
        let mine = Turn::FREE.held_by(self.memory.me());
        if Turn(self.gate_words().turn.load(Ordering::Relaxed)) != mine {
            return self.pass_turn(false);
        }
        self.open();
        // Release: the next writer, and readers, acquire the turn and so everything written under it.
        let turn = &self.gate_words().turn;
        let freed =
            turn.compare_exchange(mine.0, Turn::FREE.0, Ordering::Release, Ordering::Relaxed);
        match freed {
            Ok(_) => self.opening().wake(ALL),
            Err(_) => self.pass_turn(true),
        }
    }

    /// Turns the write lock into a read lock; no other rank writes in between.
    pub(crate) fn downgrade(&self) {
        // The next writer acquires the turn, released below, and so sees the slot.
        self.memory
            .my_words()
            .slot
            .store(READING, Ordering::Relaxed);
        self.unlock_write();
    }

    /// Lets the waiting readers in; only with the turn.
    #[inline]
    pub(in crate::rwlock) fn open(&self) {
        let openings = &self.gate_words().openings;
        let next = openings.load(Ordering::Relaxed).wrapping_add(1);
        if MODELLED {
            let before = next.wrapping_sub(1);
            assert_eq!(newest(openings), before, "an opening was lost");
        }
        // Release: readers acquire the writer's changes.
        openings.store(next, Ordering::Release);
    }

    /// Closes the gate; only with the turn, which already keeps new readers out.
    #[inline]
    fn close(&self) -> Closed {
        if self.gate_words().turn.load(Ordering::Relaxed) & BIASED != 0 {
            self.close_biased_gate();
        }
        self.closed()
    }

    /// The proof for a rank that has the turn, after the bias was revoked.
    #[inline]
    fn closed(&self) -> Closed {
        Closed {
            openings: self.gate_words().openings.load(Ordering::Relaxed),
        }
    }

    #[cold]
    fn close_biased_gate(&self) {
        // If this rank dies now, the request shows that it has not written yet.
        let request = &self.memory.my_words().request;
        request.store(GRANTED, Ordering::Relaxed);
        self.revoke_bias();
        request.store(NOT_REQUESTED, Ordering::Relaxed);
    }

    /// Enters with the turn, after all other readers have left.
    #[inline]
    fn enter<'a>(&self, deadline: impl FnOnce() -> Deadline<'a>) -> Result<(), Stop> {
        if self.others_have_left(self.close()) {
            return Ok(());
        }
        self.drain(deadline())
    }

    /// Waits until no other rank reads; releases the turn at the deadline. A dead reader counts as
    /// one that left, because it wrote nothing.
    #[cold]
    fn drain(&self, deadline: Deadline<'_>) -> Result<(), Stop> {
        let closed = self.close();
        // As in `close_biased_gate`.
        let request = &self.memory.my_words().request;
        request.store(GRANTED, Ordering::Relaxed);
        let left = self.await_others(closed, deadline);
        request.store(NOT_REQUESTED, Ordering::Relaxed);
        if left.is_err() {
            self.unlock_write();
        }
        left
    }

    /// Waits until no other rank reads behind the closed gate.
    fn await_others(&self, closed: Closed, deadline: Deadline<'_>) -> Result<(), Stop> {
        self.others().try_for_each(|rank| {
            wait(
                &self.memory,
                self.left(),
                deadline,
                || self.has_left(rank, closed).then_some(()),
                || self.inspect_reader(rank, closed),
            )
        })
    }

    /// Finds out, as a waiting writer, whether a reader will leave.
    fn inspect_reader(&self, rank: usize, closed: Closed) -> Result<(), Stop> {
        self.clear_dead_reader(rank);
        // It still has its guard, and may drop it yet.
        let is_held = self.memory.has_ended(rank) && !self.has_left(rank, closed);
        if is_held {
            Err(Stop::Ended(rank))
        } else {
            Ok(())
        }
    }

    /// The ranks of the node that may read beside this thread: the others, and this one if it has several threads.
    #[inline]
    fn others(&self) -> impl Iterator<Item = usize> {
        let alone = (self.memory.counters() == 0).then(|| self.memory.me());
        (0..self.memory.ranks()).filter(move |&rank| alone != Some(rank))
    }

    #[inline]
    fn others_have_left(&self, closed: Closed) -> bool {
        self.others().all(|rank| self.has_left(rank, closed))
    }
}

/// As a writer or a server that has closed a gate of either kind.
impl<M: Memory> NodeLock<M> {
    /// Whether `rank` does not read and was not let in by the last opening.
    #[inline]
    pub(crate) fn has_left(&self, rank: usize, closed: Closed) -> bool {
        // SeqCst for the handshake; it also acquires the end of the reads.
        let slot = self.memory.rank_words(rank).slot.load(Ordering::SeqCst);
        // The slot first: threads that have waited are counted before it is cleared.
        (slot == IDLE || slot == waiting_since(closed.openings)) && !self.threads_read(rank)
    }

    /// Whether threads of `rank` read and have counted themselves.
    #[inline]
    pub(in crate::rwlock) fn threads_read(&self, rank: usize) -> bool {
        let count = |counter| &self.memory.threads(rank, counter).count;
        // SeqCst as for the slot.
        (0..self.memory.counters()).any(|counter| count(counter).load(Ordering::SeqCst) != 0)
    }

    /// Clears the slot of `rank` if it has died.
    pub(crate) fn clear_dead_reader(&self, rank: usize) {
        if !self.memory.is_alive(rank) {
            let slot = &self.memory.rank_words(rank).slot;
            slot.store(IDLE, Ordering::Relaxed);
            for counter in 0..self.memory.counters() {
                let count = &self.memory.threads(rank, counter).count;
                count.store(0, Ordering::Relaxed);
            }
        }
    }

    /// The event of a reader that left.
    pub(crate) fn left(&self) -> Event<'_> {
        let drain = &self.memory.words().drain.0;
        Event {
            word: &drain.drained,
            sleepers: &drain.sleepers,
        }
    }
}

/// The newest value of `word`, which the model checker's exchanges always find.
fn newest(word: &AtomicU32) -> u32 {
    word.fetch_add(0, Ordering::Relaxed)
}

/// As any rank.
impl<M: Memory> NodeLock<M> {
    /// The ranks that hold the lock or wait for it.
    pub(crate) fn holders(&self) -> Holders {
        let ranks = (0..self.memory.ranks()).map(|rank| self.memory.rank_words(rank));
        Holders::of(self.memory.words(), ranks, |rank| self.threads_read(rank))
    }

    /// Whether this rank, which waits elsewhere, has the lock as a reader.
    pub(in crate::rwlock) fn reads(&self, rank: usize) -> bool {
        let slot = &self.memory.rank_words(rank).slot;
        slot.load(Ordering::Relaxed) == READING || self.threads_read(rank)
    }

    #[inline]
    pub(super) fn gate_words(&self) -> &GateWords {
        &self.memory.words().gate_words.0
    }

    /// The event of an opening.
    pub(super) fn opening(&self) -> Event<'_> {
        Event {
            word: self.memory.gate().openings,
            sleepers: &self.gate_words().opening_sleepers,
        }
    }
}
