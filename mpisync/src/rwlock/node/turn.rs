//! The turn: mutual exclusion among the writers of a node.
//!
//! Writers take it in any order, which keeps it fast if there are more ranks than cores. A writer
//! that has waited for about a millisecond becomes urgent; the turn is handed to urgent ranks, round
//! the node, before any other rank gets it.

use crate::rwlock::layout::*;
use crate::rwlock::memory::Memory;
use crate::rwlock::node::{NodeLock, newest};
use crate::shm::atomic::{MODELLED, Ordering, full_fence, replace_then_fence};
use crate::shm::event::{ALL, Event};
use crate::shm::wait::{Deadline, Stop, wait};

/// The most consecutive writers while readers wait.
const RUN: u32 = if MODELLED { 2 } else { 64 };

/// How often a writer that finds the turn taken checks it again before it counts as waiting, and the
/// number of pauses between two checks: each check takes the cache line from the rank that uses it.
const CHECKS: (u32, u32) = if MODELLED { (1, 1) } else { (12, 32) };

impl<M: Memory> NodeLock<M> {
    /// Takes the turn if it is free and nobody waits for it.
    #[inline]
    pub(crate) fn try_turn(&self) -> bool {
        self.replace_turn(Turn::FREE, Turn::FREE.held_by(self.memory.me()))
    }

    /// [`Self::try_turn`] for a turn whose last waiter has died after it had become urgent.
    pub(crate) fn try_forsaken_turn(&self) -> bool {
        let turn = self.turn();
        turn.calmed() == Turn::FREE && self.replace_turn(turn, Turn::FREE.held_by(self.memory.me()))
    }

    /// [`Self::try_turn`] while the gate is biased.
    #[cold]
    pub(in crate::rwlock) fn try_biased_turn(&self) -> bool {
        let biased = Turn(BIASED);
        self.turn() == biased && self.replace_turn(biased, biased.held_by(self.memory.me()))
    }

    /// Takes the turn; waits while another rank has it.
    #[inline]
    pub(crate) fn take_turn<'a>(
        &self,
        deadline: impl FnOnce() -> Deadline<'a>,
    ) -> Result<(), Stop> {
        if self.try_turn() {
            return Ok(());
        }
        self.take_turn_later(deadline())
    }

    #[cold]
    pub(super) fn take_turn_later(&self, deadline: Deadline<'_>) -> Result<(), Stop> {
        let (checks, pauses) = CHECKS;
        for _ in 0..checks {
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
        // If the turn was handed over, no exchange of this rank was the barrier.
        full_fence();
        Ok(())
    }

    /// Takes the turn: acquires everything written under it, and orders the check of the slots
    /// after it.
    #[inline]
    pub(in crate::rwlock) fn replace_turn(&self, from: Turn, to: Turn) -> bool {
        replace_then_fence(&self.gate_words().turn, from.0, to.0)
    }

    fn wait_for_turn(&self, deadline: Deadline<'_>) -> Result<(), Stop> {
        self.request_turn();
        let taken = wait(
            &self.memory,
            self.turn_passed(),
            deadline,
            || self.turn_has_come().then_some(()),
            || self.inspect_turn(),
        );
        let Err(stop) = taken else {
            let request = &self.memory.my_words().request;
            request.store(NOT_REQUESTED, Ordering::Relaxed);
            return Ok(());
        };
        self.withdraw(stop, deadline)
    }

    /// Begins to wait for the turn.
    pub(super) fn request_turn(&self) {
        // In this order: a rank that dies between the two is counted, and not subtracted twice.
        self.gate_words()
            .turn
            .fetch_add(Turn::ONE_WAITER, Ordering::Relaxed);
        let request = &self.memory.my_words().request;
        request.store(WAITING, Ordering::Relaxed);
    }

    /// As a waiting rank: whether the turn was handed over, or was free and is taken now.
    #[inline]
    pub(super) fn turn_has_come(&self) -> bool {
        let me = self.memory.me();
        let turn = self.turn();
        match turn.owner() {
            None => self.replace_turn(turn, turn.without_waiter().held_by(me)),
            owner => owner == Some(me),
        }
    }

    /// Becomes urgent, as a rank that waits long, and finds out whether the turn will come.
    pub(super) fn inspect_turn(&self) -> Result<(), Stop> {
        self.become_urgent();
        self.inspect_owner()
    }

    /// Asks for the turn to be handed over.
    fn become_urgent(&self) {
        let request = &self.memory.my_words().request;
        let asked = request.compare_exchange(WAITING, URGENT, Ordering::Relaxed, Ordering::Relaxed);
        // Once more if a rank that found no urgent request has just cleared the bit.
        if asked != Err(GRANTED) && !self.turn().is_urgent() {
            // Release: a rank that sees the bit also sees the request. The change also fails the exchange of a rank
            // that is releasing the turn and has already checked the requests.
            let turn = &self.gate_words().turn;
            turn.fetch_or(Turn::URGENT, Ordering::Release);
        }
    }

    /// Stops waiting for the turn; keeps it if it was handed over in the meantime.
    pub(in crate::rwlock) fn withdraw(
        &self,
        mut stop: Stop,
        deadline: Deadline<'_>,
    ) -> Result<(), Stop> {
        let me = self.memory.me();
        let request = &self.memory.my_words().request;
        let withdrawn = request.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
            (state != GRANTED).then_some(NOT_REQUESTED)
        });
        if withdrawn.is_err() {
            let kept = wait(
                &self.memory,
                self.turn_passed(),
                deadline.extended(),
                // The former holder may have died after it granted the request and before it handed the turn over. Then
                // another rank may have taken over and released the turn, which nobody hands over now.
                || self.turn_has_come().then_some(()),
                || self.inspect_owner(),
            );
            request.store(NOT_REQUESTED, Ordering::Relaxed);
            match kept {
                Ok(()) => return Ok(()),
                Err(died) => stop = died,
            }
        }
        let mut turn = self.turn();
        // Acquire: a turn taken here must come with the number of openings, even if its word is still the same as
        // when it was first loaded.
        loop {
            let next = match turn.owner() {
                Some(_) => turn.without_waiter(),
                None => turn.without_waiter().held_by(me),
            };
            let word = &self.gate_words().turn;
            match word.compare_exchange(turn.0, next.0, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(now) => turn = Turn(now),
            }
        }
        if turn.owner().is_none() {
            // Readers may have been kept out for this rank, and a writer to be woken still sleeps: release the turn
            // as its holder does.
            match self.memory.gate().kind {
                GateKind::Local => self.unlock_write(),
                GateKind::Global => self.pass_turn_without_opening(),
            }
        }
        Err(stop)
    }

    /// Releases the turn while others want it. Opens the gate unless that was done, or is left to
    /// one of them.
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

    /// Releases the turn and leaves the gate as it is.
    pub(crate) fn pass_turn_without_opening(&self) {
        self.hand_over(|_| {});
    }

    /// Releases the turn: hands it to an urgent rank, or frees it. Calls `before` with each value of
    /// the turn that it is about to replace.
    #[inline]
    fn hand_over(&self, mut before: impl FnMut(Turn)) {
        let mut successor = None;
        let mut turn = self.turn();
        loop {
            before(turn);
            if successor.is_none() && turn.is_urgent() {
                successor = self.choose_successor();
            }
            let next = match successor {
                Some(rank) => turn.without_waiter().held_by(rank),
                None => turn.calmed().released(),
            };
            let word = &self.gate_words().turn;
            match word.compare_exchange(turn.0, next.0, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => break,
                // Acquires: the urgent bit comes with the request behind it.
                Err(_) => turn = self.turn(),
            }
        }
        // The successor may sleep among others on the same word.
        self.turn_passed()
            .wake(if successor.is_some() { ALL } else { 1 });
    }

    /// Counts this writer into the run of writers that did not open the gate. Returns whether the run
    /// ends here.
    fn run_is_over(&self) -> bool {
        let run = &self.gate_words().run;
        let length = run.load(Ordering::Relaxed) + 1;
        let over = length >= RUN;
        run.store(if over { 0 } else { length }, Ordering::Relaxed);
        over
    }

    /// Grants the request of the next urgent rank after this one, round the node, and returns it.
    pub(in crate::rwlock) fn choose_successor(&self) -> Option<usize> {
        let ranks = self.memory.ranks();
        let me = self.memory.me();
        (1..ranks).map(|step| (me + step) % ranks).find(|&rank| {
            let request = &self.memory.rank_words(rank).request;
            // The load keeps the lines of ranks that are not urgent shared. It also shows the model checker, whose
            // exchanges never fail on an old value, why the bit has to be acquired.
            request.load(Ordering::Relaxed) == URGENT
                && request
                    .compare_exchange(URGENT, GRANTED, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
        })
    }

    /// Recovers from a dead holder, as a waiting rank: frees a turn that was handed over and never
    /// taken up.
    ///
    /// # Errors
    /// [`Stop::Died`] if the holder died as a writer, [`Stop::Ended`] if it has ended and still has
    /// its guard; those of [`inspect_ranges`](Self::inspect_ranges).
    pub(in crate::rwlock) fn inspect_owner(&self) -> Result<(), Stop> {
        let turn = self.turn();
        match turn.owner() {
            Some(Turn::RANGES) => self.inspect_ranges(),
            Some(owner) if !self.memory.is_alive(owner) => {
                let request = &self.memory.rank_words(owner).request;
                // Acquire: a rank that finds the request cleared also finds that the turn was freed with it.
                if request.load(Ordering::Acquire) != GRANTED {
                    // Another rank may have taken over, and granted the turn to this one: an old value will not do.
                    let now = Turn(newest(&self.gate_words().turn));
                    let has_changed = now.owner() != Some(owner);
                    return if has_changed {
                        Ok(())
                    } else {
                        Err(Stop::Died(owner))
                    };
                }
                let word = &self.gate_words().turn;
                let freed = turn.released().0;
                let taken =
                    word.compare_exchange(turn.0, freed, Ordering::Relaxed, Ordering::Relaxed);
                if taken.is_ok() {
                    request.store(NOT_REQUESTED, Ordering::Release);
                }
                Ok(())
            }
            Some(owner) if self.memory.has_ended(owner) && self.turn().owner() == Some(owner) => {
                Err(Stop::Ended(owner))
            }
            _ => Ok(()),
        }
    }

    /// Withdraws the requests of dead ranks.
    pub(crate) fn forget_dead_writers(&self) {
        for rank in 0..self.memory.ranks() {
            let request = &self.memory.rank_words(rank).request;
            let found = request.load(Ordering::Relaxed);
            let counted = found == WAITING || found == URGENT;
            if counted && !self.memory.is_alive(rank) {
                let forgotten = request.compare_exchange(
                    found,
                    NOT_REQUESTED,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                if forgotten.is_ok() {
                    let turn = &self.gate_words().turn;
                    turn.fetch_sub(Turn::ONE_WAITER, Ordering::Relaxed);
                }
            }
        }
    }

    /// The number of writers of this node that wait for the turn.
    pub(crate) fn waiting_writers(&self) -> u32 {
        self.turn().waiters()
    }

    pub(in crate::rwlock) fn turn(&self) -> Turn {
        Turn(self.gate_words().turn.load(Ordering::Acquire))
    }

    /// The event of a released turn.
    fn turn_passed(&self) -> Event<'_> {
        Event {
            word: &self.gate_words().turn,
            sleepers: &self.gate_words().turn_sleepers,
        }
    }
}
