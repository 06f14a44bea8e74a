//! The lock of one node: a flag a reader, and a turn that writers take.
//!
//! Readers announce themselves in a slot of their own and then look whether a writer has or wants the turn; a writer
//! takes the turn and then looks at the slots. The barrier between the two steps on both sides makes sure that one of
//! them sees the other (Dekker's handshake), and no two readers ever write to the same cache line. Readers' flags
//! instead of a counter are the idea of BRAVO (Dice and Kogan, "BRAVO: Biased Locking for Reader-Writer Locks",
//! USENIX ATC 2019).
//!
//! A reader that comes too late leaves in its slot how many openings there have been. When a writer opens, it counts
//! one more, and every writer after that takes such a slot for a reader's and waits for it: each opening lets in all
//! who waited for it, however soon the next writer comes, and readers cannot starve. A writer opens when no other
//! writer waits, and at the latest after [`RUN`] writers in a row.
//!
//! Writers take the turn in any order, which is what keeps it fast when there are more ranks than cores; one that
//! has waited for about a millisecond turns urgent, and the turn is handed to urgent ranks round the node before
//! anybody else gets it.

use crate::memory::Memory;
use crate::memory::atomic::{Ordering, full_fence, replace_then_fence, store_then_fence};
use crate::memory::event::{ALL, Event};
use crate::memory::words::lock::*;
use crate::wait::{Deadline, Stop, wait};

/// How many writers in a row may follow each other while readers wait.
#[cfg(not(loom))]
const RUN: u32 = 64;
#[cfg(loom)]
const RUN: u32 = 2;

/// How often a writer that came too late looks at the turn again before it counts as waiting, and for how many pauses
/// it looks away in between: each look takes the line from the rank that is using it.
#[cfg(not(loom))]
const LOOKS: (u32, u32) = (12, 32);
#[cfg(loom)]
const LOOKS: (u32, u32) = (1, 1);

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

/// As a reader.
impl<M: Memory> NodeLock<M> {
    /// Enters as a reader if no writer has or wants the turn.
    #[inline]
    pub(crate) fn try_read(&self) -> bool {
        store_then_fence(&self.memory.my_words().slot, READING);
        // SeqCst for the handshake; it also acquires what the last writer had written.
        if Turn(self.door().turn.load(Ordering::SeqCst)) == Turn::FREE {
            return true;
        }
        self.unlock_read();
        false
    }

    /// Enters as a reader; waits while writers have or want the turn.
    #[inline]
    pub(crate) fn read(&self, deadline: impl FnOnce() -> Deadline) -> Result<(), Stop> {
        if self.try_read() {
            return Ok(());
        }
        self.read_later(deadline())
    }

    #[cold]
    fn read_later(&self, deadline: Deadline) -> Result<(), Stop> {
        let slot = &self.memory.my_words().slot;
        let openings = &self.door().openings;
        loop {
            if self.turn() == Turn::FREE && self.try_read() {
                return Ok(());
            }
            let before = openings.load(Ordering::Acquire);
            store_then_fence(slot, waiting_since(before));
            // Where the number is still the same now, the slot was there before the next opening; every writer after
            // that waits for this rank, which is in as soon as the number has changed.
            // By way of the turn, which every writer that looks at the slots has exchanged: the number's stores are
            // not in the language's single order, but who sees that exchange, or a later one, finds what was
            // stored before it.
            self.door().turn.load(Ordering::SeqCst);
            let came_in_time = openings.load(Ordering::Acquire) == before;
            let entered = wait(
                &self.memory,
                self.opening(),
                deadline,
                || {
                    let opened = openings.load(Ordering::Acquire) != before;
                    // A writer opens first and then lets the turn go, so there may be no further opening to wait for.
                    let is_free = || self.turn() == Turn::FREE;
                    (!came_in_time || opened || is_free()).then_some(came_in_time && opened)
                },
                || self.open_for_the_dead(),
            );
            if entered == Ok(true) {
                slot.store(READING, Ordering::Relaxed);
                return Ok(());
            }
            // A writer may already wait for this slot.
            self.unlock_read();
            entered?;
        }
    }

    /// Leaves as a reader.
    #[inline]
    pub(crate) fn unlock_read(&self) {
        // Release: the next writer acquires it and finds this rank's reads done.
        self.memory.my_words().slot.store(IDLE, Ordering::Release);
        // A look without a barrier: a writer that comes at this very moment may be missed, and finds the empty slot
        // when its nap ends. A barrier here would cost every reader more than that. (The model checker's sleepers
        // take no naps.)
        if cfg!(loom) || self.door().turn.load(Ordering::Relaxed) != Turn::FREE.0 {
            self.tell_draining_writer();
        }
    }

    #[cold]
    fn tell_draining_writer(&self) {
        self.left().notify(1);
    }

    /// What a waiting reader does about writers that died: takes the wishes of dead ranks off the count, and opens
    /// in the place of a writer who will not come.
    fn open_for_the_dead(&self) -> Result<(), Stop> {
        self.inspect_owner()?;
        for rank in 0..self.memory.ranks() {
            let want = &self.memory.rank_words(rank).want;
            let wish = want.load(Ordering::Relaxed);
            let counted = wish == WAITING || wish == URGENT;
            if counted && !self.memory.is_alive(rank) {
                let forgotten =
                    want.compare_exchange(wish, NOT_WANTED, Ordering::Relaxed, Ordering::Relaxed);
                if forgotten.is_ok() {
                    let turn = &self.door().turn;
                    turn.fetch_sub(Turn::ONE_WAITER, Ordering::Relaxed);
                }
            }
        }
        let turn = self.turn();
        // Whoever has the turn may open at any time, so it does no harm if the writer comes after all.
        if turn.owner().is_none() && self.replace_turn(turn, turn.held_by(self.memory.me())) {
            self.open();
            self.pass_turn(true);
        }
        Ok(())
    }
}

/// As a writer.
impl<M: Memory> NodeLock<M> {
    /// Takes the lock for writing if nobody holds it or waits to write.
    #[inline]
    pub(crate) fn try_write(&self) -> bool {
        if !self.try_turn() {
            return false;
        }
        if self.all_have_left() {
            return true;
        }
        self.unlock_write();
        false
    }

    /// Takes the lock for writing: the turn first, then every reader has to leave.
    #[inline]
    pub(crate) fn write(&self, deadline: impl FnOnce() -> Deadline) -> Result<(), Stop> {
        if !self.try_turn() {
            return self.write_later(deadline);
        }
        if self.all_have_left() {
            return Ok(());
        }
        self.drain(deadline())
    }

    #[cold]
    fn write_later(&self, deadline: impl FnOnce() -> Deadline) -> Result<(), Stop> {
        let deadline = deadline();
        let (looks, pauses) = LOOKS;
        for _ in 0..looks {
            let turn = self.turn();
            let is_free = turn.owner().is_none() && !turn.is_urgent();
            if is_free && self.replace_turn(turn, turn.held_by(self.memory.me())) {
                return self.drain(deadline);
            }
            for _ in 0..pauses {
                std::hint::spin_loop();
            }
        }
        self.wait_for_turn(deadline)?;
        // Where the turn was handed over, no exchange of this rank was the barrier.
        full_fence();
        self.drain(deadline)
    }

    /// Lets the lock go after writing.
    #[inline]
    pub(crate) fn unlock_write(&self) {
        let mine = Turn::FREE.held_by(self.memory.me());
        if Turn(self.door().turn.load(Ordering::Relaxed)) != mine {
            return self.pass_turn(false);
        }
        self.open();
        // Release: the next writer, and readers, acquire the turn and with it all that was written under it.
        let turn = &self.door().turn;
        let freed =
            turn.compare_exchange(mine.0, Turn::FREE.0, Ordering::Release, Ordering::Relaxed);
        match freed {
            Ok(_) => self.opening().wake(ALL),
            Err(_) => self.pass_turn(true),
        }
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

    /// Takes the turn if it is free and nobody waits for it.
    #[inline]
    fn try_turn(&self) -> bool {
        self.replace_turn(Turn::FREE, Turn::FREE.held_by(self.memory.me()))
    }

    /// Takes the turn: acquires what was written under it, and keeps the look at the slots behind it.
    #[inline]
    fn replace_turn(&self, from: Turn, to: Turn) -> bool {
        replace_then_fence(&self.door().turn, from.0, to.0)
    }

    /// Lets in those who wait to read; only with the turn.
    #[inline]
    fn open(&self) {
        let openings = &self.door().openings;
        let next = openings.load(Ordering::Relaxed).wrapping_add(1);
        #[cfg(loom)]
        assert_eq!(
            newest(openings),
            next.wrapping_sub(1),
            "an opening was lost"
        );
        // Release: readers acquire what was written.
        openings.store(next, Ordering::Release);
    }

    /// Whether `rank` neither reads nor was let in by the last opening; only with the turn, and so `now` is the number
    /// of openings.
    #[inline]
    fn has_left(&self, rank: usize, now: u32) -> bool {
        // SeqCst for the handshake; it also acquires the end of the reads.
        let slot = self.memory.rank_words(rank).slot.load(Ordering::SeqCst);
        slot == IDLE || slot == waiting_since(now) || rank == self.memory.me()
    }

    #[inline]
    fn all_have_left(&self) -> bool {
        let now = self.door().openings.load(Ordering::Relaxed);
        (0..self.memory.ranks()).all(|rank| self.has_left(rank, now))
    }

    /// Waits until nobody reads any more; lets the turn go if that takes too long. A reader that died has stopped
    /// reading too: it wrote nothing.
    #[cold]
    fn drain(&self, deadline: Deadline) -> Result<(), Stop> {
        if self.all_have_left() {
            return Ok(());
        }
        // Who finds this rank dead knows from it that it has not written yet.
        let want = &self.memory.my_words().want;
        want.store(GRANTED, Ordering::Relaxed);
        let now = self.door().openings.load(Ordering::Relaxed);
        let left = (0..self.memory.ranks()).try_for_each(|rank| {
            wait(
                &self.memory,
                self.left(),
                deadline,
                || self.has_left(rank, now).then_some(()),
                || {
                    if !self.memory.is_alive(rank) {
                        let slot = &self.memory.rank_words(rank).slot;
                        slot.store(IDLE, Ordering::Relaxed);
                    }
                    Ok(())
                },
            )
        });
        want.store(NOT_WANTED, Ordering::Relaxed);
        if left.is_err() {
            self.unlock_write();
        }
        left
    }

    fn wait_for_turn(&self, deadline: Deadline) -> Result<(), Stop> {
        let me = self.memory.me();
        let want = &self.memory.my_words().want;
        // In this order, so that a rank which dies between the two is counted rather than taken off twice.
        self.door()
            .turn
            .fetch_add(Turn::ONE_WAITER, Ordering::Relaxed);
        want.store(WAITING, Ordering::Relaxed);
        let taken = wait(
            &self.memory,
            self.turn_passed(),
            deadline,
            || {
                let turn = self.turn();
                match turn.owner() {
                    None => self
                        .replace_turn(turn, turn.without_waiter().held_by(me))
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
            want.store(NOT_WANTED, Ordering::Relaxed);
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
            self.door().turn.fetch_or(Turn::URGENT, Ordering::Release);
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
            let is_mine = || (self.turn().owner() == Some(me)).then_some(());
            wait(
                &self.memory,
                self.turn_passed(),
                Deadline::Never,
                is_mine,
                || Ok::<_, Stop>(()),
            )?;
            want.store(NOT_WANTED, Ordering::Relaxed);
            return Ok(());
        }
        let mut turn = self.turn();
        // Acquire: a turn that is taken here comes with the number of openings, though it may have looked the same
        // at the first look.
        loop {
            let next = match turn.owner() {
                Some(_) => turn.without_waiter(),
                None => turn.without_waiter().held_by(me),
            };
            let word = &self.door().turn;
            match word.compare_exchange(turn.0, next.0, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => turn = Turn(now),
            }
        }
        if turn.owner().is_none() {
            // Readers may have been kept out for this rank: let the turn go as its holder does.
            self.unlock_write();
        }
        Err(stop)
    }

    /// Lets the turn go while others want it: to an urgent rank, or free for who comes first.
    #[cold]
    fn pass_turn(&self, mut opened: bool) {
        let mut heir = None;
        let mut turn = self.turn();
        loop {
            if !opened && (turn.waiters() == 0 || self.run_is_over()) {
                self.open();
                opened = true;
            }
            if heir.is_none() && turn.is_urgent() {
                heir = self.choose_heir();
            }
            let next = match heir {
                Some(rank) => turn.without_waiter().held_by(rank),
                None => turn.calmed().released(),
            };
            let word = &self.door().turn;
            match word.compare_exchange(turn.0, next.0, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                // Acquires: the urgent bit comes with the wish behind it.
                Err(_) => turn = self.turn(),
            }
        }
        if opened {
            self.opening().wake(ALL);
        }
        // The heir may lie among others on the same word.
        self.turn_passed()
            .wake(if heir.is_some() { ALL } else { 1 });
    }

    /// Counts this writer into the run of those who did not open; whether the run has to end here.
    fn run_is_over(&self) -> bool {
        let run = &self.door().run;
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
            // The look first spares the lines of those who are not urgent, and shows the model checker, whose
            // exchanges never fail on an old value, why the bit has to be acquired.
            want.load(Ordering::Relaxed) == URGENT
                && want
                    .compare_exchange(URGENT, GRANTED, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
        })
    }

    /// What a waiting rank does about a holder that died: gives back a turn that was handed over and never taken up,
    /// and reports one that died as a writer.
    fn inspect_owner(&self) -> Result<(), Stop> {
        let turn = self.turn();
        match turn.owner() {
            Some(owner) if !self.memory.is_alive(owner) => {
                let want = &self.memory.rank_words(owner).want;
                // Acquire: who finds the wish gone also finds that the turn was given back with it.
                if want.load(Ordering::Acquire) != GRANTED {
                    let has_changed = self.turn().owner() != Some(owner);
                    return if has_changed {
                        Ok(())
                    } else {
                        Err(Stop::Died(owner))
                    };
                }
                let word = &self.door().turn;
                let freed = turn.released().0;
                let taken =
                    word.compare_exchange(turn.0, freed, Ordering::Relaxed, Ordering::Relaxed);
                if taken.is_ok() {
                    want.store(NOT_WANTED, Ordering::Release);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The newest value of `word`, which the model's exchanges always find.
#[cfg(loom)]
fn newest(word: &crate::memory::atomic::AtomicU32) -> u32 {
    word.fetch_add(0, Ordering::Relaxed)
}

/// As anybody.
impl<M: Memory> NodeLock<M> {
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
    fn door(&self) -> &Door {
        &self.memory.words().door.0
    }

    fn turn(&self) -> Turn {
        Turn(self.door().turn.load(Ordering::Acquire))
    }

    /// The event of an opening.
    fn opening(&self) -> Event<'_> {
        Event {
            word: &self.door().openings,
            sleepers: &self.door().opening_sleepers,
        }
    }

    /// The event of a turn that was let go.
    fn turn_passed(&self) -> Event<'_> {
        Event {
            word: &self.door().turn,
            sleepers: &self.door().turn_sleepers,
        }
    }

    /// The event of a reader that left.
    fn left(&self) -> Event<'_> {
        let drain = &self.memory.words().drain.0;
        Event {
            word: &drain.drained,
            sleepers: &drain.sleepers,
        }
    }
}
