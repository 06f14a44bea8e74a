//! Reader bias: reading without a barrier.
//!
//! The barrier between a reader's flag and its check of the gate is most of the cost of a read. After
//! many reads since the last opening, a reader sets the bit [`BIASED`] in the gate's word. While the
//! bit is set and the gate is open, readers omit their barrier. A rank that closes the gate then has
//! to revoke the bias: it makes the kernel run the barrier on all cores
//! ([`crate::shm::membarrier`]). BRAVO gives readers a fast path until the next writer in the same
//! way.
//!
//! Closing the gate does not clear the bit. It means that the barrier is still to be run: a rank that
//! is about to check the slots and finds the bit set runs the barrier, and clears the bit only then,
//! in a word that has been closed all the time. So it does not matter who closed the gate, or whether
//! that rank has died since. All other changes of the word keep the bit.

use crate::rwlock::layout::BIASED;
use crate::rwlock::memory::Memory;
use crate::rwlock::node::NodeLock;
use crate::shm::atomic::{MODELLED, Ordering};
use crate::shm::membarrier::{Reach, heavy_fence};

/// The number of reads with a barrier since the last opening after which a reader sets the bit. These
/// reads take ten times as long as the kernel's barrier, so a program that always writes just then
/// loses a tenth.
const fn biased_after(reach: Reach) -> u32 {
    match reach {
        _ if MODELLED => 0,
        _ if cfg!(test) => 3,
        // 100 microseconds or more; the barrier takes about 10 in a virtual machine, and less where interrupts cost less.
        Reach::Process => 20_000,
        // 100 milliseconds or more; the barrier takes about 10.
        Reach::Machine => 10_000_000,
    }
}

/// The bias cannot begin after another number of reads.
const fn may_bias_begin(reads: u32) -> bool {
    reads == biased_after(Reach::Process) || reads == biased_after(Reach::Machine)
}

impl<M: Memory> NodeLock<M> {
    /// Counts a read that had its barrier and found the gate open with this value of its word.
    #[inline]
    pub(super) fn count_read(&self, word: u32) {
        let openings = self.memory.gate().openings(Ordering::Relaxed);
        let reads = self.memory.my_words().tally.count(openings);
        if may_bias_begin(reads) && word & BIASED == 0 {
            self.begin_bias(word, reads);
        }
    }

    #[cold]
    fn begin_bias(&self, word: u32, reads: u32) {
        let reach = self.memory.heavy_fence();
        if reach.is_some_and(|reach| reads == biased_after(reach)) {
            // Fails if the word has changed. Relaxed: a rank that loads the new value still acquires the last writer's
            // release.
            let _ = self.memory.gate().word.compare_exchange(
                word,
                word | BIASED,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// Makes the flags of readers visible that entered without a barrier before the gate was closed.
    #[cold]
    pub(super) fn revoke_bias(&self) {
        let gate = self.memory.gate();
        // Acquire: if another thread has cleared the bit, its barrier counts.
        let mut word = gate.word.load(Ordering::Acquire);
        while word & BIASED != 0 && !gate.is_open(word) {
            let reach = self.memory.heavy_fence();
            heavy_fence(reach.expect("only a rank that found a fence has set the bit"));
            let unbiased = word & !BIASED;
            // Fails if the word has changed: the gate may have been open in between.
            match gate
                .word
                .compare_exchange(word, unbiased, Ordering::Release, Ordering::Acquire)
            {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }
}
