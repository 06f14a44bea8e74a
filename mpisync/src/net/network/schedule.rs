//! The scheduling of the progress thread.

/// Asks the scheduler for short time slices for this thread, or for the usual ones again.
///
/// A thread that wakes up with a shorter slice than the running thread's gets the core at once. So
/// a rank that computes on the only free core does not delay other nodes by the rest of its slice,
/// some milliseconds. Linux does this from version 6.12 on (sched_setattr(2), `sched_runtime`), for
/// any user; elsewhere nothing changes.
pub(super) fn set_short_slices(short: bool) {
    /// The shortest slice, in nanoseconds.
    const SHORT: u64 = 100_000;
    // Zero stands for the usual slice.
    let runtime = if short { SHORT } else { 0 };
    #[cfg(target_os = "linux")]
    {
        /// The kernel's `struct sched_attr` in its first version.
        #[repr(C)]
        struct Attributes {
            size: u32,
            policy: u32,
            flags: u64,
            nice: i32,
            priority: u32,
            runtime: u64,
            deadline: u64,
            period: u64,
        }
        let attributes = Attributes {
            size: size_of::<Attributes>() as u32,
            policy: libc::SCHED_OTHER as u32,
            flags: 0,
            nice: 0,
            priority: 0,
            runtime,
            deadline: 0,
            period: 0,
        };
        // SAFETY: the structure is as long as it says and lives through the call, which changes
        // this thread only. If the kernel refuses, nothing changes.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = runtime;
}
