//! The memory of a counter, and the numbers that it gives out at the ends of its type.

use crate::shm::atomic::AtomicU64;
use crate::shm::block::Block;
use crate::shm::topology::Topology;
use crate::sync::counter::memory::CounterLayout;
use crate::sync::counter::range::{FAR, Range, Taken};
use crate::sync::counter::{Counter, Integer};
use std::fmt::Debug;

#[test]
fn a_counter_takes_two_lines_whatever_the_number_of_ranks() {
    const TWO_LINES: usize = 256;
    let nodes = |ranks: u32| (0..ranks).map(|rank| rank - rank % 4).collect::<Vec<_>>();
    let several_nodes = Topology::new(0, &nodes(12));
    for topology in [
        Topology::one_node(0, 1),
        Topology::one_node(3, 1000),
        several_nodes,
    ] {
        assert_eq!(Block::length(&CounterLayout, &topology), TWO_LINES);
    }
    let counter = Counter::<u32>::local();
    assert_eq!(counter.object.block().size(), TWO_LINES);
}

/// A counter of this process, and the value that it should have, with more bits.
struct Checked<T> {
    word: AtomicU64,
    range: Range,
    start: T,
    step: T,
    /// The expected value; none if it is beyond the end.
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

/// Counts beyond the ends of a type with each of the methods.
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
    // Against the direction of its steps it stays in the range.
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
