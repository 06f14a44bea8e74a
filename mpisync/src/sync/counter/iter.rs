//! Iterators over the numbers of a counter.

use crate::sync::counter::{Counter, Integer};

/// The numbers that a rank gets, up to the last one of their type. Made by iterating over a
/// [`&Counter`](Counter).
#[derive(Debug)]
pub struct Values<'a, T: Integer> {
    counter: &'a Counter<T>,
}

impl<'a, T: Integer> Values<'a, T> {
    pub(super) fn new(counter: &'a Counter<T>) -> Self {
        Values { counter }
    }
}

impl<T: Integer> Iterator for Values<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.counter.one_while_there_are().next()
    }
}

/// Numbers that a rank has reserved at once. Made by [`Counter::reserve`].
#[derive(Clone, Debug)]
pub struct Reserved<T: Integer> {
    next: T,
    step: T,
    left: u64,
}

impl<T: Integer> Reserved<T> {
    /// No numbers.
    pub(super) fn none() -> Self {
        Self::new(T::ZERO, T::ZERO, 0)
    }

    pub(super) fn new(first: T, step: T, count: u64) -> Self {
        Reserved {
            next: first,
            step,
            left: count,
        }
    }
}

impl<T: Integer> Iterator for Reserved<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        let number = self.next;
        let next = number.to_bits().wrapping_add(self.step.to_bits());
        self.next = T::from_bits(next);
        Some(number)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.left);
        (left.unwrap_or(usize::MAX), left.ok())
    }
}

/// The numbers that a rank gets, up to an end. Made by [`Counter::up_to`].
#[derive(Debug)]
pub struct UpTo<'a, T: Integer> {
    counter: &'a Counter<T>,
    end: T,
    block: u64,
    taken: Reserved<T>,
}

impl<'a, T: Integer> UpTo<'a, T> {
    pub(super) fn new(counter: &'a Counter<T>, end: T, block: u64) -> Self {
        UpTo {
            taken: Reserved::none(),
            counter,
            end,
            block,
        }
    }
}

impl<T: Integer> Iterator for UpTo<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let number = self.taken.next();
        number.or_else(|| {
            self.taken = self.counter.reserve_before(self.end, self.block);
            self.taken.next()
        })
    }
}
