//! The system calls of Linux.

use crate::shm::membarrier::Reach;
use crate::shm::process::Activity;
use core::sync::atomic::AtomicU32;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FallocateFlags, Mode, OFlags, fallocate, linkat, open};
use rustix::io;
use rustix::io::Errno;
use rustix::thread::{MembarrierCommand, futex, membarrier, membarrier_query};
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Sleeps for at most `sleep_time`; returns at once if the word differs from `seen`.
pub(crate) fn futex_wait(word: &AtomicU32, seen: u32, sleep_time: Duration) {
    let timeout = futex::Timespec {
        tv_sec: sleep_time.as_secs() as _,
        tv_nsec: sleep_time.subsec_nanos().into(),
    };
    // Woken, timed out, interrupted or too late: the caller checks its condition in every case.
    let _ = futex::wait(word, futex::Flags::empty(), seen, Some(&timeout));
}

/// Wakes at most `count` sleepers.
pub(crate) fn futex_wake(word: &AtomicU32, count: u32) {
    // Fails only for a word that is not mapped, and this one is borrowed.
    let _ = futex::wake(word, futex::Flags::empty(), count);
}

/// [`futex_wait`] on several words, with the value of each that was seen.
pub(crate) fn futex_wait_any<'a>(
    words: impl Iterator<Item = (&'a AtomicU32, u32)>,
    sleep_time: Duration,
) {
    /// The most words that the system call takes.
    const MOST: usize = 128;
    let waits: Vec<futex::Wait> = words
        .take(MOST)
        .map(|(word, seen)| {
            let mut wait = futex::Wait::new();
            wait.val = u64::from(seen);
            wait.uaddr = futex::WaitPtr::new(word.as_ptr().cast());
            wait.flags = futex::WaitFlags::SIZE_U32;
            wait
        })
        .collect();
    let now = clock_gettime(ClockId::Monotonic);
    let nanos = now.tv_nsec + i64::from(sleep_time.subsec_nanos());
    let until = futex::Timespec {
        tv_sec: now.tv_sec + sleep_time.as_secs() as i64 + nanos / 1_000_000_000,
        tv_nsec: nanos % 1_000_000_000,
    };
    let flags = futex::WaitvFlags::empty();
    let slept = futex::waitv(&waits, flags, Some(&until), ClockId::Monotonic);
    if matches!(slept, Err(Errno::NOSYS | Errno::PERM)) {
        // Before Linux 5.16.
        std::thread::sleep(sleep_time);
    }
}

/// Whether this process can run a full barrier on every core that runs a thread within `reach`.
pub(crate) fn can_run_barrier(reach: Reach) -> bool {
    match reach {
        Reach::Process => {
            membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
                && membarrier(MembarrierCommand::PrivateExpedited).is_ok()
        }
        // Not tried, because it takes milliseconds. Where cores run without the scheduler's clock (`nohz_full`), the
        // kernel does not have it.
        Reach::Machine => membarrier_query().contains_command(MembarrierCommand::Global),
    }
}

/// Runs a full barrier on every core that runs a thread within `reach`.
pub(crate) fn run_barrier(reach: Reach) {
    let command = match reach {
        Reach::Process => MembarrierCommand::PrivateExpedited,
        Reach::Machine => MembarrierCommand::Global,
    };
    // membarrier(2): with these flags the call "is guaranteed to always return the same value until
    // reboot". If a sandbox forbids it later, there is no way to go on.
    membarrier(command).expect("the kernel runs barriers as it did when this process asked for it");
}

/// State letter and start time of a process, fields 3 and 22 of `/proc/ID/stat` (proc(5)).
pub(crate) fn process_state(id: u32) -> std::io::Result<(u8, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let fields = || {
        let mut fields = fields_from_state(&stat)?;
        let state = *fields.next()?.as_bytes().first()?;
        Some((state, fields.nth(18)?.parse().ok()?))
    };
    fields().ok_or(std::io::ErrorKind::InvalidData.into())
}

/// The fields of `/proc/ID/stat` from the third one on.
fn fields_from_state(stat: &str) -> Option<impl Iterator<Item = &str>> {
    // The second field, the program's name in brackets, may itself contain blanks and brackets.
    Some(stat[stat.rfind(')')? + 1..].split_ascii_whitespace())
}

/// What a process is doing; None if it cannot be looked at.
pub(crate) fn process_activity(id: u32) -> Option<Activity> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let mut fields = fields_from_state(&stat)?;
    let state = *fields.next()?.as_bytes().first()?;
    // Fields 14 and 15, in user mode and in the kernel.
    let (user, kernel): (u64, u64) = (fields.nth(10)?.parse().ok()?, fields.next()?.parse().ok()?);
    let function = std::fs::read_to_string(format!("/proc/{id}/wchan")).unwrap_or_default();
    Some(Activity {
        state,
        // Linux counts in hundredths of a second everywhere (`USER_HZ`, time(7)).
        cpu_time: Duration::from_millis(10 * (user + kernel)),
        // "0" if the process runs, or if this process may not know.
        sleeps_in: function.trim_matches('0').to_owned(),
    })
}

/// A new file in `/dev/shm` without a name, which goes away with its last descriptor.
pub(crate) fn unnamed_file() -> io::Result<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    open("/dev/shm", flags, Mode::RUSR | Mode::WUSR)
}

/// Gives an [`unnamed_file`] a name for `shm_open`.
pub(crate) fn give_name(file: &OwnedFd, name: &str) -> io::Result<()> {
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    let path = format!("/dev/shm{name}");
    linkat(CWD, &unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW)
}

/// Opens the descriptor of another process whose position is `token`.
pub(crate) fn open_descriptor(process: u32, descriptor: u32, token: u64) -> io::Result<OwnedFd> {
    // The number may be that of another process, if this one is in another PID namespace. What that
    // process has open must not be opened: that may have effects.
    let info = std::fs::read_to_string(format!("/proc/{process}/fdinfo/{descriptor}"));
    let info = info.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    let position = info.lines().find_map(|line| line.strip_prefix("pos:"));
    if position.and_then(|position| position.trim().parse().ok()) != Some(token) {
        return Err(Errno::NOENT);
    }
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    open(
        format!("/proc/{process}/fd/{descriptor}"),
        flags,
        Mode::empty(),
    )
}

/// The number of this process's PID namespace.
pub(crate) fn pid_namespace() -> Option<u64> {
    let link = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let number = link.to_str()?.strip_prefix("pid:[")?.strip_suffix(']')?;
    number.parse().ok()
}

/// Locks a byte of the file for its open file description.
pub(crate) fn lock_byte(file: &OwnedFd, at: u64) -> io::Result<()> {
    byte_lock(file, at, libc::F_OFD_SETLK).map(drop)
}

/// Whether another open file description has locked this byte.
pub(crate) fn is_byte_locked(file: &OwnedFd, at: u64) -> io::Result<bool> {
    let lock = byte_lock(file, at, libc::F_OFD_GETLK)?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

fn byte_lock(file: &OwnedFd, at: u64, command: libc::c_int) -> io::Result<libc::flock> {
    // SAFETY: plain data, for which zeros are a value; the kernel wants the process to be 0.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_whence = libc::SEEK_SET as _;
    (lock.l_start, lock.l_len) = (at as _, 1);
    // SAFETY: an open descriptor, and a structure that the kernel reads and writes during the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) } {
        -1 => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
        _ => Ok(lock),
    }
}

/// Reserves the memory of a shared file.
pub(crate) fn reserve(file: &OwnedFd, length: usize) -> io::Result<()> {
    io::retry_on_intr(|| fallocate(file, FallocateFlags::empty(), 0, length as u64))
}

/// The addresses of the executable's memory that this process only reads, if `anchor` is a part of the
/// executable (proc(5), `/proc/PID/maps`).
pub(crate) fn read_only_memory(anchor: u64) -> Option<Vec<std::ops::Range<u64>>> {
    let executable = std::fs::read_link("/proc/self/exe").ok()?;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let (mut has_anchor, mut read_only) = (false, Vec::new());
    for line in maps.lines() {
        // Addresses, permissions, offset, device, inode, and the path after blanks.
        let mut fields = line.splitn(6, ' ');
        let (addresses, permissions) = (fields.next()?, fields.next()?);
        let path = fields.nth(3).unwrap_or_default().trim_start();
        if std::path::Path::new(path) != executable {
            continue;
        }
        let (start, end) = addresses.split_once('-')?;
        let parse = |address| u64::from_str_radix(address, 16).ok();
        let range = parse(start)?..parse(end)?;
        has_anchor |= range.contains(&anchor);
        if permissions.starts_with("r-") {
            read_only.push(range);
        }
    }
    has_anchor.then_some(read_only)
}

/// Numbers that differ between executable files, and between versions of one.
pub(crate) fn executable_version() -> Option<[u64; 5]> {
    use std::os::unix::fs::MetadataExt;
    let file = std::fs::metadata("/proc/self/exe").ok()?;
    let changed = [file.mtime() as u64, file.mtime_nsec() as u64];
    Some([file.dev(), file.ino(), file.len(), changed[0], changed[1]])
}
