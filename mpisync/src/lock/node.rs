//! The lock of one node: a flag a reader, a gate, and a turn that writers take.
//!
//! Readers announce themselves in a slot of their own and then look at the gate; a writer closes the gate and then
//! looks at the slots. The barrier between the two steps on both sides makes sure that one of them sees the other
//! (Dekker's handshake), and no two readers ever write to the same cache line. Readers' flags instead of a counter
//! are the idea of BRAVO (Dice and Kogan, "BRAVO: Biased Locking for Reader-Writer Locks", USENIX ATC 2019).
//!
//! A reader that finds the gate closed leaves the number of that closing in its slot. Every *later* closing counts
//! such a slot as a reader and waits for it, so each opening of the gate lets in all who waited for it, however soon
//! the gate closes again: readers cannot starve. While writers queue, the gate stays closed from one to the next,
//! at most [`RUN`] times in a row.
//!
//! Writers take the turn in any order, which is what keeps it fast when there are more ranks than cores; one that
//! has waited for about a millisecond turns urgent, and the turn is handed to urgent ranks round the node before
//! anybody else gets it.

use super::words::{self, *};
use crate::memory::Memory;
use crate::memory::atomic::{Ordering, store_then_fence};
use crate::wait::{Deadline, Event, Stop, wait};

/// How many writers in a row may find the gate closed by the one before, while readers wait.
#[cfg(not(loom))]
const RUN: u32 = 64;
#[cfg(loom)]
const RUN: u32 = 2;

/// A reader-writer lock in the memory `M`, as one rank sees it. No nesting: that is counted one level up.
pub(crate) struct NodeLock<M> {
    pub(crate) memory: M,
}

/// Who holds the lock and who waits, by index on the node; a snapshot that may be out of date.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    pub(crate) writer: Option<usize>,
    pub(crate) readers: Vec<usize>,
    pub(crate) waiting_writers: Vec<usize>,
    pub(crate) waiting_readers: Vec<usize>,
}

impl<M: Memory> NodeLock<M> {
    /// Enters as a reader if the gate is open.
    #[inline]
    pub(crate) fn try_read(&self) -> bool {
        store_then_fence(&self.memory.my_words().slot, READING);
        // SeqCst for the handshake; it also acquires what the writer who opened the gate had written.
        if is_open(self.words().gate.0.load(Ordering::SeqCst)) {
            return true;
        }
        self.unlock_read();
        false
    }

    /// Enters as a reader; waits while the gate is closed.
    #[inline]
    pub(crate) fn read(&self, deadline: impl FnOnce() -> Deadline) -> Result<(), Stop> {
        if self.try_read() {
            return Ok(());
        }
        self.read_later(deadline())
    }

    #[cold]
    fn read_later(&self, deadline: Deadline) -> Result<(), Stop> {
        let gate = &self.words().gate.0;
        let closing = loop {
            let closing = gate.load(Ordering::Acquire);
            if is_open(closing) {
                if self.try_read() {
                    return Ok(());
                }
                continue;
            }
            store_then_fence(&self.memory.my_words().slot, closing);
            if gate.load(Ordering::SeqCst) == closing {
                break closing;
            }
            // Too late for that closing, and a later one may already wait for this slot.
            self.unlock_read();
        };
        // The slot was there before the gate opened, so who closes the gate next will wait for it: once the number
        // has changed this rank is in, be the gate open or closed again by then.
        let gate_event = self.gate_event();
        let entered = wait(
            &self.memory,
            gate_event,
            deadline,
            || (gate.load(Ordering::Acquire) != closing).then_some(()),
            || self.open_abandoned_gate(),
        );
        match entered {
            Ok(()) => self
                .memory
                .my_words()
                .slot
                .store(READING, Ordering::Relaxed),
            Err(_) => self.unlock_read(),
        }
        entered
    }

    /// Leaves as a reader.
    #[inline]
    pub(crate) fn unlock_read(&self) {
        // Release: the next writer acquires it and finds this rank's reads done.
        self.memory.my_words().slot.store(IDLE, Ordering::Release);
        // A look without a barrier: a gate that closes at this very moment may be missed, and the writer behind it
        // then finds the empty slot when its nap ends. A barrier here would cost every reader more than that. (The
        // model checker's sleepers take no naps.)
        if cfg!(loom) || !is_open(self.words().gate.0.load(Ordering::Relaxed)) {
            self.tell_draining_writer();
        }
    }

    #[cold]
    fn tell_draining_writer(&self) {
        self.drain_event().notify(1);
    }

    /// Takes the lock for writing if nobody holds it.
    #[inline]
    pub(crate) fn try_write(&self) -> bool {
        if !self.try_turn() {
            return false;
        }
        let closing = self.close_gate();
        if self.all_have_left(closing) {
            return true;
        }
        self.unlock_write();
        false
    }

    /// Takes the lock for writing: the turn first, then every reader has to leave.
    #[inline]
    pub(crate) fn write(&self, deadline: impl FnOnce() -> Deadline) -> Result<(), Stop> {
        if !self.try_turn() {
            return self.write_later(deadline());
        }
        let closing = self.close_gate();
        if self.all_have_left(closing) {
            return Ok(());
        }
        self.drain(closing, deadline())
    }

    #[cold]
    fn write_later(&self, deadline: Deadline) -> Result<(), Stop> {
        self.wait_for_turn(deadline)?;
        self.drain(self.close_gate(), deadline)
    }

    /// Lets the lock go after writing.
    #[inline]
    pub(crate) fn unlock_write(&self) {
        let turn_word = &self.words().turn.0.turn;
        let mine = Turn::FREE.held_by(self.memory.me());
        let alone = Turn(turn_word.load(Ordering::Relaxed)) == mine;
        if alone {
            self.open_gate();
            // Release: the next writer acquires the turn and with it all that was written under it.
            let freed = turn_word.compare_exchange(
                mine.0,
                Turn::FREE.0,
                Ordering::Release,
                Ordering::Relaxed,
            );
            if freed.is_ok() {
                self.gate_event().wake(u32::MAX >> 1);
                return;
            }
        }
        self.pass_turn(alone);
    }

    /// Turns the write lock into a read lock; no other writer gets in between.
    pub(crate) fn downgrade(&self) {
        // The next writer acquires the turn that is released below, and so sees the slot.
        self.memory
            .my_words()
            .slot
            .store(READING, Ordering::Relaxed);
        self.unlock_write();
    }

    /// Who holds the lock and who waits for it just now.
    pub(crate) fn holders(&self) -> Holders {
        let mut holders = Holders {
            writer: self.turn().owner(),
            ..Holders::default()
        };
        for rank in 0..self.memory.ranks() {
            let rank_words = self.memory.rank_words(rank);
            match rank_words.slot.load(Ordering::Relaxed) {
                IDLE => {}
                READING => holders.readers.push(rank),
                _ => holders.waiting_readers.push(rank),
            }
            if rank_words.want.load(Ordering::Relaxed) != NOT_WANTED {
                holders.waiting_writers.push(rank);
            }
        }
        holders
    }

    #[inline]
    fn words(&self) -> &Words {
        self.memory.words()
    }

    fn turn(&self) -> Turn {
        Turn(self.words().turn.0.turn.load(Ordering::Acquire))
    }

    #[inline]
    fn gate_event(&self) -> Event<'_> {
        Event {
            word: &self.words().gate.0,
            sleepers: &self.words().slow.0.gate_sleepers,
        }
    }

    fn turn_event(&self) -> Event<'_> {
        let line = &self.words().turn.0;
        Event {
            word: &line.turn,
            sleepers: &line.sleepers,
        }
    }

    fn drain_event(&self) -> Event<'_> {
        let line = &self.words().slow.0;
        Event {
            word: &line.drained,
            sleepers: &line.drain_sleepers,
        }
    }

    /// Takes the turn if it is free and nobody waits for it.
    #[inline]
    fn try_turn(&self) -> bool {
        let mine = Turn::FREE.held_by(self.memory.me());
        // Acquire: pairs with the release of who held it before.
        self.swap_turn(Turn::FREE, mine, Ordering::Acquire)
    }

    #[inline]
    fn swap_turn(&self, from: Turn, to: Turn, order: Ordering) -> bool {
        let word = &self.words().turn.0.turn;
        word.compare_exchange(from.0, to.0, order, Ordering::Relaxed)
            .is_ok()
    }

    /// Closes the gate unless the writer before left it closed; only with the turn. Returns the closing's number.
    #[inline]
    fn close_gate(&self) -> u32 {
        let gate = &self.words().gate.0;
        let number = gate.load(Ordering::Relaxed);
        if !is_open(number) {
            // Closed since before this rank took the turn, and no reader came in since then but one that held the
            // turn and downgraded: taking the turn has acquired its slot.
            return number;
        }
        let closing = words::close(number);
        store_then_fence(gate, closing);
        closing
    }

    /// Opens the gate; only with the turn.
    #[inline]
    fn open_gate(&self) {
        let gate = &self.words().gate.0;
        let number = gate.load(Ordering::Relaxed);
        if !is_open(number) {
            // Release: readers acquire what was written.
            gate.store(words::open(number), Ordering::Release);
        }
    }

    /// Whether `rank` is neither reading nor was let in by an opening before `closing`.
    #[inline]
    fn has_left(&self, rank: usize, closing: u32) -> bool {
        // SeqCst for the handshake; it also acquires the end of the reads.
        let slot = self.memory.rank_words(rank).slot.load(Ordering::SeqCst);
        slot == IDLE || slot == closing || rank == self.memory.me()
    }

    #[inline]
    fn all_have_left(&self, closing: u32) -> bool {
        (0..self.memory.ranks()).all(|rank| self.has_left(rank, closing))
    }

    /// Waits until nobody reads any more; lets the turn go if that takes too long. A reader that died has stopped
    /// reading too: it wrote nothing.
    #[cold]
    fn drain(&self, closing: u32, deadline: Deadline) -> Result<(), Stop> {
        for rank in 0..self.memory.ranks() {
            let left = wait(
                &self.memory,
                self.drain_event(),
                deadline,
                || self.has_left(rank, closing).then_some(()),
                || {
                    if !self.memory.is_alive(rank) {
                        let slot = &self.memory.rank_words(rank).slot;
                        slot.store(IDLE, Ordering::Relaxed);
                    }
                    Ok(())
                },
            );
            if left.is_err() {
                self.unlock_write();
                return left;
            }
        }
        Ok(())
    }

    #[cold]
    fn wait_for_turn(&self, deadline: Deadline) -> Result<(), Stop> {
        let me = self.memory.me();
        let turn_word = &self.words().turn.0.turn;
        // In this order, so that a rank which dies between the two is counted rather than taken off twice.
        turn_word.fetch_add(Turn::ONE_WAITER, Ordering::Relaxed);
        self.memory
            .my_words()
            .want
            .store(WAITING, Ordering::Relaxed);
        let taken = wait(
            &self.memory,
            self.turn_event(),
            deadline,
            || {
                let turn = self.turn();
                match turn.owner() {
                    None => self
                        .swap_turn(turn, turn.without_waiter().held_by(me), Ordering::Acquire)
                        .then_some(()),
                    owner => (owner == Some(me)).then_some(()),
                }
            },
            || {
                self.become_urgent();
                self.inspect_owner()
            },
        );
        let Err(stop) = taken else {
            self.memory
                .my_words()
                .want
                .store(NOT_WANTED, Ordering::Relaxed);
            return Ok(());
        };
        self.withdraw(stop)
    }

    /// Asks for the turn to be handed over.
    fn become_urgent(&self) {
        let want = &self.memory.my_words().want;
        let asked = want.compare_exchange(WAITING, URGENT, Ordering::Relaxed, Ordering::Relaxed);
        // Asked again where a rank that found nobody urgent has just taken the bit back.
        if asked != Err(GRANTED) && !self.turn().is_urgent() {
            // Release: who sees the bit sees the wish behind it. The change also fails the exchange of a rank that
            // is letting the turn go and has looked at the wishes already.
            self.words()
                .turn
                .0
                .turn
                .fetch_or(Turn::URGENT, Ordering::Release);
        }
    }

    /// Stops waiting for the turn; keeps it after all if it was handed over in the meantime.
    fn withdraw(&self, stop: Stop) -> Result<(), Stop> {
        let me = self.memory.me();
        let want = &self.memory.my_words().want;
        let withdrawn = want.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
            (state != GRANTED).then_some(NOT_WANTED)
        });
        if withdrawn.is_err() {
            let turn_event = self.turn_event();
            let is_mine = || (self.turn().owner() == Some(me)).then_some(());
            wait(&self.memory, turn_event, Deadline::Never, is_mine, || {
                Ok::<_, Stop>(())
            })?;
            want.store(NOT_WANTED, Ordering::Relaxed);
            return Ok(());
        }
        loop {
            let turn = self.turn();
            if turn.owner().is_some() {
                if self.swap_turn(turn, turn.without_waiter(), Ordering::Relaxed) {
                    return Err(stop);
                }
            } else if self.swap_turn(turn, turn.without_waiter().held_by(me), Ordering::Acquire) {
                // The gate may have been left closed for this rank: let the turn go as its holder does.
                self.unlock_write();
                return Err(stop);
            }
        }
    }

    /// Lets the turn go while others want it: to an urgent rank, or free for who comes first.
    #[cold]
    fn pass_turn(&self, mut gate_opened: bool) {
        let mut heir = None;
        let mut turn = self.turn();
        loop {
            if !gate_opened && (turn.waiters() == 0 || self.run_is_over()) {
                self.open_gate();
                gate_opened = true;
            }
            if heir.is_none() && turn.is_urgent() {
                heir = self.choose_heir();
            }
            let next = match heir {
                Some(rank) => turn.without_waiter().held_by(rank),
                None => turn.calmed().released(),
            };
            let word = &self.words().turn.0.turn;
            match word.compare_exchange(turn.0, next.0, Ordering::Release, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => turn = Turn(now),
            }
        }
        if gate_opened {
            self.gate_event().wake(u32::MAX >> 1);
        }
        // The heir may lie among others on the same word.
        self.turn_event()
            .wake(if heir.is_some() { u32::MAX >> 1 } else { 1 });
    }

    /// Counts this writer into the run of those who left the gate closed; whether the run has to end here.
    fn run_is_over(&self) -> bool {
        let run = &self.words().turn.0.run;
        let length = run.load(Ordering::Relaxed) + 1;
        let over = length >= RUN;
        run.store(if over { 0 } else { length }, Ordering::Relaxed);
        over
    }

    /// The next urgent rank after this one, round the node, marked as granted.
    fn choose_heir(&self) -> Option<usize> {
        let ranks = self.memory.ranks();
        let me = self.memory.me();
        (1..ranks).map(|step| (me + step) % ranks).find(|&rank| {
            let want = &self.memory.rank_words(rank).want;
            want.compare_exchange(URGENT, GRANTED, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// What a waiting writer does about a holder that died: gives back a turn that was handed over and never taken
    /// up, and reports one that died as a writer.
    fn inspect_owner(&self) -> Result<(), Stop> {
        let turn = self.turn();
        match turn.owner() {
            Some(owner) if !self.memory.is_alive(owner) => {
                let want = &self.memory.rank_words(owner).want;
                if want.load(Ordering::Relaxed) != GRANTED {
                    return Err(Stop::Died(owner));
                }
                if self.swap_turn(turn, turn.released(), Ordering::Relaxed) {
                    want.store(NOT_WANTED, Ordering::Relaxed);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What a waiting reader does about writers that died: takes the wishes of dead ranks off the count, and opens
    /// a gate that was left closed for a writer who will not come.
    fn open_abandoned_gate(&self) -> Result<(), Stop> {
        self.inspect_owner()?;
        for rank in 0..self.memory.ranks() {
            let want = &self.memory.rank_words(rank).want;
            let wish = want.load(Ordering::Relaxed);
            let counted = wish == WAITING || wish == URGENT;
            if counted && !self.memory.is_alive(rank) {
                let forgotten =
                    want.compare_exchange(wish, NOT_WANTED, Ordering::Relaxed, Ordering::Relaxed);
                if forgotten.is_ok() {
                    let word = &self.words().turn.0.turn;
                    word.fetch_sub(Turn::ONE_WAITER, Ordering::Relaxed);
                }
            }
        }
        let turn = self.turn();
        // Whoever has the turn may open the gate at any time, so it does no harm if the writer comes after all.
        if turn.owner().is_none()
            && self.swap_turn(turn, turn.held_by(self.memory.me()), Ordering::Acquire)
        {
            self.open_gate();
            self.pass_turn(true);
        }
        Ok(())
    }
}
