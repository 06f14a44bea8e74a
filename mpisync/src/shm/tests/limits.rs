use crate::error::MemoryLimit;
use crate::shm::limits::{Shortage, check_shared, control_groups, machine};
use std::fs;
use std::path::PathBuf;

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
    let short = check_shared(1 << 50, 1 << 50).expect_err("a pebibyte");
    assert_eq!(short.asked, 1 << 50);
    assert!(short.available < 1 << 50);
    assert_eq!(check_shared(4096, 4096), Ok(()));
}

#[test]
fn the_error_of_a_full_dev_shm_names_the_option_of_containers() {
    let text = |limit| {
        let shortage = Shortage {
            asked: 2,
            available: 1,
            limit,
        };
        shortage.on(0).to_string()
    };
    let shared = text(MemoryLimit::SharedMemory);
    assert!(shared.contains("left in /dev/shm"), "{shared}");
    assert!(shared.contains("--shm-size"), "{shared}");
    let machine = text(MemoryLimit::Machine);
    assert!(!machine.contains("--shm-size"), "{machine}");
}
