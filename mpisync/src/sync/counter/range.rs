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
const FAR: i128 = 1 << 62;

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
    pub(crate) fn from(self, counter: &AtomicU64) -> Option<Taken> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Debug;

    /// A counter of this process, beside what it should do, in more bits than it has.
    struct Checked<T> {
        word: AtomicU64,
        range: Range,
        start: T,
        step: T,
        /// Where it stands, if not beyond its end.
        now: Option<i128>,
    }

    impl<T: Integer + Debug> Checked<T> {
        fn new(start: T, step: T) -> Self {
            Checked {
                word: AtomicU64::new(0),
                range: Range::new(start, step),
                start,
                step,
                now: Some(start.widen()),
            }
        }

        fn is_number(start: i128, number: i128) -> bool {
            (T::MIN.widen()..=T::MAX.widen()).contains(&number) && (number - start).abs() <= FAR
        }

        fn first(&self, taken: Taken) -> i128 {
            self.start.widen() + i128::from(taken.first)
        }

        fn go(&mut self, to: i128) {
            self.now = Some(to).filter(|to| Self::is_number(self.start.widen(), *to));
        }

        fn next(&mut self) -> Option<i128> {
            let step = Range::small_step(self.step).expect("a small step");
            let got = self.range.next(&self.word, step);
            let got = got.map(|distance| self.start.widen() + i128::from(distance));
            assert_eq!(
                got, self.now,
                "{:?} in steps of {:?}",
                self.start, self.step
            );
            if let Some(now) = self.now {
                self.go(now + self.step.widen());
            }
            got
        }

        fn reserve(&mut self, count: u64) {
            let taken = self.range.take(self.step, count).from(&self.word);
            let last = |now: i128| now + i128::from(count.max(1) - 1) * self.step.widen();
            let right = self
                .now
                .filter(|now| Self::is_number(self.start.widen(), last(*now)));
            assert_eq!(taken.map(|taken| self.first(taken)), right);
            if let Some(now) = right {
                self.go(now + i128::from(count) * self.step.widen());
            }
        }

        fn up_to(&mut self, end: T, count: u64) {
            let take = self.range.take(self.step, count).before(self.start, end);
            let taken = take.from(&self.word).expect("some, or none");
            let (falls, end) = (self.step < T::ZERO, end.widen());
            let start = self.start.widen();
            let is_before = |number: &i128| {
                let is_before = if falls { *number > end } else { *number < end };
                is_before && Self::is_number(start, *number)
            };
            let mut right = 0;
            while let Some(now) = self.now.filter(is_before).filter(|_| right < count) {
                if right == 0 {
                    assert_eq!(self.first(taken), now);
                }
                right += 1;
                self.go(now + self.step.widen());
            }
            assert_eq!(taken.count, right);
        }
    }

    /// Counts over the ends of a type, in all ways.
    fn counts_to_the_ends<T: Integer + Debug>() {
        let (min, max) = (T::MIN.widen(), T::MAX.widen());
        let number = |wide: i128| T::from_bits(wide as u64);
        let middle = (min + max) / 2;
        for step in [1, 2, 3, 7, 100, -1, -2, -7, -100] {
            if step < min {
                continue;
            }
            for start in [
                min,
                min + 1,
                min + 9,
                middle,
                max - 250 % (max - min),
                max - 9,
                max,
            ] {
                for way in 0..4 {
                    let mut counter = Checked::new(number(start), number(step));
                    for round in 0..300 {
                        match (way, round % 3) {
                            (1, 0) => counter.reserve(round as u64 % 5),
                            (2, 0) => counter.up_to(number(max), 1),
                            (2, 1) => counter.up_to(number(min), 3),
                            (3, 1) => counter.up_to(number((start + max) / 2), 4),
                            (3, 2) => counter.reserve(u64::MAX),
                            _ => drop(counter.next()),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_number_comes_twice_at_the_end_of_any_type() {
        counts_to_the_ends::<i8>();
        counts_to_the_ends::<i16>();
        counts_to_the_ends::<i32>();
        counts_to_the_ends::<i64>();
        counts_to_the_ends::<isize>();
        counts_to_the_ends::<u8>();
        counts_to_the_ends::<u16>();
        counts_to_the_ends::<u32>();
        counts_to_the_ends::<u64>();
        counts_to_the_ends::<usize>();
    }

    #[test]
    fn a_byte_has_256_numbers() {
        let mut counter = Checked::new(0u8, 1);
        let numbers: Vec<i128> = std::iter::from_fn(|| counter.next()).collect();
        assert!(numbers.into_iter().eq(0..256));
        assert_eq!([counter.next(), counter.next()], [None, None]);
        let mut counter = Checked::new(127i8, -1);
        assert_eq!(std::iter::from_fn(|| counter.next()).count(), 256);
    }

    #[test]
    fn what_leads_out_of_the_type_changes_nothing() {
        let word = AtomicU64::new(0);
        let range = Range::new(0i8, 1);
        for (amount, before) in [(100, Some(0)), (28, Some(100)), (-1, None)] {
            let taken = range.add::<i8>(amount).from(&word);
            assert_eq!(taken.map(|taken| taken.first), before);
        }
        // Against the direction of its steps it stays where there are numbers.
        let word = AtomicU64::new(0);
        for (amount, before) in [
            (-128, Some(0)),
            (-1, None),
            (0, Some(-128)),
            (127, Some(-128)),
        ] {
            let taken = range.add::<i8>(amount).from(&word);
            assert_eq!(taken.map(|taken| taken.first), before);
        }
        for amount in [i64::MAX, i64::MIN] {
            let range = Range::new(amount, 1);
            assert_eq!(range.add(amount).from(&AtomicU64::new(0)), None);
        }
        let range = Range::new(u64::MAX, 1);
        assert_eq!(
            range.take(u64::MAX, u64::MAX).from(&AtomicU64::new(0)),
            None
        );
    }
}
