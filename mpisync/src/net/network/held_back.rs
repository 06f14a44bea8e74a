//! Messages that are held back, so that each goes together with the next one to the same rank: two messages cost two calls of the
//! system on either side.

use crate::shm::lock;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// The messages that a rank holds back, at most one to each rank.
#[derive(Default)]
pub(super) struct HeldBack {
    messages: Mutex<Vec<(u32, Vec<u8>)>>,
    /// Whether there are any, so that others need not lock.
    is_any: AtomicBool,
}

impl HeldBack {
    /// Holds a message to `rank` back. Returns the one before it, which has to be sent now.
    pub(super) fn add(&self, rank: u32, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let mut messages = lock(&self.messages);
        let before = remove(&mut messages, rank);
        messages.push((rank, bytes));
        self.is_any.store(true, Ordering::Relaxed);
        before
    }

    /// The message to `rank`, which is not held back any more.
    #[inline]
    pub(super) fn take(&self, rank: u32) -> Option<Vec<u8>> {
        // The rank that has added one finds it. To others it does not matter.
        if !self.is_any.load(Ordering::Relaxed) {
            return None;
        }
        let mut messages = lock(&self.messages);
        let taken = remove(&mut messages, rank);
        self.is_any.store(!messages.is_empty(), Ordering::Relaxed);
        taken
    }

    /// All messages with their receivers, none of which is held back any more.
    pub(super) fn take_all(&self) -> Vec<(u32, Vec<u8>)> {
        if !self.is_any.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut messages = lock(&self.messages);
        self.is_any.store(false, Ordering::Relaxed);
        std::mem::take(&mut messages)
    }
}

fn remove(messages: &mut Vec<(u32, Vec<u8>)>, rank: u32) -> Option<Vec<u8>> {
    let index = messages.iter().position(|(to, _)| *to == rank)?;
    Some(messages.swap_remove(index).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rank_gets_its_message_once() {
        let held_back = HeldBack::default();
        assert_eq!(held_back.take(1), None);
        assert_eq!(held_back.add(1, vec![1]), None);
        assert_eq!(held_back.add(2, vec![2]), None);
        assert_eq!(held_back.take(3), None);
        assert_eq!(held_back.add(1, vec![3]), Some(vec![1]));
        assert_eq!(held_back.take(1), Some(vec![3]));
        assert_eq!(held_back.take(1), None);
        assert_eq!(held_back.take_all(), [(2, vec![2])]);
        assert!(held_back.take_all().is_empty());
        assert_eq!(held_back.take(2), None);
    }
}
