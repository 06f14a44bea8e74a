//! Finds the terminal on which a progress bar may be drawn.
//!
//! A process that was started by mpiexec writes its standard error into a pipe, which mpiexec
//! copies to its own. So the standard error of mpiexec, not that of this process, shows whether
//! there is a terminal.

use std::{
    fs::{self, File},
    io::IsTerminal,
    os::unix::process::parent_id,
};

use console::Term;

/// The beginnings of the names of the launchers and of their helper processes.
const LAUNCHERS: [&str; 6] = ["mpirun", "mpiexec", "orterun", "prterun", "prted", "hydra_"];

/// The terminal behind this process's standard error, found through MPI's launcher; None if the
/// output goes to a file or a pipe, or the launcher runs on another host.
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

/// Linux's data of a running process.
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
