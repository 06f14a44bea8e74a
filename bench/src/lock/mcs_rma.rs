//! A simple queue lock over one-sided calls: the lock of Mellor-Crummey and Scott ("Algorithms for
//! Scalable Synchronization on Shared-Memory Multiprocessors", TOCS 1991), with a queue node on
//! each rank.

use mpi::topology::SimpleCommunicator;
use mpi::traits::*;

use super::{Case, Lock, lock_round};
use crate::team::Team;
use crate::turns::Subject;
use crate::window::{Window, progress};

const TAIL: usize = 0;
const NEXT: usize = 1;
const BLOCKED: usize = 2;

/// The tail at rank 0, and a queue node on each rank. Ranks are counted from 1; 0 is no rank.
pub struct McsRma<'a> {
    world: &'a SimpleCommunicator,
    window: Window<3>,
}

impl<'a> McsRma<'a> {
    /// Makes the window. Collective.
    pub fn new(world: &'a SimpleCommunicator, hosts: usize) -> Self {
        Self {
            world,
            window: Window::new(world, hosts),
        }
    }

    fn put(&self, rank: i32, word: usize, value: i64) {
        self.window.put(rank, word, value);
    }

    /// Puts this rank at the end of the queue. Returns the previous tail. The bindings of some MPIs
    /// lack `MPI_REPLACE`, so this is a compare-and-swap, which takes a further round trip only if
    /// there was a previous rank.
    fn exchange_tail(&self, mine: i64) -> i64 {
        let mut expected = 0;
        loop {
            let before = self.window.compare_and_swap(0, TAIL, expected, mine);
            if before == expected {
                return before;
            }
            expected = before;
        }
    }

    fn acquire(&self) {
        let me = self.world.rank();
        self.put(me, NEXT, 0);
        self.put(me, BLOCKED, 1);
        let before = self.exchange_tail(i64::from(me) + 1);
        if before == 0 {
            return;
        }
        self.put(before as i32 - 1, NEXT, i64::from(me) + 1);
        while self.window.look(BLOCKED) != 0 {
            progress(self.world);
        }
    }

    fn release(&self) {
        let me = self.world.rank();
        let mine = i64::from(me) + 1;
        if self.window.look(NEXT) == 0 {
            if self.window.compare_and_swap(0, TAIL, mine, 0) == mine {
                return;
            }
            while self.window.look(NEXT) == 0 {
                progress(self.world);
            }
        }
        self.put(self.window.look(NEXT) as i32 - 1, BLOCKED, 0);
    }
}

impl Lock for McsRma<'_> {
    fn read(&mut self, body: impl FnOnce()) {
        self.write(body);
    }

    fn write(&mut self, body: impl FnOnce()) {
        self.acquire();
        body();
        self.release();
    }
}

impl Subject<Case> for McsRma<'_> {
    fn round(&mut self, case: Case, team: &Team) -> f64 {
        lock_round(self, case, team)
    }

    fn close(self: Box<Self>) {
        self.window.free();
    }
}
