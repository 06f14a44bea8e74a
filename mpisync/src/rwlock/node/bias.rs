//! Reading without a barrier.
//!
//! A reader announces itself, then looks at the door, and the barrier in between is most of what
//! reading costs. After many reads since the last opening a reader sets the bit [`BIASED`] in the
//! door's word. While the word has it and the door is open, readers leave their barrier out; who
//! closes the door then has the kernel run it on all cores, which takes some microseconds. (BRAVO
//! gives readers a fast path for as long as no writer comes in the same way; the barrier is that of
//! [`crate::shm::membarrier`].)
//!
//! The bit does not go away with the door's closing. It says that the barrier is still to be run:
//! whoever comes to the point of looking at the slots and finds it runs the barrier, and takes it
//! away only then, in a word that has been closed all the time. So it does not matter who closed
//! the door, or whether that rank has died since. All other changes of the word leave the bit as it
//! is.

use crate::rwlock::layout::BIASED;
use crate::rwlock::memory::Memory;
use crate::rwlock::node::NodeLock;
use crate::shm::atomic::Ordering;
use crate::shm::membarrier::heavy_fence;

/// After how many reads with a barrier since the last opening a reader sets the bit. That many have
/// taken 100 microseconds or more, and the kernel's barrier takes about 10 (in a virtual machine;
/// less where interrupts cost less), so that a program which always writes just then loses a tenth.
const BIASED_AFTER: u32 = if cfg!(loom) {
    0
} else if cfg!(test) {
    3
} else {
    20_000
};

impl<M: Memory> NodeLock<M> {
    /// Counts a read that had its barrier and found the door open, with this value of its word.
    #[inline]
    pub(super) fn count_read(&self, word: u32) {
        let openings = self.memory.door().openings(Ordering::Relaxed);
        let reads = self.memory.my_words().tally.count(openings);
        if reads == BIASED_AFTER && word & BIASED == 0 {
            self.begin_bias(word);
        }
    }

    #[cold]
    fn begin_bias(&self, word: u32) {
        if self.memory.can_be_biased() {
            // Not if it has changed. Relaxed: who finds the new value still acquires what the last writer released.
            let _ = self.memory.door().word.compare_exchange(
                word,
                word | BIASED,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// Makes readers seen who came in without a barrier before the door was closed.
    #[cold]
    pub(super) fn end_bias(&self) {
        let door = self.memory.door();
        // Acquire: where another thread has taken the bit away, its barrier counts.
        let mut word = door.word.load(Ordering::Acquire);
        while word & BIASED != 0 && !door.lets_in(word) {
            heavy_fence();
            let loud = word & !BIASED;
            // Fails where the word has changed: a gate may have been open in between.
            match door
                .word
                .compare_exchange(word, loud, Ordering::Release, Ordering::Acquire)
            {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }
}
