//! The processes that a launch started, also those that have lost their launcher.
//!
//! Ranks may have process groups of their own, and some launchers go away before the last rank does. The test
//! process therefore adopts orphans, so that all that a launch started stays below it.

use std::fs;
use std::process::{self, Child};
use std::ptr;
use std::thread;
use std::time::{Duration, Instant};

/// How long a launcher has for ending its ranks by itself.
const GRACE: Duration = Duration::from_secs(2);

/// From now on processes whose parent has died become children of this one.
pub(crate) fn adopt_orphans() {
    // SAFETY: plain system call; it changes nothing but who the parent of an orphan is.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// Whether `launcher`, which has ended, left running processes behind.
pub(crate) fn has_left_some(launcher: &Child) -> bool {
    !descendants(launcher).is_empty()
}

/// Ends `launcher`, which leads a process group of its own, and all processes that it started.
pub(crate) fn kill(launcher: &mut Child) {
    // SAFETY: plain system call; the group is the one made for this launcher.
    unsafe { libc::kill(-(launcher.id() as i32), libc::SIGTERM) };
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline && launcher.try_wait().is_ok_and(|status| status.is_none()) {
        thread::sleep(Duration::from_millis(20));
    }
    // A process may start another while it is being looked for.
    loop {
        let family = descendants(launcher);
        if family.is_empty() {
            break;
        }
        for member in family {
            // SAFETY: plain system call; the process is a descendant of this one.
            unsafe { libc::kill(member as i32, libc::SIGKILL) };
        }
        // The launcher itself is among them.
        let _ = launcher.try_wait();
        thread::sleep(Duration::from_millis(5));
    }
    launcher.wait().expect("the launcher is our child");
}

/// Whether a process runs; one that is dead but that its parent has not asked about does not.
pub fn is_running(process: u32) -> bool {
    stat(process).is_some_and(|stat| stat.running)
}

/// All running processes below this one; dead ones that were adopted are laid to rest.
fn descendants(launcher: &Child) -> Vec<u32> {
    let me = process::id();
    let processes: Vec<(u32, Stat)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|process| Some((process, stat(process)?)))
        .collect();
    let mut family = vec![me];
    // A parent may be listed after its child, so go round until nothing is added.
    loop {
        let before = family.len();
        for (process, stat) in &processes {
            if family.contains(&stat.parent) && !family.contains(process) {
                family.push(*process);
            }
        }
        if family.len() == before {
            break;
        }
    }
    for (process, stat) in &processes {
        if stat.parent == me && !stat.running && *process != launcher.id() {
            // SAFETY: plain system call on a child that nobody else waits for; its status is not wanted.
            unsafe { libc::waitpid(*process as i32, ptr::null_mut(), libc::WNOHANG) };
        }
    }
    let running = |process: &u32| {
        processes
            .iter()
            .any(|(id, stat)| id == process && stat.running)
    };
    family.into_iter().skip(1).filter(running).collect()
}

/// What `/proc` says of a process.
struct Stat {
    parent: u32,
    running: bool,
}

fn stat(process: u32) -> Option<Stat> {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name is in parentheses and may itself hold blanks and parentheses.
    let (_, fields) = line.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    Some(Stat {
        parent,
        running: !matches!(state, "Z" | "X"),
    })
}
