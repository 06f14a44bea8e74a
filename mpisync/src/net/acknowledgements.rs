//! Counting the nodes that have done what they were told.

use crate::net::{Client, Message};
use crate::shm::atomic::{AtomicU64, Ordering};
use serde::{Deserialize, Serialize};

/// How many nodes have acknowledged what a rank sent last: its number in the upper half, theirs
/// below.
#[derive(Default)]
pub(crate) struct Acknowledgements(AtomicU64);

/// A node has done what was sent with this number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Acknowledged {
    pub(crate) number: u32,
}

impl Message for Acknowledged {}

impl Acknowledgements {
    /// Begins to count for what is about to be sent with this number.
    pub(crate) fn expect(&self, number: u32) {
        self.0.store(u64::from(number) << 32, Ordering::Relaxed);
    }

    /// Begins to count for what is about to be sent next; its number.
    pub(crate) fn expect_next(&self) -> u32 {
        let last = (self.0.load(Ordering::Relaxed) >> 32) as u32;
        let number = last.wrapping_add(1);
        self.expect(number);
        number
    }

    /// How many nodes have acknowledged what was sent with this number; 0 for anything but the
    /// last.
    pub(crate) fn count(&self, number: u32) -> u32 {
        let counted = self.0.load(Ordering::Acquire);
        if (counted >> 32) as u32 == number {
            counted as u32
        } else {
            0
        }
    }
}

impl Client for Acknowledgements {
    type Message = Acknowledged;

    fn receive(&self, _from: u32, Acknowledged { number }: Acknowledged) {
        // None is counted for what was given up.
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |counted| {
                ((counted >> 32) as u32 == number).then_some(counted + 1)
            });
    }
}
