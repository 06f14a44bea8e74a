//! Directories for the states of tasks, and their file systems.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use mpi::traits::*;

use crate::team::Team;

/// A directory that does not exist yet, for one round of one subject. All ranks know its name.
pub struct Folders {
    root: PathBuf,
}

impl Folders {
    /// Finds an unused name in `parent`. Collective.
    pub fn new(parent: &Path, team: &Team) -> Self {
        let number = team.max(if team.rank() == 0 {
            u64::from(std::process::id())
        } else {
            0
        });
        let root = parent.join(format!("mpisync-bench-batch-{number}"));
        Self { root }
    }

    /// The path of the directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Waits until the file system has written all changes to the disk. Collective.
    pub fn settle(&self, team: &Team) {
        if team.rank() == 0 {
            flush(&self.root);
        }
        team.world().barrier();
    }

    /// Removes the directory and waits until the removal is on the disk. Collective.
    pub fn remove(self, team: &Team) {
        if team.rank() == 0 {
            fs::remove_dir_all(&self.root).expect("the directory can be removed");
            flush(self.root.parent().expect("it is in another one"));
        }
        team.world().barrier();
    }
}

fn flush(directory: &Path) {
    let directory = File::open(directory).expect("the directory can be opened");
    rustix::fs::syncfs(directory).expect("the file system can be flushed");
}

/// The type of the file system of a directory, as the kernel names it.
pub fn kind(directory: &Path) -> Option<String> {
    let directory = fs::canonicalize(directory).ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    kind_among(&mounts, &directory).map(str::to_owned)
}

fn kind_among<'a>(mounts: &'a str, directory: &Path) -> Option<&'a str> {
    mounts
        .lines()
        .filter_map(|line| {
            let (place, kind) = line.split_once(" - ")?;
            let place = place.split(' ').nth(4)?;
            directory.starts_with(place).then_some(())?;
            Some((place.len(), kind.split(' ').next()?))
        })
        // Of two mounts at the same place the later one counts.
        .max_by_key(|&(length, _)| length)
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_mount_counts() {
        let mounts = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
23 22 0:5 / /dev rw,nosuid - devtmpfs udev rw\n\
24 23 0:22 / /dev/shm rw - tmpfs tmpfs rw\n\
25 22 0:40 / /home rw master:7 - nfs4 server:/home rw\n";
        let kind = |path| kind_among(mounts, Path::new(path));
        assert_eq!(kind("/homes/me"), Some("ext4"));
        assert_eq!(kind("/home/me"), Some("nfs4"));
        assert_eq!(kind("/dev/shm/x"), Some("tmpfs"));
        assert!(super::kind(&std::env::temp_dir()).is_some());
    }
}
