//! A barrier of which the rare side pays for both sides.
//!
//! In a handshake of the kind "I announce myself, then look at you" both sides need a store-load
//! barrier. Where one side comes a thousand times as often as the other, it does without: its half,
//! [`light_fence`], only keeps the compiler from swapping the two steps, and the other side's half,
//! [`heavy_fence`], has the kernel run a full barrier on every core that runs a thread of the first
//! side. That barrier falls before the light side's look, which then finds what the heavy side has
//! announced, or after it, and then the heavy side finds the light side's announcement. This is the
//! asymmetric form of Dekker's handshake (Dice, Huang and Yang, "Asymmetric Dekker
//! Synchronization", 2001), in C++'s second technical specification on concurrency
//! `asymmetric_thread_fence_light` and `_heavy` (P1202).
//!
//! On Linux it is `membarrier` with `MEMBARRIER_CMD_GLOBAL_EXPEDITED`. By its manual page,
//! membarrier(2), all running threads of the processes that have registered have been "through a
//! state where all memory accesses to user-space addresses match program order between entry to and
//! return from the system call (non-running threads are de facto in such a state)".

pub(crate) use fences::{heavy_fence, light_fence, register};

#[cfg(not(loom))]
mod fences {
    use crate::shm::atomic::{Ordering, full_fence};
    #[cfg(all(target_os = "linux", not(miri)))]
    use rustix::thread::{MembarrierCommand, membarrier};

    /// Has this process heed the heavy fences of other processes; whether it does, and can order
    /// such fences itself. The first time takes a process of several threads some milliseconds.
    #[cfg(all(target_os = "linux", not(miri)))]
    pub(crate) fn register() -> bool {
        membarrier(MembarrierCommand::RegisterGlobalExpedited).is_ok()
            && membarrier(MembarrierCommand::GlobalExpedited).is_ok()
    }

    #[cfg(not(all(target_os = "linux", not(miri))))]
    pub(crate) fn register() -> bool {
        false
    }

    /// The half of who comes often, between the announcement and the look; only in a process that
    /// has registered.
    #[inline]
    pub(crate) fn light_fence() {
        core::sync::atomic::compiler_fence(Ordering::SeqCst);
    }

    /// The half of who comes rarely, between the announcement and the look; only where [`register`]
    /// gave true.
    pub(crate) fn heavy_fence() {
        // The compiler is not told that the system call has to do with memory.
        full_fence();
        #[cfg(all(target_os = "linux", not(miri)))]
        // The manual page again: with these flags the call "is guaranteed to always return the same value until
        // reboot", so it works for who has registered. A sandbox that forbids it later leaves no way to go on.
        membarrier(MembarrierCommand::GlobalExpedited)
            .expect("the kernel runs barriers as it did when this process registered for them");
        full_fence();
    }
}

/// The model's fences. A light fence of the model is no barrier against anything but heavy fences,
/// so that a heavy one which is forgotten fails the model: both are exchanges of one word, which
/// come in some order. A light one that comes first has what its thread did before it seen by the
/// heavy one's thread; one that comes later sees what the other thread did before the heavy one.
/// Those are the two cases of the kernel's barrier.
#[cfg(loom)]
mod fences {
    use crate::shm::atomic::{AtomicU32, Ordering, full_fence};

    loom::lazy_static! {
        static ref FENCES: AtomicU32 = AtomicU32::new(0);
    }

    pub(crate) fn register() -> bool {
        true
    }

    pub(crate) fn light_fence() {
        FENCES.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn heavy_fence() {
        full_fence();
        FENCES.fetch_add(1, Ordering::AcqRel);
        full_fence();
    }
}
