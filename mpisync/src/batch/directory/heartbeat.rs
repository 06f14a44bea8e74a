//! The heartbeats of this process's claims.
//!
//! A thread gives them, so that they continue while the process computes. It only accesses the file
//! system.

use crate::shm::lock;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
use rustix::io::retry_on_intr;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The shortest time between two heartbeats.
const SHORTEST: Duration = Duration::from_millis(1);

/// The heartbeats of all claims of a directory object.
#[derive(Debug)]
pub(super) struct Heartbeats {
    period: Duration,
    /// For how long a claim gets heartbeats.
    limit: Option<Duration>,
    shared: Arc<Shared>,
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    claims: Mutex<Claims>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Claims {
    held: Vec<Arc<Heartbeat>>,
    has_ended: bool,
}

/// The heartbeat of one claim.
#[derive(Debug)]
pub(super) struct Heartbeat {
    file: File,
    /// When they end by themselves.
    end: Option<Instant>,
    /// Whether the heartbeats have ended. Locked while one is given, so that none comes after the
    /// release.
    is_over: Mutex<bool>,
}

impl Heartbeats {
    pub(super) fn new(period: Duration, limit: Option<Duration>) -> Self {
        Heartbeats {
            period: period.max(SHORTEST),
            limit,
            shared: Arc::default(),
            thread: Mutex::default(),
        }
    }

    /// Starts the thread, unless it runs already.
    pub(super) fn start(&self) -> io::Result<()> {
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let (shared, period) = (Arc::clone(&self.shared), self.period);
            let named = thread::Builder::new().name("mpisync-batch".to_owned());
            *thread = Some(named.spawn(move || shared.beat(period))?);
        }
        Ok(())
    }

    /// Gives heartbeats for the claim in `file` from now on.
    pub(super) fn add(&self, file: File) -> Arc<Heartbeat> {
        let limit = self.limit;
        let heartbeat = Arc::new(Heartbeat {
            file,
            end: limit.and_then(|limit| Instant::now().checked_add(limit)),
            is_over: Mutex::new(false),
        });
        lock(&self.shared.claims).held.push(Arc::clone(&heartbeat));
        heartbeat
    }

    /// Ends the heartbeats of a claim. It ages from now on, unless it was released.
    pub(super) fn stop(&self, heartbeat: &Arc<Heartbeat>) {
        *lock(&heartbeat.is_over) = true;
        let mut claims = lock(&self.shared.claims);
        claims.held.retain(|other| !Arc::ptr_eq(other, heartbeat));
    }
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        lock(&self.shared.claims).has_ended = true;
        self.shared.ended.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            // The panic hook has printed a panic of the thread. A drop cannot return it.
            let _ = thread.join();
        }
    }
}

/// The instant after this time, or after a day, which every clock can represent.
fn after(period: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(24 * 60 * 60);
    Instant::now() + period.min(LONG)
}

impl Shared {
    fn beat(&self, period: Duration) {
        /// Bounds the cost of a missed wake-up.
        const LONGEST_SLEEP: Duration = Duration::from_secs(1);
        let mut claims = lock(&self.claims);
        let mut next = after(period);
        loop {
            while !claims.has_ended && Instant::now() < next {
                let sleep_time = LONGEST_SLEEP.min(next.saturating_duration_since(Instant::now()));
                let waited = self.ended.wait_timeout(claims, sleep_time);
                claims = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            if claims.has_ended {
                return;
            }
            next = after(period);
            // Without the lock: the file system may be slow, and claims come and go meanwhile.
            let held = claims.held.clone();
            drop(claims);
            for heartbeat in held {
                heartbeat.beat();
            }
            claims = lock(&self.claims);
        }
    }
}

impl Heartbeat {
    /// Gives a heartbeat, unless they have ended.
    pub(super) fn beat(&self) {
        let is_over = lock(&self.is_over);
        let is_late = self.end.is_some_and(|end| Instant::now() >= end);
        if !*is_over && !is_late {
            // If it fails, the next one may succeed. After several failures the claim is taken for
            // dead.
            let _ = touch(&self.file);
        }
    }

    /// Ends the heartbeats and makes the last one infinitely old.
    pub(super) fn release(&self) -> io::Result<()> {
        let mut is_over = lock(&self.is_over);
        *is_over = true;
        set_times(&self.file, after_1970(0))
    }

    /// Ends the heartbeats and makes the last one so old that the claim is that of a dead job.
    pub(super) fn abandon(&self) -> io::Result<()> {
        let mut is_over = lock(&self.is_over);
        *is_over = true;
        set_times(&self.file, after_1970(1))
    }
}

/// Sets the modification time of `file` to the file system's time.
pub(super) fn touch(file: &File) -> io::Result<()> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    set_times(file, now)
}

/// This time after the oldest time.
fn after_1970(seconds: i64) -> Timespec {
    Timespec {
        tv_sec: seconds,
        tv_nsec: 0,
    }
}

fn set_times(file: &File, time: Timespec) -> io::Result<()> {
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(retry_on_intr(|| rustix::fs::futimens(file, &times))?)
}
