//! Ends a launcher together with everything that it started.

use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// How long a launcher has for ending its ranks by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Ends `launcher`, which leads a process group of its own, and all processes below it.
pub(crate) fn kill(launcher: &mut Child) {
    let pid = launcher.id();
    // Ranks may have process groups of their own, and lose their parent with the launcher: list them first.
    let family = descendants(pid);
    signal_group(pid, libc::SIGTERM);
    let deadline = Instant::now() + GRACE;
    while Instant::now() < deadline && launcher.try_wait().is_ok_and(|status| status.is_none()) {
        thread::sleep(Duration::from_millis(20));
    }
    signal_group(pid, libc::SIGKILL);
    for (member, start) in family {
        // The start time tells a process from a later one with the same id.
        if start_time(member) == Some(start) {
            // SAFETY: plain system call; the process is one that this launcher started.
            unsafe { libc::kill(member as i32, libc::SIGKILL) };
        }
    }
    launcher.wait().expect("the launcher is our child");
}

/// Whether a process runs; one that is dead but that its parent has not asked about does not.
pub fn is_running(process: u32) -> bool {
    fields(process).is_some_and(|fields| !fields.starts_with('Z'))
}

fn signal_group(pid: u32, signal: i32) {
    // SAFETY: plain system call; the group is the one made for this launcher.
    unsafe { libc::kill(-(pid as i32), signal) };
}

/// All processes below `root` with their start times.
fn descendants(root: u32) -> Vec<(u32, u64)> {
    let processes: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    let mut family = vec![root];
    // A parent may be listed after its child, so go round until nothing is added.
    loop {
        let before = family.len();
        for &process in &processes {
            let parent = stat(process, PARENT).map(|id| id as u32);
            if !family.contains(&process) && parent.is_some_and(|id| family.contains(&id)) {
                family.push(process);
            }
        }
        if family.len() == before {
            break;
        }
    }
    family
        .into_iter()
        .skip(1)
        .filter_map(|process| Some((process, start_time(process)?)))
        .collect()
}

/// Fields of `/proc/PID/stat`, counted from the state, which follows the name.
const PARENT: usize = 1;
const START_TIME: usize = 19;

fn start_time(process: u32) -> Option<u64> {
    stat(process, START_TIME)
}

fn stat(process: u32, field: usize) -> Option<u64> {
    fields(process)?.split_whitespace().nth(field)?.parse().ok()
}

fn fields(process: u32) -> Option<String> {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name is in parentheses and may itself hold blanks and parentheses.
    let (_, fields) = line.rsplit_once(')')?;
    Some(fields.trim_start().to_owned())
}
