//! When this process has sent beats to other processes, and has heard of them.
//!
//! Kept for each process and not for each communicator, for a process may be a leader in many.

use crate::shm::lock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The contact with one other process.
#[derive(Default)]
pub(super) struct Contact(Mutex<Times>);

#[derive(Default)]
struct Times {
    /// When this process has sent its last beat to that one.
    sent: Option<Instant>,
    /// When it has noted a message of that one last.
    heard: Option<Instant>,
}

impl Contact {
    /// The contact with the process of this rank of `MPI_COMM_WORLD`. Without a rank, one of its own.
    pub(super) fn with(world_rank: Option<u32>) -> Arc<Self> {
        static CONTACTS: Mutex<BTreeMap<u32, Arc<Contact>>> = Mutex::new(BTreeMap::new());
        let Some(rank) = world_rank else {
            return Arc::default();
        };
        Arc::clone(lock(&CONTACTS).entry(rank).or_default())
    }

    pub(super) fn note_heard(&self, now: Instant) {
        lock(&self.0).heard = Some(now);
    }

    pub(super) fn heard(&self) -> Option<Instant> {
        lock(&self.0).heard
    }

    /// Whether no beat has been sent for this interval. The caller sends one then.
    pub(super) fn is_time_to_send(&self, now: Instant, interval: Duration) -> bool {
        let sent = &mut lock(&self.0).sent;
        let is_time = sent.is_none_or(|sent| now.saturating_duration_since(sent) >= interval);
        if is_time {
            *sent = Some(now);
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communicators_share_the_beats_of_a_process() {
        let (one, other) = (Contact::with(Some(3)), Contact::with(Some(3)));
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        assert!(one.is_time_to_send(now, second));
        assert!(!other.is_time_to_send(now + second / 2, second));
        assert!(other.is_time_to_send(now + second, second));
        other.note_heard(now);
        assert_eq!(one.heard(), Some(now));
        // A process without a rank is not known from other communicators.
        Contact::with(None).note_heard(now);
        assert_eq!(Contact::with(None).heard(), None);
    }
}
