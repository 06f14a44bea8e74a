//! Events in the order of their times, and random numbers.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Events in the order in which they happen.
pub(super) struct Clock<E> {
    events: BinaryHeap<Entry<E>>,
    count: u64,
}

struct Entry<E> {
    at: u64,
    /// Events of the same time happen in the order in which they were scheduled.
    number: u64,
    event: E,
}

impl<E> Default for Clock<E> {
    fn default() -> Self {
        Self {
            events: BinaryHeap::new(),
            count: 0,
        }
    }
}

impl<E> Clock<E> {
    /// Schedules an event.
    pub(super) fn set(&mut self, at: u64, event: E) {
        self.count += 1;
        self.events.push(Entry {
            at,
            number: self.count,
            event,
        });
    }

    /// Takes the next event, with its time.
    pub(super) fn next(&mut self) -> Option<(u64, E)> {
        let Entry { at, event, .. } = self.events.pop()?;
        Some((at, event))
    }

    /// Takes the next event if its time has come.
    pub(super) fn next_by(&mut self, now: u64) -> Option<E> {
        let is_due = self.events.peek()?.at <= now;
        is_due.then(|| self.events.pop())?.map(|entry| entry.event)
    }
}

impl<E> Ord for Entry<E> {
    /// The greatest one is the next one.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Entry<E> {}

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
        (self.uniform().ln() / (1.0 - chance).ln()) as u64
    }

    /// From 0 (excluded) to 1.
    pub(super) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// From 0 to `end` (excluded).
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
