//! The heartbeats of this process's claims.
//!
//! A thread gives them, so that they go on while the process computes. It calls nothing but the
//! file system.

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

/// Gives heartbeats for all claims that a directory object holds.
#[derive(Debug)]
pub(super) struct Heart {
    period: Duration,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    beating: Mutex<Beating>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Beating {
    pulses: Vec<Arc<Pulse>>,
    has_ended: bool,
}

/// The heartbeat of one claim.
#[derive(Debug)]
pub(super) struct Pulse {
    file: File,
    /// Whether there are heartbeats no more. Held while one is given, so that none comes after the
    /// release.
    is_over: Mutex<bool>,
}

impl Heart {
    pub(super) fn new(period: Duration) -> Self {
        Heart {
            period: period.max(SHORTEST),
            shared: Arc::default(),
            thread: Mutex::default(),
        }
    }

    /// Starts the thread, if it does not run yet.
    pub(super) fn start(&self) -> io::Result<()> {
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let (shared, period) = (Arc::clone(&self.shared), self.period);
            let named = thread::Builder::new().name("mpisync-batch".to_owned());
            *thread = Some(named.spawn(move || shared.beat(period))?);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn is_started(&self) -> bool {
        lock(&self.thread).is_some()
    }

    /// Has heartbeats given for the claim in `file` from now on.
    pub(super) fn add(&self, file: File) -> Arc<Pulse> {
        let is_over = Mutex::new(false);
        let pulse = Arc::new(Pulse { file, is_over });
        lock(&self.shared.beating).pulses.push(Arc::clone(&pulse));
        pulse
    }

    /// Ends the heartbeats of `pulse`. The claim ages from now on, unless it was released.
    pub(super) fn stop(&self, pulse: &Arc<Pulse>) {
        *lock(&pulse.is_over) = true;
        let mut beating = lock(&self.shared.beating);
        beating.pulses.retain(|other| !Arc::ptr_eq(other, pulse));
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        lock(&self.shared.beating).has_ended = true;
        self.shared.ended.notify_all();
        if let Some(thread) = lock(&self.thread).take() {
            // A panic of the thread has been printed by its hook; there is nobody else to tell here.
            let _ = thread.join();
        }
    }
}

/// A point in time so far away; one that no clock comes to may as well be a day.
fn after(period: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(24 * 60 * 60);
    Instant::now() + period.min(LONG)
}

impl Shared {
    fn beat(&self, period: Duration) {
        /// The most that a missed wake-up costs.
        const LONGEST_SLEEP: Duration = Duration::from_secs(1);
        let mut beating = lock(&self.beating);
        let mut next = after(period);
        loop {
            while !beating.has_ended && Instant::now() < next {
                let sleep_time = LONGEST_SLEEP.min(next.saturating_duration_since(Instant::now()));
                let waited = self.ended.wait_timeout(beating, sleep_time);
                beating = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            if beating.has_ended {
                return;
            }
            next = after(period);
            // The file system may take its time, and claims come and go meanwhile.
            let pulses = beating.pulses.clone();
            drop(beating);
            for pulse in pulses {
                pulse.beat();
            }
            beating = lock(&self.beating);
        }
    }
}

impl Pulse {
    /// Gives a heartbeat, unless they are over.
    pub(super) fn beat(&self) {
        let is_over = lock(&self.is_over);
        if !*is_over {
            // Where it does not get through the next one may, and after some the claim is taken for dead.
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

/// Gives `file` the file system's time.
pub(super) fn touch(file: &File) -> io::Result<()> {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    set_times(file, now)
}

/// So many seconds after the oldest time.
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
