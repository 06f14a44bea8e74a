//! A barrier whose rare side pays for both sides.
//!
//! In a handshake in which each side announces itself and then checks the other, both sides need a
//! store-load barrier. If one side runs a thousand times as often as the other, it can do without:
//! its half, [`light_fence`], only keeps the compiler from swapping the two steps. The other side's
//! half, [`heavy_fence`], has the kernel run a full barrier on every core that runs a thread of the
//! first side. If that barrier comes before the light side's check, the check finds what the heavy
//! side has announced; if it comes after, the heavy side finds the light side's announcement. This
//! is the asymmetric form of Dekker's handshake (Dice, Huang and Yang, "Asymmetric Dekker
//! Synchronization", 2001), called `asymmetric_thread_fence_light` and `_heavy` in C++'s second
//! technical specification on concurrency (P1202).
//!
//! On Linux it is `membarrier` with `MEMBARRIER_CMD_GLOBAL_EXPEDITED`. By its manual page,
//! membarrier(2), all running threads of the processes that have registered have been "through a
//! state where all memory accesses to user-space addresses match program order between entry to and
//! return from the system call (non-running threads are de facto in such a state)".

pub(crate) use crate::shm::machine::{heavy_fence, light_fence, register};
