//! The threads of a rank that read.
//!
//! A thread counts itself in one of the rank's counters, and then checks the gate: the handshake of a
//! reader that has a slot, with a counter in its place. Threads on different counters write to no common
//! cache line. A writer waits until all counters are zero.
//!
//! Threads that find the gate closed wait together. One of them waits for all, in the rank's slot, and so
//! is let in by the next opening as a rank with one thread is. While the slot keeps writers out, it counts
//! itself and all others in.

use crate::rwlock::layout::ThreadReaders;
use crate::rwlock::memory::Memory;
use crate::rwlock::node::NodeLock;
use crate::shm::atomic::{AtomicU32, Mutex, Ordering, increment_then_fence, locked};
use crate::shm::event::{ALL, Event, Sleepers};
use crate::shm::wait::{Deadline, Stop, wait};
use std::mem;

/// The counter of threads that have waited.
const OF_THE_WAITING: usize = 0;

/// The threads of one rank that wait to read.
#[derive(Default)]
pub(crate) struct WaitingReaders {
    state: Mutex<State>,
    /// Changes when the thread in the slot has ended its wait.
    ended: AtomicU32,
    sleepers: Sleepers,
}

#[derive(Default)]
struct State {
    /// Whether a thread waits in the slot.
    is_slot_taken: bool,
    /// How many others wait.
    others: u32,
    /// How often threads were let in.
    admissions: u64,
}

impl WaitingReaders {
    /// Enters as a thread that reads; waits while a writer has or wants the lock. Returns the counter in
    /// which the thread is counted, `mine` if it does not wait.
    #[inline]
    pub(crate) fn read<'a, M: Memory>(
        &self,
        lock: &NodeLock<M>,
        mine: usize,
        deadline: impl FnOnce() -> Deadline<'a>,
    ) -> Result<usize, Stop> {
        if lock.try_read_as_thread(mine) {
            return Ok(mine);
        }
        self.wait(lock, deadline())
    }

    #[cold]
    fn wait<M: Memory>(&self, lock: &NodeLock<M>, deadline: Deadline<'_>) -> Result<usize, Stop> {
        loop {
            let mut state = locked(&self.state);
            if !state.is_slot_taken {
                state.is_slot_taken = true;
                drop(state);
                return self.wait_in_slot(lock, deadline);
            }
            state.others += 1;
            let admissions = state.admissions;
            let seen = self.ended.load(Ordering::Relaxed);
            drop(state);
            let waiting = Other {
                readers: self,
                lock,
                admissions,
            };
            let has_ended = || (self.ended.load(Ordering::Acquire) != seen).then_some(());
            let waited = wait(&lock.memory, self.event(), deadline, has_ended, || {
                Ok::<_, Stop>(())
            });
            if waiting.finish() {
                return Ok(OF_THE_WAITING);
            }
            waited?;
        }
    }

    /// Waits for this thread and the others.
    fn wait_in_slot<M: Memory>(
        &self,
        lock: &NodeLock<M>,
        deadline: Deadline<'_>,
    ) -> Result<usize, Stop> {
        // Frees the slot, also after an error or a panic.
        let slot = SlotTaken(self);
        lock.read(|| deadline)?;
        {
            let mut state = locked(&self.state);
            let count = &lock.my_threads(OF_THE_WAITING).count;
            // Before the slot is cleared, below: a writer that finds it so sees the count.
            count.fetch_add(1 + state.others, Ordering::Relaxed);
            state.others = 0;
            state.admissions += 1;
        }
        lock.unlock_read();
        drop(slot);
        Ok(OF_THE_WAITING)
    }

    fn event(&self) -> Event<'_> {
        Event {
            word: &self.ended,
            sleepers: &self.sleepers,
        }
    }
}

/// The right to wait in the slot, until this is dropped.
struct SlotTaken<'a>(&'a WaitingReaders);

impl Drop for SlotTaken<'_> {
    fn drop(&mut self) {
        let WaitingReaders { state, ended, .. } = self.0;
        {
            let mut state = locked(state);
            state.is_slot_taken = false;
            ended.fetch_add(1, Ordering::SeqCst);
        }
        self.0.event().wake(ALL);
    }
}

/// A thread that waits for the one in the slot. If a panic drops it, the thread does not read.
struct Other<'a, M: Memory> {
    readers: &'a WaitingReaders,
    lock: &'a NodeLock<M>,
    /// The number of admissions before.
    admissions: u64,
}

impl<M: Memory> Other<'_, M> {
    /// Ends the wait. Returns whether the thread was counted in.
    fn finish(self) -> bool {
        let is_admitted = self.end();
        mem::forget(self);
        is_admitted
    }

    fn end(&self) -> bool {
        let mut state = locked(&self.readers.state);
        let is_admitted = state.admissions != self.admissions;
        if !is_admitted {
            state.others -= 1;
        }
        is_admitted
    }
}

impl<M: Memory> Drop for Other<'_, M> {
    fn drop(&mut self) {
        if self.end() {
            self.lock.unlock_read_as_thread(OF_THE_WAITING);
        }
    }
}

impl<M: Memory> NodeLock<M> {
    /// Enters as a thread that reads, if no writer has or wants the lock, and counts it in that counter.
    #[inline]
    pub(crate) fn try_read_as_thread(&self, counter: usize) -> bool {
        let count = &self.my_threads(counter).count;
        increment_then_fence(count);
        let gate = self.memory.gate();
        // SeqCst for the handshake; also acquires the last writer's changes.
        if gate.is_open(gate.word.load(Ordering::SeqCst)) {
            return true;
        }
        self.unlock_read_as_thread(counter);
        false
    }

    /// Leaves as a thread that reads and is counted in that counter.
    #[inline]
    pub(crate) fn unlock_read_as_thread(&self, counter: usize) {
        // Release: the next writer acquires it and so comes after this thread's reads. SeqCst: a writer that this
        // misses finds the count.
        let count = &self.my_threads(counter).count;
        count.fetch_sub(1, Ordering::SeqCst);
        self.notify_if_closed();
    }

    /// A counter of this rank.
    #[inline]
    pub(crate) fn my_threads(&self, counter: usize) -> &ThreadReaders {
        self.memory.threads(self.memory.me(), counter)
    }
}
