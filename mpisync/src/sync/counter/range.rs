//! The numbers that a counter gives out, computed with more bits than the numbers have.
//!
//! The ranks share the counter's distance from its start, as a signed integer of 64 bits. After the
//! last number of its type, the counter is beyond that number in the direction of its steps, and
//! stays there.

use crate::shm::atomic::{AtomicU64, Ordering};
use crate::sync::counter::Integer;
use serde::{Deserialize, Serialize};

/// The largest distance from the start at which there are numbers. The distance leaves room for the
/// steps that [`next`] adds beyond the end before it notices: at most one for each rank.
///
/// [`next`]: Range::next
pub(super) const FAR: i128 = 1 << 62;

/// Steps up to this size are added before the range is checked.
const SMALL_STEP: i128 = 1 << 31;

/// The distances from the start that are numbers of the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Range {
    first: i64,
    last: i64,
    /// Whether the step is negative.
    falls: bool,
}

/// A request for numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Take {
    range: Range,
    /// The difference between one number and the next; not 0.
    step: i128,
    /// The number of numbers.
    count: u64,
    /// The distance of the end from the start. With an end, fewer than `count` numbers are enough.
    end: Option<i128>,
}

/// Numbers that were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    /// The distance of the first one from the start.
    pub(super) first: i64,
    /// The number of numbers.
    pub(super) count: u64,
}

impl Range {
    /// The range of a counter with this start and step.
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

    /// The step in the form that [`next`](Self::next) adds, if it is small enough.
    pub(super) fn small_step<T: Integer>(step: T) -> Option<i64> {
        let step = step.widen();
        (step.abs() <= SMALL_STEP).then_some(step as i64)
    }

    /// Takes one number. Returns its distance from the start; none if the numbers are used up.
    #[inline]
    pub(super) fn next(self, counter: &AtomicU64, step: i64) -> Option<i64> {
        // AcqRel: a rank that gets a number sees everything that earlier callers did before.
        let before = counter.fetch_add(step as u64, Ordering::AcqRel) as i64;
        if self.contains(before) {
            return Some(before);
        }
        self.take_back(counter, step);
        None
    }

    /// Undoes an addition. Beyond its end, the counter gives out no number, whatever other ranks
    /// add and undo meanwhile. So each rank has added at most one step there, and the word does not
    /// wrap around: 2^31 ranks with steps of 2^31 are 2^62.
    #[cold]
    fn take_back(self, counter: &AtomicU64, step: i64) {
        counter.fetch_sub(step as u64, Ordering::AcqRel);
    }

    /// A request for `count` numbers in steps of `step`.
    pub(super) fn take<T: Integer>(self, step: T, count: u64) -> Take {
        Take {
            range: self,
            step: step.widen(),
            count,
            end: None,
        }
    }

    /// A request for all numbers between the counter's value and `amount` beyond it. `amount` may
    /// be 0 or negative.
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
    /// Limits the request to numbers before `end`.
    pub(super) fn before<T: Integer>(self, start: T, end: T) -> Self {
        Take {
            end: Some(end.widen() - start.widen()),
            ..self
        }
    }

    /// Limits the request to the numbers that are left.
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

    /// Takes the numbers from `counter`. None if too few are left; the counter is unchanged then.
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

    /// The number of numbers to take at `now`, and the counter's distance after that.
    #[inline]
    fn plan(&self, now: i64) -> Option<(u64, i64)> {
        if !self.range.contains(now) {
            return self.end.map(|_| (0, now));
        }
        let now = i128::from(now);
        let Range { first, last, falls } = self.range;
        let (first, last) = (i128::from(first), i128::from(last));
        let beyond = |count: i128| match count {
            // Common cases without the multiplication.
            0 => now,
            1 => now + self.step,
            count => count.saturating_mul(self.step).saturating_add(now),
        };
        let count = match self.end {
            None => {
                // A counter may leave the range only in the direction of its steps, after its last
                // number.
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
