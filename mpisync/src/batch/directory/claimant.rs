//! The process that made a claim, and whether it is alive.

use crate::batch::directory::error::DirectoryError;
use crate::batch::directory::file::{Folder, claim_name};
use crate::batch::directory::open::Opened;
use crate::batch::directory::{Shared, step};
use crate::shm::lock;
use crate::shm::process::Process;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The most bytes of a claim that are read; no claim has as many.
const LONGEST: usize = 4096;

/// The process that runs a task.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Claimant {
    /// The name of the host; empty if the claim does not name its process yet.
    pub host: String,
    /// The process on that host; 0 if the claim does not name it yet.
    pub pid: u32,
    /// The age of its last heartbeat.
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

/// The process that made a claim, as the claim names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Owner {
    pub(super) host: String,
    /// The unique number of the machine's last boot. Empty if unknown.
    pub(super) boot: String,
    /// The PID namespace of `process`. Empty if unknown.
    pub(super) namespace: String,
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

    /// The contents of a claim.
    pub(super) fn text(&self) -> String {
        let Owner {
            host,
            boot,
            namespace,
            process: Process { id, born },
        } = self;
        format!("host {host}\nboot {boot}\nnamespace {namespace}\npid {id}\nborn {born}\n")
    }

    /// Reads the contents of a claim; `None` if they are not complete.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let mut value = |key: &str| lines.next()?.strip_prefix(key)?.strip_prefix(' ');
        let owner = Owner {
            // Any user may have written it, and it is printed.
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

    /// A part of a file name that is unique among all calls of all processes.
    pub(super) fn unique_name(&self) -> String {
        // Processes in containers may have the same host name and PID.
        let random = RandomState::new().build_hasher().finish();
        format!("{}.{}.{random:x}", self.host, self.process.id)
    }

    /// Whether it is alive. Only a process on the same host can know that.
    pub(super) fn is_alive(&self, this: &Owner) -> Option<bool> {
        let is_known = !self.boot.is_empty() && !self.namespace.is_empty();
        let is_local = self.boot == this.boot && self.namespace == this.namespace;
        (is_known && is_local).then(|| self.process.is_alive())
    }
}

/// The text as one word of at most 64 characters, fit for a line of a file and for a file name.
pub(super) fn word(text: &str) -> String {
    let text = text.trim().chars().take(64);
    text.map(|char| match char {
        '/' | '\0' => '_',
        char if char.is_whitespace() || char.is_control() => '_',
        char => char,
    })
    .collect()
}

/// The text on one line, with control characters escaped.
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

/// The state of the highest claim of a task; see the module `claim`.
#[derive(Debug)]
pub(super) enum Fate {
    /// Not judged. If there is a claim, the next one cannot be made.
    Unseen,
    /// There is no claim.
    Absent,
    Released,
    Dead,
    Alive(Alive),
}

/// A claim that is alive, as far as is known.
#[derive(Debug)]
pub(super) struct Alive {
    pub(super) claimant: Claimant,
    /// The time of its last heartbeat.
    pub(super) heartbeat: Duration,
    /// Whether its process is known to live.
    pub(super) is_certain: bool,
}

/// A moment before a claim is read.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// The file system's time.
    time: Duration,
    at: Instant,
}

impl Shared {
    /// The number of the highest claim, which is at least `known`, and its state.
    pub(super) fn highest_claim(
        &self,
        folder: &Folder,
        known: u64,
    ) -> Result<(u64, Fate), DirectoryError> {
        let number = folder.last_claim(known)?;
        let fate = match number {
            0 => Fate::Absent,
            number => {
                // Before the claim is read: how long the reading takes must not count as its age.
                let moment = Moment {
                    time: self.now()?,
                    at: Instant::now(),
                };
                match folder.claim(number)? {
                    Some(claim) => {
                        step("the claim is read");
                        self.judge(&claim, folder.path().join(claim_name(number)), moment)?
                    }
                    // It has been removed by hand.
                    None => Fate::Dead,
                }
            }
        };
        Ok((number, fate))
    }

    /// The living process that has the task, if any.
    pub(super) fn claimant(
        &self,
        folder: &Folder,
        known: u64,
    ) -> Result<Option<Claimant>, DirectoryError> {
        match self.highest_claim(folder, known)?.1 {
            Fate::Alive(alive) => Ok(Some(alive.claimant)),
            _ => Ok(None),
        }
    }

    /// Judges a claim that was read after `moment`.
    fn judge(&self, claim: &Opened, path: PathBuf, moment: Moment) -> Result<Fate, DirectoryError> {
        let heartbeat = claim.modified;
        if heartbeat.is_zero() {
            return Ok(Fate::Released);
        }
        let (now, stale_after) = (moment.time, self.options.stale_after);
        // A heartbeat from the future comes from a host whose clock is ahead.
        let age = now.saturating_sub(heartbeat);
        let is_far_ahead = heartbeat.saturating_sub(now) > stale_after;
        if age >= stale_after || (is_far_ahead && self.is_silent(&path, heartbeat, moment.at)) {
            return Ok(Fate::Dead);
        }
        let text = claim.read(LONGEST);
        let text = text.map_err(|error| DirectoryError::io(&path, "read", error))?;
        let owner = Owner::read(&String::from_utf8_lossy(&text));
        let lives = owner
            .as_ref()
            .and_then(|owner| owner.is_alive(self.owner()));
        if lives == Some(false) {
            return Ok(Fate::Dead);
        }
        Ok(Fate::Alive(Alive {
            claimant: Claimant {
                pid: owner.as_ref().map_or(0, |owner| owner.process.id),
                host: owner.map(|owner| owner.host).unwrap_or_default(),
                age,
            },
            heartbeat,
            is_certain: lives == Some(true),
        }))
    }

    /// Whether no other heartbeat has come for `stale_after` since this one was first seen. It was
    /// read after `at`.
    fn is_silent(&self, path: &Path, heartbeat: Duration, at: Instant) -> bool {
        let mut ahead = lock(&self.ahead);
        // The time counts from after the first look until before the last one.
        let seen = (heartbeat, Instant::now());
        let (before, since) = *ahead.entry(path.to_owned()).or_insert(seen);
        if before != heartbeat {
            ahead.insert(path.to_owned(), seen);
            return false;
        }
        at.saturating_duration_since(since) >= self.options.stale_after
    }

    /// The file system's time, or a little before it, which only delays the judgement that a claim
    /// is dead.
    pub(super) fn now(&self) -> Result<Duration, DirectoryError> {
        let recent = self.options.stale_after / 8;
        self.clock.now(&self.root, self.owner(), recent)
    }
}
