//! Stand-ins for the system calls that only Linux has.

use crate::shm::membarrier::Reach;
use crate::shm::process::Activity;
use core::sync::atomic::{AtomicU32, Ordering};
use rustix::fd::OwnedFd;
use rustix::io;
use std::time::Duration;

pub(crate) fn futex_wait(word: &AtomicU32, seen: u32, sleep_time: Duration) {
    if word.load(Ordering::Acquire) == seen {
        std::thread::sleep(sleep_time);
    }
}

pub(crate) fn futex_wake(_word: &AtomicU32, _count: u32) {}

pub(crate) fn futex_wait_any<'a>(
    _words: impl Iterator<Item = (&'a AtomicU32, u32)>,
    sleep_time: Duration,
) {
    std::thread::sleep(sleep_time);
}

pub(crate) fn can_run_barrier(_reach: Reach) -> bool {
    false
}

pub(crate) fn run_barrier(_reach: Reach) {
    unreachable!("no process can run it");
}

pub(crate) fn process_state(_id: u32) -> std::io::Result<(u8, u64)> {
    Err(std::io::ErrorKind::Unsupported.into())
}

pub(crate) fn process_activity(_id: u32) -> Option<Activity> {
    None
}

pub(crate) fn unnamed_file() -> io::Result<OwnedFd> {
    Err(io::Errno::OPNOTSUPP)
}

pub(crate) fn give_name(_file: &OwnedFd, _name: &str) -> io::Result<()> {
    Err(io::Errno::OPNOTSUPP)
}

pub(crate) fn open_descriptor(_process: u32, _descriptor: u32, _token: u64) -> io::Result<OwnedFd> {
    Err(io::Errno::OPNOTSUPP)
}

pub(crate) fn pid_namespace() -> Option<u64> {
    None
}

pub(crate) fn lock_byte(_file: &OwnedFd, _at: u64) -> io::Result<()> {
    Err(io::Errno::OPNOTSUPP)
}

pub(crate) fn is_byte_locked(_file: &OwnedFd, _at: u64) -> io::Result<bool> {
    Err(io::Errno::OPNOTSUPP)
}

pub(crate) fn reserve(_file: &OwnedFd, _length: usize) -> io::Result<()> {
    Ok(())
}

pub(crate) fn read_only_memory(_anchor: u64) -> Option<Vec<std::ops::Range<u64>>> {
    None
}

pub(crate) fn executable_version() -> Option<[u64; 5]> {
    None
}
