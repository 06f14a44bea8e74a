//! The events of a simulation, and its random numbers.

use crate::rwlock::global::site::LockMessage;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something that happens on a node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Event {
    /// A reader of the node requests to write, unless the schedule has changed since.
    Write { change: u64 },
    /// This rank of the node has the turn.
    Turn { rank: u32 },
    /// Its writer releases the lock.
    Leave { rank: u32 },
    /// A message has arrived.
    Message(LockMessage),
    /// The writer, or else the server, has time for the next message.
    Serve { writer: bool },
    /// The wait of the writer may be over.
    Look,
}

/// Events in the order in which they happen.
#[derive(Default)]
pub(super) struct Clock {
    events: BinaryHeap<Reverse<(u64, u64, u32, Event)>>,
    count: u64,
}

impl Clock {
    /// Schedules `event` on `node`. Events of the same time happen in the order in which they were
    /// scheduled.
    pub(super) fn set(&mut self, at: u64, node: u32, event: Event) {
        self.count += 1;
        self.events.push(Reverse((at, self.count, node, event)));
    }

    /// Takes the next event, with its time and node.
    pub(super) fn next(&mut self) -> Option<(u64, u32, Event)> {
        let Reverse((at, _, node, event)) = self.events.pop()?;
        Some((at, node, event))
    }
}

/// Random numbers: splitmix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", OOPSLA 2014).
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// How many trials fail before the first success, each with this probability of success.
    pub(super) fn failures(&mut self, chance: f64) -> u64 {
        if chance >= 1.0 {
            return 0;
        }
        // From 0 (excluded) to 1.
        let uniform = ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64;
        (uniform.ln() / (1.0 - chance).ln()) as u64
    }
}
