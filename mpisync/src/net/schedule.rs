//! How the system's scheduler treats the progress thread.

/// Asks the scheduler for short time slices for this thread, or for the usual ones again.
///
/// A thread that wakes with a shorter slice than the one that runs takes the core at once, so that
/// a rank which computes on the only free core does not keep other nodes waiting for the rest of
/// its slice, some milliseconds. Linux 6.12 and later do so (sched_setattr(2), `sched_runtime`) for
/// any user; elsewhere nothing changes.
pub(super) fn set_short_slices(short: bool) {
    /// The shortest that there is, in nanoseconds.
    const SHORT: u64 = 100_000;
    // Zero stands for the usual one.
    let runtime = if short { SHORT } else { 0 };
    #[cfg(target_os = "linux")]
    {
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
        // SAFETY: the structure is as long as it says, and lives through the call, which changes this thread only. Where
        // the kernel refuses, all stays as it was.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = runtime;
}

/// The kernel's `struct sched_attr` in its first version.
#[cfg(target_os = "linux")]
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
