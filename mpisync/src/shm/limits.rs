//! How much memory can still be had on this node.
//!
//! Shared memory is taken when it is made, and a container or batch system may have set a limit
//! that only shows when the kernel kills a process. So the limits are looked at before. Whoever
//! takes memory at the same moment is not seen.

use crate::error::{CreateError, MemoryLimit};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Less than this is asked for without looking.
const SMALL: u64 = 1 << 20;

/// There is less memory than was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shortage {
    pub(crate) asked: u64,
    pub(crate) available: u64,
    pub(crate) limit: MemoryLimit,
}

impl Shortage {
    /// The error for a rank of the node.
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

/// Looks whether there are `asked` bytes, in shared memory or the process's own.
pub(crate) fn check(asked: usize, shared: bool) -> Result<(), Shortage> {
    let asked = asked as u64;
    // The kernel ends a process that goes beyond it by a signal, however little it asks for.
    if let Some(available) = file_size().filter(|available| shared && *available < asked) {
        return Err(Shortage {
            asked,
            available,
            limit: MemoryLimit::FileSize,
        });
    }
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

/// The size that this process may give a file, if there is a limit. Shared memory is a file to the
/// kernel.
fn file_size() -> Option<u64> {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Fsize).current
}

/// What is left in `/dev/shm`.
fn shared_memory() -> Option<u64> {
    let stat = rustix::fs::statvfs("/dev/shm").ok()?;
    // One without a limit has no blocks at all.
    (stat.f_blocks > 0).then(|| stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// What the machine can give without killing anybody.
fn machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let kibibytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let available = kibibytes("MemAvailable:")?;
    let swap = kibibytes("SwapFree:").unwrap_or(0);
    Some((available + swap) * 1024)
}

/// What the control groups of this process leave, of either version.
fn control_groups(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = root.join("sys/fs/cgroup");
    let left = |line: &str| -> Option<u64> {
        // A number, the controllers, the path.
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (mount, files) = if controllers.is_empty() {
            (mounts.clone(), &UNIFIED)
        } else if controllers.split(',').any(|name| name == "memory") {
            (mounts.join("memory"), &LEGACY)
        } else {
            return None;
        };
        // The limits of the groups above hold too. In a container these may be out of sight.
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

/// What the files of a control group are called.
struct Files {
    limit: &'static str,
    usage: &'static str,
    /// Pages of files, which the kernel gives up when it needs memory.
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
    /// What the group leaves, if it has a limit.
    fn left(&self, group: &Path) -> Option<u64> {
        let number = |file: &str| -> Option<u64> {
            let text = fs::read_to_string(group.join(file)).ok()?;
            text.trim().parse().ok()
        };
        // "max" is no number.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system with these files, removed with the value.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("mpisync-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
                fs::write(path, text).expect("a file");
            }
            Root(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).expect("made by the test");
        }
    }

    #[test]
    fn the_tightest_group_above_counts() {
        let root = Root::new(
            "unified",
            &[
                ("proc/self/cgroup", "0::/job/step\n"),
                ("sys/fs/cgroup/job/memory.max", "1000\n"),
                ("sys/fs/cgroup/job/memory.current", "900\n"),
                (
                    "sys/fs/cgroup/job/memory.stat",
                    "anon 5\ninactive_file 150\nactive_file 50\n",
                ),
                ("sys/fs/cgroup/job/step/memory.max", "max\n"),
                ("sys/fs/cgroup/job/step/memory.current", "900\n"),
            ],
        );
        assert_eq!(control_groups(&root.0), Some(300));
    }

    #[test]
    fn groups_of_the_first_version_count_too() {
        let root = Root::new(
            "legacy",
            &[
                ("proc/self/cgroup", "4:memory:/a\n1:cpu,cpuacct:/a\n0::/\n"),
                ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "5000"),
                ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1000"),
            ],
        );
        assert_eq!(control_groups(&root.0), Some(4000));
    }

    #[test]
    fn the_machine_has_what_is_available() {
        let root = Root::new(
            "machine",
            &[(
                "proc/meminfo",
                "MemTotal: 9 kB\nMemAvailable:   7 kB\nSwapFree: 1 kB\n",
            )],
        );
        assert_eq!(machine(&root.0), Some(8 << 10));
        assert_eq!(control_groups(&root.0), None);
    }

    #[test]
    fn more_than_the_machine_has_is_short() {
        let short = check(1 << 50, true).expect_err("a pebibyte");
        assert_eq!(short.asked, 1 << 50);
        assert!(short.available < 1 << 50);
        assert_eq!(check(4096, true), Ok(()));
    }
}
