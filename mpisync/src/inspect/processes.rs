//! The processes of this user, and the shared memory whose descriptors they have open (proc(5)).

use crate::inspect::report::Unreadable;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// What there is on this node.
#[derive(Default)]
pub(super) struct Found {
    /// Files that may be mpisync's, each once, with a process that has it open.
    pub(super) files: Vec<(File, u32)>,
    pub(super) unreadable: Vec<Unreadable>,
    /// The number of processes of other users.
    pub(super) others: usize,
}

/// Where shared memory is, also after its name is gone.
const SHARED_MEMORY: &str = "/dev/shm/";

/// Looks at all processes.
///
/// # Errors
/// Why they cannot be listed.
pub(super) fn find() -> Result<Found, String> {
    let no_table =
        |error| format!("/proc cannot be read ({error}); it shows the processes on Linux only");
    let (mut found, mut seen) = (Found::default(), BTreeSet::new());
    let own = fs::metadata("/proc/self").map_err(no_table)?.uid();
    for entry in fs::read_dir("/proc").map_err(no_table)? {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        match entry.metadata() {
            Ok(data) if data.uid() == own => found.look_at(process, &entry.path(), &mut seen),
            Ok(_) => found.others += 1,
            // It has ended.
            Err(_) => {}
        }
    }
    Ok(found)
}

impl Found {
    /// Adds the files of a process that are not in `seen`.
    fn look_at(&mut self, process: u32, path: &Path, seen: &mut BTreeSet<(u64, u64)>) {
        let descriptors = match fs::read_dir(path.join("fd")) {
            Ok(descriptors) => descriptors,
            Err(error) => return self.fail(process, &error),
        };
        for descriptor in descriptors.flatten() {
            let path = descriptor.path();
            let is_shared = fs::read_link(&path).is_ok_and(|to| to.starts_with(SHARED_MEMORY));
            // Only of regular files is it known that to open them has no effect.
            let data = fs::metadata(&path).ok().filter(|_| is_shared);
            let Some(data) = data.filter(fs::Metadata::is_file) else {
                continue;
            };
            if !seen.insert((data.dev(), data.ino())) {
                continue;
            }
            let nonblocking = libc::O_NONBLOCK;
            let mut options = File::options();
            match options.read(true).custom_flags(nonblocking).open(&path) {
                Ok(file) => self.files.push((file, process)),
                Err(error) => {
                    // Another process may have it too.
                    seen.remove(&(data.dev(), data.ino()));
                    self.fail(process, &error);
                }
            }
        }
    }

    fn fail(&mut self, process: u32, error: &std::io::Error) {
        let reason = match error.kind() {
            // It has ended meanwhile.
            ErrorKind::NotFound => return,
            _ if error.raw_os_error() == Some(libc::ESRCH) => return,
            ErrorKind::PermissionDenied => {
                "no permission to see its descriptors; run this program as the same user, and in the same container"
                    .to_owned()
            }
            _ => format!("its descriptors cannot be read: {error}"),
        };
        let is_known = |it: &Unreadable| it.process == process;
        if !self.unreadable.iter().any(is_known) {
            self.unreadable.push(unreadable(process, reason));
        }
    }
}

/// An entry for a process that cannot be read.
pub(super) fn unreadable(process: u32, reason: String) -> Unreadable {
    Unreadable {
        process,
        program: program(process),
        reason,
    }
}

/// The name of a process's program; empty if not known.
pub(super) fn program(process: u32) -> String {
    let executable = fs::read_link(format!("/proc/{process}/exe")).ok();
    let name = executable.as_deref().and_then(Path::file_name);
    let short = || fs::read_to_string(format!("/proc/{process}/comm")).ok();
    let name = name.map(|name| name.to_string_lossy().into_owned());
    let name = name.or_else(short).unwrap_or_default();
    name.trim_end().to_owned()
}

/// The name of this node.
pub(super) fn host_name() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
