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
    /// The first ticket of the line, or 0.
    first: AtomicU64,
    /// Changes when the turn is passed on.
    passed: AtomicU32,
    sleepers: Sleepers,
}

#[derive(Default)]
struct Tickets {
    /// The last ticket that was drawn. They count from 1.
    last: u64,
    /// The thread with the first one has the turn, the others wait.
    line: VecDeque<u64>,
}

impl Tickets {
    fn draw(&mut self) -> u64 {
        self.last += 1;
        self.line.push_back(self.last);
        self.last
    }

    fn first(&self) -> u64 {
        self.line.front().copied().unwrap_or_default()
    }
}

impl ThreadQueue {
    /// Takes the turn if no thread has it.
    pub(crate) fn try_take(&self) -> bool {
        let mut tickets = locked(&self.tickets);
        let is_free = tickets.line.is_empty();
        if is_free {
            let mine = tickets.draw();
            self.first.store(mine, Ordering::Relaxed);
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
            if tickets.first() == mine {
                self.first.store(mine, Ordering::Relaxed);
                return Ok(());
            }
            mine
        };
        // Leaves the line if the wait ends early, by an error or a panic.
        let waiting = Waiting { queue: self, mine };
        let is_first = || (self.first.load(Ordering::Acquire) == mine).then_some(());
        wait(surroundings, self.event(), deadline, is_first, || {
            Ok::<_, Stop>(())
        })?;
        mem::forget(waiting);
        Ok(())
    }

    /// Passes the turn, which this thread has, on to the next one.
    pub(crate) fn pass_on(&self) {
        let mut tickets = locked(&self.tickets);
        tickets.line.pop_front();
        self.show_first(&tickets);
    }

    /// Whether a thread has the turn.
    pub(super) fn is_taken(&self) -> bool {
        !locked(&self.tickets).line.is_empty()
    }

    fn show_first(&self, tickets: &Tickets) {
        // Release: the next one acquires what was done with the turn.
        self.first.store(tickets.first(), Ordering::Release);
        if !tickets.line.is_empty() {
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
        tickets.line.retain(|&ticket| ticket != self.mine);
        self.queue.show_first(&tickets);
    }
}
