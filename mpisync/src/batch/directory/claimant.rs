//! Who has made a claim, and whether that one lives.

use crate::shm::process::Process;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Who runs a task.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Claimant {
    /// The name of the host; empty where the job has just come and has not said yet.
    pub host: String,
    /// The process on that host; 0 where it has not said yet.
    pub pid: u32,
    /// How long ago it gave its last heartbeat.
    pub age: Duration,
}

impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Claimant { host, pid, age } = self;
        match host.as_str() {
            "" => write!(f, "a job that has just come")?,
            host => write!(f, "process {pid} on {host}")?,
        }
        write!(f, " (last heartbeat {} s ago)", age.as_secs())
    }
}

/// What a claim says of the process that made it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Owner {
    pub(super) host: String,
    /// Which start of which machine: no two have the same. Empty where that is not known.
    boot: String,
    /// In which numbers of processes `process` is one. Empty where that is not known.
    namespace: String,
    pub(super) process: Process,
}

impl Owner {
    /// This process.
    pub(super) fn this() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        let namespace = std::fs::read_link("/proc/self/ns/pid");
        let host = rustix::system::uname();
        Owner {
            host: word(&host.nodename().to_string_lossy()),
            boot: word(&boot.unwrap_or_default()),
            namespace: word(&namespace.unwrap_or_default().to_string_lossy()),
            process: Process::this(),
        }
    }

    /// What a claim holds.
    pub(super) fn text(&self) -> String {
        let Owner {
            host,
            boot,
            namespace,
            process: Process { id, born },
        } = self;
        format!("host {host}\nboot {boot}\nnamespace {namespace}\npid {id}\nborn {born}\n")
    }

    /// Reads that; `None` where it is not all there.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
        let owner = Owner {
            // Anybody may have written it, and it is shown to people.
            host: word(value("host")?),
            boot: value("boot")?.to_owned(),
            namespace: value("namespace")?.to_owned(),
            process: Process {
                id: value("pid")?.parse().ok()?,
                born: value("born")?.parse().ok()?,
            },
        };
        lines.next().is_none().then_some(owner)
    }

    /// A part of a file's name that no other call anywhere returns.
    pub(super) fn unique_name(&self) -> String {
        // Processes in containers may have the same host and number.
        let random = RandomState::new().build_hasher().finish();
        format!("{}.{}.{random:x}", self.host, self.process.id)
    }

    /// Whether it has surely ended, which only processes on the same host can tell.
    pub(super) fn is_gone(&self, this: &Owner) -> bool {
        let is_known = !self.boot.is_empty() && !self.namespace.is_empty();
        let is_near = self.boot == this.boot && self.namespace == this.namespace;
        is_known && is_near && !self.process.is_alive()
    }
}

/// One word of it, for it is a line of a file, and part of the name of another one.
fn word(text: &str) -> String {
    let text = text.trim().chars().take(64);
    text.map(|char| match char {
        '/' | '\0' => '_',
        char if char.is_whitespace() || char.is_control() => '_',
        char => char,
    })
    .collect()
}

/// A text on one line, without the characters that do things to a terminal.
pub(super) fn without_controls(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        match char.is_control() {
            true => line.extend(char.escape_default()),
            false => line.push(char),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_read_as_it_was_written_and_only_when_it_is_whole() {
        let owner = Owner::this();
        let text = owner.text();
        assert_eq!(Owner::read(&text), Some(owner));
        for length in 0..text.len() {
            assert_eq!(Owner::read(&text[..length]), None, "{:?}", &text[..length]);
        }
        assert_eq!(Owner::read(&format!("{text}more\n")), None);
        assert_eq!(Owner::read(&text.replace("pid ", "pid x")), None);
    }

    #[test]
    fn only_what_is_near_can_be_known_to_be_gone() {
        let this = Owner::this();
        assert!(!this.is_gone(&this));
        let mut gone = this.clone();
        gone.process.born += 1;
        assert!(gone.is_gone(&this));
        let changes: [fn(&mut Owner); 3] = [
            |owner| owner.boot.push('x'),
            |owner| owner.namespace.push('x'),
            |owner| owner.boot.clear(),
        ];
        for change in changes {
            let mut far = gone.clone();
            change(&mut far);
            assert!(!far.is_gone(&this));
        }
        let mut nowhere = gone.clone();
        nowhere.boot.clear();
        assert!(!nowhere.is_gone(&nowhere.clone()));
    }

    #[test]
    fn names_of_hosts_fit_into_a_line_and_into_a_name() {
        assert_eq!(word(" node 1/a\n"), "node_1_a");
        assert_eq!(word(&"x".repeat(300)).len(), 64);
    }
}
