//! Counts the nodes that have acknowledged a message.

use crate::net::{Client, Message};
use crate::shm::atomic::{AtomicU64, Ordering};
use serde::{Deserialize, Serialize};

/// How many nodes have acknowledged the last message of a rank: the upper half is the number of the
/// message, the lower half the count.
#[derive(Default)]
pub(crate) struct Acknowledgements(AtomicU64);

/// A node has processed the message of this number.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Acknowledged {
    pub(crate) number: u32,
}

impl Message for Acknowledged {}

impl Acknowledgements {
    /// Begins to count for the message of this number, before it is sent.
    pub(crate) fn expect(&self, number: u32) {
        self.0.store(u64::from(number) << 32, Ordering::Relaxed);
    }

    /// Begins to count for the next message, before it is sent. Returns its number.
    pub(crate) fn expect_next(&self) -> u32 {
        let last = (self.0.load(Ordering::Relaxed) >> 32) as u32;
        let number = last.wrapping_add(1);
        self.expect(number);
        number
    }

    /// How many nodes have acknowledged the message of this number; 0 if it is not the last.
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
        // Acknowledgements of earlier messages, which this rank has given up, are not counted.
        let _ = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |counted| {
                ((counted >> 32) as u32 == number).then_some(counted + 1)
            });
    }
}
