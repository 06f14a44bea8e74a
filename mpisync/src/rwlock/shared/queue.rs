//! The threads of a rank that write, one after the other in the order of their arrival.
//!
//! To the lock of the node a rank is one writer. So its threads first take their turn here.

use crate::shm::atomic::{AtomicU32, AtomicU64, Mutex, Ordering, locked};
use crate::shm::event::{ALL, Event, Sleepers};
use crate::shm::wait::{Deadline, Stop, Surroundings, wait};
use std::collections::VecDeque;
use std::mem;

/// A turn that the threads of one rank take.
#[derive(Default)]
pub(crate) struct ThreadQueue {
    tickets: Mutex<Tickets>,
    /// The ticket of the thread that has the turn, or 0. Only changed with `tickets` locked.
    turn: AtomicU64,
    /// Changes when the turn is passed on to a thread that waits.
    passed: AtomicU32,
    sleepers: Sleepers,
}

#[derive(Default)]
struct Tickets {
    /// The last ticket that was drawn. They count from 1.
    last: u64,
    /// Those that wait.
    line: VecDeque<u64>,
}

impl Tickets {
    fn draw(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl ThreadQueue {
    /// Takes the turn if no thread has it.
    pub(crate) fn try_take(&self) -> bool {
        let mut tickets = locked(&self.tickets);
        let is_free = !self.is_taken();
        if is_free {
            self.turn.store(tickets.draw(), Ordering::Relaxed);
        }
        is_free
    }

    /// Takes the turn; waits while another thread has it.
    pub(crate) fn take(
        &self,
        surroundings: &impl Surroundings,
        deadline: Deadline<'_>,
    ) -> Result<(), Stop> {
        let mine = {
            let mut tickets = locked(&self.tickets);
            let mine = tickets.draw();
            if !self.is_taken() {
                self.turn.store(mine, Ordering::Relaxed);
                return Ok(());
            }
            tickets.line.push_back(mine);
            mine
        };
        // Leaves the line if the wait ends early, by an error or a panic.
        let waiting = Waiting { queue: self, mine };
        let has_turn = || (self.turn.load(Ordering::Acquire) == mine).then_some(());
        wait(surroundings, self.event(), deadline, has_turn, || {
            Ok::<_, Stop>(())
        })?;
        mem::forget(waiting);
        Ok(())
    }

    /// Passes the turn, which this thread has, on to the next one.
    pub(crate) fn pass_on(&self) {
        self.pass_to_next(&mut locked(&self.tickets));
    }

    /// Whether a thread has the turn.
    pub(super) fn is_taken(&self) -> bool {
        self.turn.load(Ordering::Relaxed) != 0
    }

    fn pass_to_next(&self, tickets: &mut Tickets) {
        let next = tickets.line.pop_front();
        // Release: the next one acquires what was done with the turn.
        self.turn.store(next.unwrap_or_default(), Ordering::Release);
        if next.is_some() {
            self.passed.fetch_add(1, Ordering::SeqCst);
            self.event().wake(ALL);
        }
    }

    fn event(&self) -> Event<'_> {
        Event {
            word: &self.passed,
            sleepers: &self.sleepers,
        }
    }
}

/// A thread in the line. Dropping it leaves the line, and passes the turn on if that has come meanwhile.
struct Waiting<'a> {
    queue: &'a ThreadQueue,
    mine: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut tickets = locked(&self.queue.tickets);
        if self.queue.turn.load(Ordering::Relaxed) == self.mine {
            self.queue.pass_to_next(&mut tickets);
        } else {
            tickets.line.retain(|&ticket| ticket != self.mine);
        }
    }
}
