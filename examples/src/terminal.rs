//! Finds the terminal that a progress bar may be drawn on.
//!
//! A process that mpiexec started writes its standard error into a pipe, which mpiexec copies to its own. Whether
//! a person is looking is therefore a question about mpiexec's standard error, not ours.

use std::{
    fs::{self, File},
    io::IsTerminal,
    os::unix::process::parent_id,
};

use console::Term;

/// How the launchers and their helper processes are called, by their beginnings.
const LAUNCHERS: [&str; 6] = ["mpirun", "mpiexec", "orterun", "prterun", "prted", "hydra_"];

/// The terminal behind this process's standard error, looked at through MPI's launcher; none where the output
/// goes to a file or a pipe, or the launcher runs on another host.
pub(crate) fn stderr() -> Option<Term> {
    if std::io::stderr().is_terminal() {
        return Some(Term::buffered_stderr());
    }
    let mut pid = parent_id();
    while let Some(process) = Process::of(pid).filter(Process::is_launcher) {
        let stderr = File::options()
            .read(true)
            .write(true)
            .open(format!("/proc/{pid}/fd/2"));
        if let Ok(stderr) = stderr
            && stderr.is_terminal()
        {
            return Some(Term::read_write_pair(stderr.try_clone().ok()?, stderr));
        }
        pid = process.parent;
    }
    None
}

/// What Linux tells about a running process.
struct Process {
    name: String,
    parent: u32,
}

impl Process {
    fn of(pid: u32) -> Option<Process> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim())
        };
        Some(Process {
            name: field("Name:")?.to_owned(),
            parent: field("PPid:")?.parse().ok()?,
        })
    }

    fn is_launcher(&self) -> bool {
        LAUNCHERS
            .iter()
            .any(|launcher| self.name.starts_with(launcher))
    }
}
