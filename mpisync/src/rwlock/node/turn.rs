//! The turn that the writers of a node take.
//!
//! They take it in any order, which is what keeps it fast when there are more ranks than cores; one
//! that has waited for about a millisecond turns urgent, and the turn is handed to urgent ranks
//! round the node before anybody else gets it.

use crate::rwlock::layout::*;
use crate::rwlock::memory::Memory;
use crate::rwlock::node::NodeLock;
use crate::shm::atomic::{Ordering, full_fence, replace_then_fence};
use crate::shm::event::{ALL, Event};
use crate::shm::wait::{Deadline, Stop, wait};

/// How many writers in a row may follow each other while readers wait.
const RUN: u32 = if cfg!(loom) { 2 } else { 64 };

/// How often a writer that came too late looks at the turn again before it counts as waiting, and
/// for how many pauses it looks away in between: each look takes the line from the rank that is
/// using it.
const LOOKS: (u32, u32) = if cfg!(loom) { (1, 1) } else { (12, 32) };

impl<M: Memory> NodeLock<M> {
    /// Takes the turn if it is free and nobody waits for it.
    #[inline]
    pub(crate) fn try_turn(&self) -> bool {
        self.replace_turn(Turn::FREE, Turn::FREE.held_by(self.memory.me()))
    }

    /// [`Self::try_turn`] where the last one that waited has died, and had become urgent.
    pub(crate) fn try_forsaken_turn(&self) -> bool {
        let turn = self.turn();
        turn.calmed() == Turn::FREE && self.replace_turn(turn, Turn::FREE.held_by(self.memory.me()))
    }

    /// [`Self::try_turn`] where readers come in without a barrier.
    #[cold]
    pub(super) fn try_biased_turn(&self) -> bool {
        let biased = Turn(BIASED);
        self.turn() == biased && self.replace_turn(biased, biased.held_by(self.memory.me()))
    }

    /// Takes the turn; waits while others have it.
    #[inline]
    pub(crate) fn take_turn(&self, deadline: impl FnOnce() -> Deadline) -> Result<(), Stop> {
        if self.try_turn() {
            return Ok(());
        }
        self.take_turn_later(deadline())
    }

    #[cold]
    pub(super) fn take_turn_later(&self, deadline: Deadline) -> Result<(), Stop> {
        let (looks, pauses) = LOOKS;
        for _ in 0..looks {
            let turn = self.turn();
            let is_free = turn.owner().is_none() && !turn.is_urgent();
            if is_free && self.replace_turn(turn, turn.held_by(self.memory.me())) {
                return Ok(());
            }
            for _ in 0..pauses {
                std::hint::spin_loop();
            }
        }
        self.wait_for_turn(deadline)?;
        // Where the turn was handed over, no exchange of this rank was the barrier.
        full_fence();
        Ok(())
    }

    /// Takes the turn: acquires what was written under it, and keeps the look at the slots behind
    /// it.
    #[inline]
    pub(super) fn replace_turn(&self, from: Turn, to: Turn) -> bool {
        replace_then_fence(&self.entrance().turn, from.0, to.0)
    }

    fn wait_for_turn(&self, deadline: Deadline) -> Result<(), Stop> {
        let me = self.memory.me();
        let want = &self.memory.my_words().want;
        // In this order, so that a rank which dies between the two is counted rather than taken off twice.
        self.entrance()
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
        // TransportOptions again where a rank that found nobody urgent has just taken the bit back.
        if asked != Err(GRANTED) && !self.turn().is_urgent() {
            // Release: who sees the bit sees the wish behind it. The change also fails the exchange of a rank that
            // is letting the turn go and has looked at the wishes already.
            let turn = &self.entrance().turn;
            turn.fetch_or(Turn::URGENT, Ordering::Release);
        }
    }

    /// Stops waiting for the turn; keeps it after all if it was handed over in the meantime.
    fn withdraw(&self, mut stop: Stop) -> Result<(), Stop> {
        let me = self.memory.me();
        let want = &self.memory.my_words().want;
        let withdrawn = want.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
            (state != GRANTED).then_some(NOT_WANTED)
        });
        if withdrawn.is_err() {
            let kept = wait(
                &self.memory,
                self.turn_passed(),
                Deadline::Never,
                || (self.turn().owner() == Some(me)).then_some(()),
                // Who hands the turn over may have died when all that it had done was to grant the wish: the turn
                // stays with the dead rank then.
                || self.inspect_owner(),
            );
            want.store(NOT_WANTED, Ordering::Relaxed);
            match kept {
                Ok(()) => return Ok(()),
                Err(died) => stop = died,
            }
        }
        let mut turn = self.turn();
        // Acquire: a turn that is taken here comes with the number of openings, though it may have looked the same
        // at the first look.
        loop {
            let next = match turn.owner() {
                Some(_) => turn.without_waiter(),
                None => turn.without_waiter().held_by(me),
            };
            let word = &self.entrance().turn;
            match word.compare_exchange(turn.0, next.0, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => turn = Turn(now),
            }
        }
        if turn.owner().is_none() {
            // Readers may have been kept out for this rank, and a writer that was to be woken is still asleep: let the
            // turn go as its holder does.
            match self.memory.door().kind {
                DoorKind::Turn => self.unlock_write(),
                DoorKind::Gate => self.pass_turn_without_opening(),
            }
        }
        Err(stop)
    }

    /// Lets the turn go while others want it, and opens the door unless that was done, or is left
    /// to one of them.
    #[cold]
    pub(super) fn pass_turn(&self, mut opened: bool) {
        self.hand_over(|turn| {
            if !opened && (turn.waiters() == 0 || self.run_is_over()) {
                self.open();
                opened = true;
            }
        });
        if opened {
            self.opening().wake(ALL);
        }
    }

    /// Lets the turn go, and does nothing about the door.
    pub(crate) fn pass_turn_without_opening(&self) {
        self.hand_over(|_| {});
    }

    /// Lets the turn go: to an urgent rank, or free for who comes first. Calls `before` with each
    /// value of the turn that it is about to let go.
    #[inline]
    fn hand_over(&self, mut before: impl FnMut(Turn)) {
        let mut heir = None;
        let mut turn = self.turn();
        loop {
            before(turn);
            if heir.is_none() && turn.is_urgent() {
                heir = self.choose_heir();
            }
            let next = match heir {
                Some(rank) => turn.without_waiter().held_by(rank),
                None => turn.calmed().released(),
            };
            let word = &self.entrance().turn;
            match word.compare_exchange(turn.0, next.0, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                // Acquires: the urgent bit comes with the wish behind it.
                Err(_) => turn = self.turn(),
            }
        }
        // The heir may lie among others on the same word.
        self.turn_passed()
            .wake(if heir.is_some() { ALL } else { 1 });
    }

    /// Counts this writer into the run of those who did not open; whether the run has to end here.
    fn run_is_over(&self) -> bool {
        let run = &self.entrance().run;
        let length = run.load(Ordering::Relaxed) + 1;
        let over = length >= RUN;
        run.store(if over { 0 } else { length }, Ordering::Relaxed);
        over
    }

    /// The next urgent rank after this one, round the node, marked as granted.
    pub(super) fn choose_heir(&self) -> Option<usize> {
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

    /// What a waiting rank does about a holder that died: gives back a turn that was handed over
    /// and never taken up, and reports one that died as a writer.
    pub(in crate::rwlock) fn inspect_owner(&self) -> Result<(), Stop> {
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
                let word = &self.entrance().turn;
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

    /// Takes the wishes of dead ranks off the count.
    pub(crate) fn forget_dead_writers(&self) {
        for rank in 0..self.memory.ranks() {
            let want = &self.memory.rank_words(rank).want;
            let wish = want.load(Ordering::Relaxed);
            let counted = wish == WAITING || wish == URGENT;
            if counted && !self.memory.is_alive(rank) {
                let forgotten =
                    want.compare_exchange(wish, NOT_WANTED, Ordering::Relaxed, Ordering::Relaxed);
                if forgotten.is_ok() {
                    let turn = &self.entrance().turn;
                    turn.fetch_sub(Turn::ONE_WAITER, Ordering::Relaxed);
                }
            }
        }
    }

    /// How many writers of this node wait for the turn.
    pub(crate) fn waiting_writers(&self) -> u32 {
        self.turn().waiters()
    }

    pub(super) fn turn(&self) -> Turn {
        Turn(self.entrance().turn.load(Ordering::Acquire))
    }

    /// The event of a turn that was let go.
    fn turn_passed(&self) -> Event<'_> {
        Event {
            word: &self.entrance().turn,
            sleepers: &self.entrance().turn_sleepers,
        }
    }
}
