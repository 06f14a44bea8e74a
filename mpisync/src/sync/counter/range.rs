//! Which numbers a counter gives out, decided in more bits than the numbers have.
//!
//! Ranks share how far the counter is from its start, as a signed integer of 64 bits. A counter
//! that has given out the last number of its type stands beyond it in the direction of its steps,
//! and stays there.

use crate::shm::atomic::{AtomicU64, Ordering};
use crate::sync::counter::Integer;
use serde::{Deserialize, Serialize};

/// A counter does not go further from its start than this. It leaves room for what [`next`] adds
/// beyond the end before it notices: a step on each rank.
///
/// [`next`]: Range::next
pub(super) const FAR: i128 = 1 << 62;

/// Steps up to this size are added first and looked at afterwards.
const SMALL_STEP: i128 = 1 << 31;

/// The distances from the start at which there are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    first: i64,
    last: i64,
    /// Whether the counter counts down.
    falls: bool,
}

/// What a rank wants of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Take {
    range: Range,
    /// What one number is from the next, not 0.
    step: i128,
    /// How many numbers.
    count: u64,
    /// How far from the start the end is: what is left before it is enough. Without an end it has
    /// to be `count`.
    end: Option<i128>,
}

/// Numbers that were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    /// How far the first is from the start.
    pub(super) first: i64,
    /// How many they are.
    pub(super) count: u64,
}

impl Range {
    /// Of a counter with this start and step.
    pub(super) fn new<T: Integer>(start: T, step: T) -> Self {
        let distance = |number: T| (number.widen() - start.widen()).clamp(-FAR, FAR) as i64;
        Range {
            first: distance(T::MIN),
            last: distance(T::MAX),
            falls: step < T::ZERO,
        }
    }

    #[inline]
    fn contains(self, distance: i64) -> bool {
        (self.first..=self.last).contains(&distance)
    }

    /// The step as it can be added to `counter` by [`next`](Self::next).
    pub(super) fn small_step<T: Integer>(step: T) -> Option<i64> {
        let step = step.widen();
        (step.abs() <= SMALL_STEP).then_some(step as i64)
    }

    /// Takes one number: how far it is from the start; none where they are used up.
    #[inline]
    pub(super) fn next(self, counter: &AtomicU64, step: i64) -> Option<i64> {
        // AcqRel: who gets a number sees what those before it had done.
        let before = counter.fetch_add(step as u64, Ordering::AcqRel) as i64;
        if self.contains(before) {
            return Some(before);
        }
        self.take_back(counter, step);
        None
    }

    /// Beyond the end in the direction of its steps, the counter gives no number out, whatever
    /// others add and take back meanwhile. So each rank has added at most one step there, and the
    /// counter does not wrap around: 2^31 ranks with steps of 2^31 are 2^62.
    #[cold]
    fn take_back(self, counter: &AtomicU64, step: i64) {
        counter.fetch_sub(step as u64, Ordering::AcqRel);
    }

    /// Everything that `step` leads to, `count` times.
    pub(super) fn take<T: Integer>(self, step: T, count: u64) -> Take {
        Take {
            range: self,
            step: step.widen(),
            count,
            end: None,
        }
    }

    /// The room from the counter to `amount` beyond it, which may be 0 or negative.
    pub(super) fn add<T: Integer>(self, amount: T) -> Take {
        let amount = amount.widen();
        Take {
            range: self,
            step: if amount < 0 { -1 } else { 1 },
            count: amount.unsigned_abs() as u64,
            end: None,
        }
    }
}

impl Take {
    /// The same, as far as it goes before `end`.
    pub(super) fn before<T: Integer>(self, start: T, end: T) -> Self {
        Take {
            end: Some(end.widen() - start.widen()),
            ..self
        }
    }

    /// The same, as far as there are numbers.
    pub(super) fn while_there_are(self) -> Self {
        let Range { first, last, .. } = self.range;
        let end = if self.step < 0 {
            i128::from(first) - 1
        } else {
            i128::from(last) + 1
        };
        Take {
            end: Some(end),
            ..self
        }
    }

    /// Takes the numbers from `counter`. None where there are not as many; then it stays as it is.
    #[inline]
    pub(super) fn from(self, counter: &AtomicU64) -> Option<Taken> {
        let mut now = counter.load(Ordering::Acquire);
        loop {
            let first = now as i64;
            let (count, after) = self.plan(first)?;
            let taken = Taken { first, count };
            if after == first {
                return Some(taken);
            }
            let order = (Ordering::AcqRel, Ordering::Acquire);
            match counter.compare_exchange_weak(now, after as u64, order.0, order.1) {
                Ok(_) => return Some(taken),
                Err(other) => now = other,
            }
        }
    }

    /// How many numbers there are from `now` on, and where the counter stands after that.
    #[inline]
    fn plan(&self, now: i64) -> Option<(u64, i64)> {
        if !self.range.contains(now) {
            return self.end.map(|_| (0, now));
        }
        let now = i128::from(now);
        let Range { first, last, falls } = self.range;
        let (first, last) = (i128::from(first), i128::from(last));
        let beyond = |count: i128| match count {
            // Without the multiplication.
            0 => now,
            1 => now + self.step,
            count => count.saturating_mul(self.step).saturating_add(now),
        };
        let count = match self.end {
            None => {
                // Only in the direction of its steps can a counter stand where there is no number.
                let along = falls == (self.step < 0);
                let numbers = i128::from(self.count) - i128::from(along && self.count > 0);
                let is_inside = (first..=last).contains(&beyond(numbers));
                is_inside.then_some(self.count)?
            }
            Some(end) => {
                let room = if falls {
                    now - end.max(first - 1)
                } else {
                    end.min(last + 1) - now
                };
                match (room, self.count) {
                    (..=0, _) => 0,
                    // Without the division.
                    (_, 1) => 1,
                    (room, count) => {
                        let numbers = (room - 1) / self.step.abs() + 1;
                        numbers.min(count.into()) as u64
                    }
                }
            }
        };
        let after = beyond(count.into()).clamp(first - 1, last + 1);
        Some((count, after as i64))
    }
}
