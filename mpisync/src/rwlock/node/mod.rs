//! The lock of one node: a flag a reader, and a turn that writers take.
//!
//! Readers announce themselves in a slot of their own and then look whether a writer has or wants
//! the turn; a writer takes the turn and then looks at the slots. The barrier between the two steps
//! on both sides makes sure that one of them sees the other (Dekker's handshake), and no two
//! readers ever write to the same cache line. Readers' flags instead of a counter are the idea of
//! BRAVO (Dice and Kogan, "BRAVO: Biased Locking for Reader-Writer Locks", USENIX ATC 2019). Where
//! nobody has written for a while, readers do without their barrier, see `biased`.
//!
//! A reader that comes too late leaves in its slot how many openings there have been. When a writer
//! opens, it counts one more, and every writer after that takes such a slot for a reader's and
//! waits for it: each opening lets in all who waited for it, however soon the next writer comes,
//! and readers cannot starve. A writer opens when no other writer waits, and at the latest after a
//! bounded run of writers.
//!
//! How writers pass the turn on is told in `turn`. Where the lock spans hosts, the turn is a matter
//! between the writers of one node only, and readers look at a gate, see `gate`: what readers look
//! at is the [`Door`], and a reader does the same in both cases.

mod bias;
mod gate;
#[cfg(test)]
mod tests;
mod turn;

use crate::rwlock::layout::*;
use crate::rwlock::memory::Memory;
use crate::shm::atomic::{Ordering, store_then_fence};
use crate::shm::event::{ALL, Event};
use crate::shm::membarrier::light_fence;
use crate::shm::wait::{Deadline, Stop, wait};

/// A reader-writer lock in the memory `M`, as one rank sees it. No nesting: that is counted one
/// level up.
#[derive(Clone, Copy)]
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

/// What a writer knows that has closed the door: who came in before can be seen in the slots.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Closed {
    /// The number of openings until then.
    pub(crate) openings: u32,
}

/// As a reader.
impl<M: Memory> NodeLock<M> {
    /// Enters as a reader if no writer has or wants the lock.
    #[inline]
    pub(crate) fn try_read(&self) -> bool {
        let door = self.memory.door();
        let slot = &self.memory.my_words().slot;
        if cfg!(loom) && !self.memory.can_be_biased() {
            // Spares the model checker a step, which takes it minutes.
            return self.try_read_with_barrier();
        }
        slot.store(READING, Ordering::Relaxed);
        light_fence();
        // It acquires what the last writer had written.
        door.is_biased(door.word.load(Ordering::Acquire)) || self.try_read_with_barrier()
    }

    fn try_read_with_barrier(&self) -> bool {
        let door = self.memory.door();
        store_then_fence(&self.memory.my_words().slot, READING);
        // SeqCst for the handshake; it also acquires what the last writer had written.
        let word = door.word.load(Ordering::SeqCst);
        if door.lets_in(word) {
            self.count_read(word);
            return true;
        }
        self.unlock_read();
        false
    }

    /// Enters as a reader; waits while writers have or want the lock.
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
        let door = self.memory.door();
        let is_open = || door.lets_in(door.word.load(Ordering::Acquire));
        loop {
            if is_open() && self.try_read() {
                return Ok(());
            }
            let before = door.openings(Ordering::Acquire);
            store_then_fence(slot, waiting_since(before));
            // Where the number is still the same now, the slot was there before the next opening; every writer after
            // that waits for this rank, which is in as soon as the number has changed.
            // By way of the door's word, which every writer that looks at the slots has exchanged: the number's
            // stores are not in the language's single order, but who sees that exchange, or a later one, finds what
            // was stored before it.
            door.word.load(Ordering::SeqCst);
            let came_in_time = door.openings(Ordering::Acquire) == before;
            let entered = wait(
                &self.memory,
                self.opening(),
                deadline,
                || {
                    let opened = door.openings(Ordering::Acquire) != before;
                    // A writer opens first and then lets the turn go, so there may be no further opening to wait for.
                    (!came_in_time || opened || is_open()).then_some(came_in_time && opened)
                },
                || match door.kind {
                    DoorKind::Turn => self.open_for_the_dead(),
                    // Who opens the gate is not one of the node's writers.
                    DoorKind::Gate => self.memory.check(),
                },
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
        // when its sleep ends. A barrier here would cost every reader more than that. (The model checker's sleepers
        // take no sleeps.)
        let door = self.memory.door();
        if cfg!(loom) || !door.lets_in(door.word.load(Ordering::Relaxed)) {
            self.tell_draining_writer();
        }
    }

    #[cold]
    fn tell_draining_writer(&self) {
        self.left().notify(1);
    }

    /// What a waiting reader does about writers that died: takes the wishes of dead ranks off the
    /// count, and opens in the place of a writer who will not come.
    fn open_for_the_dead(&self) -> Result<(), Stop> {
        self.inspect_owner()?;
        self.forget_dead_writers();
        let turn = self.turn();
        // Whoever has the turn may open at any time, so it does no harm if the writer comes after all.
        if turn.owner().is_none() && self.replace_turn(turn, turn.held_by(self.memory.me())) {
            self.open();
            self.pass_turn(true);
        }
        Ok(())
    }
}

/// As a writer, where the lock is a matter of this node alone.
impl<M: Memory> NodeLock<M> {
    /// Takes the lock for writing if nobody holds it or waits to write.
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

    /// Takes the lock for writing: the turn first, then every reader has to leave.
    #[inline]
    pub(crate) fn write(&self, deadline: impl FnOnce() -> Deadline) -> Result<(), Stop> {
        if self.try_turn() {
            self.enter(deadline)
        } else {
            self.write_later(deadline())
        }
    }

    #[cold]
    fn write_later(&self, deadline: Deadline) -> Result<(), Stop> {
        self.take_turn_later(deadline)?;
        self.enter(|| deadline)
    }

    /// Lets the lock go after writing.
    #[inline]
    pub(crate) fn unlock_write(&self) {
        let mine = Turn::FREE.held_by(self.memory.me());
        if Turn(self.entrance().turn.load(Ordering::Relaxed)) != mine {
            return self.pass_turn(false);
        }
        self.open();
        // Release: the next writer, and readers, acquire the turn and with it all that was written under it.
        let turn = &self.entrance().turn;
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

    /// Lets in those who wait to read; only with the turn.
    #[inline]
    pub(super) fn open(&self) {
        let openings = &self.entrance().openings;
        let next = openings.load(Ordering::Relaxed).wrapping_add(1);
        if cfg!(loom) {
            let before = next.wrapping_sub(1);
            assert_eq!(newest(openings), before, "an opening was lost");
        }
        // Release: readers acquire what was written.
        openings.store(next, Ordering::Release);
    }

    /// Closes the door; only with the turn, which keeps new readers out already.
    #[inline]
    fn close(&self) -> Closed {
        if self.entrance().turn.load(Ordering::Relaxed) & BIASED != 0 {
            self.close_quiet_door();
        }
        Closed {
            openings: self.entrance().openings.load(Ordering::Relaxed),
        }
    }

    #[cold]
    fn close_quiet_door(&self) {
        // Who finds this rank dead knows from it that it has not written yet.
        let want = &self.memory.my_words().want;
        want.store(GRANTED, Ordering::Relaxed);
        self.end_bias();
        want.store(NOT_WANTED, Ordering::Relaxed);
    }

    /// Goes in with the turn: every other reader has to leave.
    #[inline]
    fn enter(&self, deadline: impl FnOnce() -> Deadline) -> Result<(), Stop> {
        if self.others_have_left(self.close()) {
            return Ok(());
        }
        self.drain(deadline())
    }

    /// Waits until nobody else reads any more; lets the turn go if that takes too long. A reader
    /// that died has stopped reading too: it wrote nothing.
    #[cold]
    fn drain(&self, deadline: Deadline) -> Result<(), Stop> {
        let closed = self.close();
        // As above.
        let want = &self.memory.my_words().want;
        want.store(GRANTED, Ordering::Relaxed);
        let left = self.others().try_for_each(|rank| {
            wait(
                &self.memory,
                self.left(),
                deadline,
                || self.has_left(rank, closed).then_some(()),
                || {
                    self.clear_dead_reader(rank);
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

    /// The other ranks of the node. A reader that writes in between does not wait for itself.
    #[inline]
    fn others(&self) -> impl Iterator<Item = usize> {
        let me = self.memory.me();
        (0..self.memory.ranks()).filter(move |&rank| rank != me)
    }

    #[inline]
    fn others_have_left(&self, closed: Closed) -> bool {
        self.others().all(|rank| self.has_left(rank, closed))
    }
}

/// As who keeps readers out, of either door.
impl<M: Memory> NodeLock<M> {
    /// Whether `rank` neither reads nor was let in by the last opening.
    #[inline]
    pub(crate) fn has_left(&self, rank: usize, closed: Closed) -> bool {
        // SeqCst for the handshake; it also acquires the end of the reads.
        let slot = self.memory.rank_words(rank).slot.load(Ordering::SeqCst);
        slot == IDLE || slot == waiting_since(closed.openings)
    }

    /// Takes a reader that died for one that left.
    pub(crate) fn clear_dead_reader(&self, rank: usize) {
        if !self.memory.is_alive(rank) {
            let slot = &self.memory.rank_words(rank).slot;
            slot.store(IDLE, Ordering::Relaxed);
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

/// The newest value of `word`, which the model's exchanges always find.
fn newest(word: &crate::shm::atomic::AtomicU32) -> u32 {
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
    pub(super) fn entrance(&self) -> &Entrance {
        &self.memory.words().entrance.0
    }

    /// The event of an opening.
    pub(super) fn opening(&self) -> Event<'_> {
        Event {
            word: self.memory.door().openings,
            sleepers: &self.entrance().opening_sleepers,
        }
    }
}
