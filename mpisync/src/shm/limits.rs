//! How much memory is available on this node.
//!
//! The pages of shared memory are allocated when it is made, and a container or batch system may
//! enforce a limit by killing the process. So the limits are checked first. Allocations that other
//! processes make at the same time are not taken into account.

use crate::error::{CreateError, MemoryLimit};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Requests below this are not checked.
const SMALL: u64 = 1 << 20;

/// There is less memory than requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shortage {
    pub(crate) asked: u64,
    pub(crate) available: u64,
    pub(crate) limit: MemoryLimit,
}

impl Shortage {
    /// The error for this rank of the node.
    pub(crate) fn on(self, rank: i32) -> CreateError {
        let Shortage {
            asked,
            available,
            limit,
        } = self;
        CreateError::NoRoom {
            rank,
            asked,
            available,
            limit,
        }
    }
}

/// Checks whether shared memory of `length` bytes can be made, of which `reserved` are allocated.
pub(crate) fn check_shared(length: usize, reserved: usize) -> Result<(), Shortage> {
    let asked = length as u64;
    // The kernel kills a process that exceeds it by a signal, however small the request.
    if let Some(available) = file_size().filter(|available| *available < asked) {
        return Err(Shortage {
            asked,
            available,
            limit: MemoryLimit::FileSize,
        });
    }
    check(reserved, true)
}

/// Checks whether `asked` bytes of private memory are available.
pub(crate) fn check_private(asked: usize) -> Result<(), Shortage> {
    check(asked, false)
}

fn check(asked: usize, shared: bool) -> Result<(), Shortage> {
    let asked = asked as u64;
    if asked < SMALL {
        return Ok(());
    }
    let shared_memory = shared.then(shared_memory).flatten();
    let bounds = [
        (MemoryLimit::SharedMemory, shared_memory),
        (MemoryLimit::ControlGroup, control_groups(Path::new("/"))),
        (MemoryLimit::Machine, machine(Path::new("/"))),
    ];
    for (limit, available) in bounds {
        if let Some(available) = available
            && available < asked
        {
            return Err(Shortage {
                asked,
                available,
                limit,
            });
        }
    }
    Ok(())
}

/// The largest file that this process may make, if there is a limit. Shared memory is a file to the
/// kernel.
fn file_size() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Fsize).current
}

/// The space left in `/dev/shm`.
fn shared_memory() -> Option<u64> {
    let stat = rustix::fs::statvfs("/dev/shm").ok()?;
    // One without a limit reports no blocks.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// The memory that the machine can give without killing a process.
pub(super) fn machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kibibytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let available = kibibytes("MemAvailable:")?;
    let swap = kibibytes("SwapFree:").unwrap_or(0);
    Some((available + swap) * 1024)
}

/// The memory that the control groups of this process leave, of either version.
pub(super) fn control_groups(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = root.join("sys/fs/cgroup");
    let left = |line: &str| -> Option<u64> {
        // The fields are a number, the controllers and the path.
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (mount, files) = if controllers.is_empty() {
            (mounts.clone(), &UNIFIED)
        } else if controllers.split(',').any(|name| name == "memory") {
            (mounts.join("memory"), &LEGACY)
        } else {
            return None;
        };
        // The limits of the parent groups apply too. A container may hide them.
        let mut group: PathBuf = mount.join(path.trim_start_matches('/'));
        let mut least = None;
        while group.starts_with(&mount) {
            least = least.into_iter().chain(files.left(&group)).min();
            group.pop();
        }
        least
    };
    groups.lines().filter_map(left).min()
}

/// The names of the files of a control group.
struct Files {
    limit: &'static str,
    usage: &'static str,
    /// Pages of files, which the kernel reclaims when it needs memory.
    caches: [&'static str; 2],
}

const UNIFIED: Files = Files {
    limit: "memory.max",
    usage: "memory.current",
    caches: ["inactive_file ", "active_file "],
};
const LEGACY: Files = Files {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    caches: ["total_inactive_file ", "total_active_file "],
};

impl Files {
    /// The memory that the group leaves, if it has a limit.
    fn left(&self, group: &Path) -> Option<u64> {
        let number = |file: &str| -> Option<u64> {
            let text = fs::read_to_string(group.join(file)).ok()?;
            text.trim().parse().ok()
        };
        // "max" is not a number.
        let limit = number(self.limit)?;
        let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let cached = |name: &&str| {
            let line = stat.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse::<u64>().ok()
        };
        let cached: u64 = self.caches.iter().filter_map(cached).sum();
        let used = number(self.usage)?.saturating_sub(cached);
        Some(limit.saturating_sub(used))
    }
}
