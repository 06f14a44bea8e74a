//! How a subject goes through a round: with all ranks taking part, or one alone; and what is checked after it.

use std::ops::Range;

use super::{Case, items};
use crate::pace::{Laps, Pace, repeat_until, until_now};
use crate::team::{Span, Team};
use crate::turns::Subject;

/// An array that ranks share or have copies of, and of which the worker writes one place after the other.
pub(super) trait Array {
    /// Writes the items of this number to their place. Collective, unless the worker is [`Alone`].
    fn write(&mut self, number: u64);

    /// The first and the last item of a place as this rank sees them, if it does.
    fn ends(&self, place: Range<usize>) -> Option<[f64; 2]>;

    /// What a rank does while the worker is [`Alone`] and writes the items of numbers from `next` on.
    fn attend(&mut self, _next: u64, span: Span, team: &Team) -> Laps {
        team.sit_out(span)
    }

    /// Tells those that [`attend`](Self::attend) that the round is over.
    fn end(&mut self) {}

    /// Gives back what it has. Collective.
    fn close(self);
}

/// All ranks take part. An operation is one of them all.
pub(super) struct Together<A> {
    array: A,
    /// The number of the next items; the memory of a new array does not look like any.
    next: u64,
    pace: Pace,
}

impl<A: Array> Together<A> {
    pub(super) fn new(array: A) -> Self {
        Self {
            array,
            next: 1,
            pace: Pace::default(),
        }
    }
}

impl<A: Array> Subject<Case> for Together<A> {
    fn round(&mut self, case: Case, team: &Team) -> f64 {
        let Self { array, next, pace } = self;
        pace.round(case.round(), |count| {
            let span = team.start();
            for number in *next..*next + count {
                array.write(number);
            }
            let works = team.rank() == case.worker(team);
            let tally = team.tally(span, until_now(if works { count } else { 0 }));
            *next += count;
            check(array, case, *next - 1);
            tally.nanos_per_operation()
        })
    }

    fn close(self: Box<Self>) {
        self.array.close();
    }
}

/// The worker writes by itself.
pub(super) struct Alone<A> {
    array: A,
    /// The number of the next items; the memory of a new array does not look like any.
    next: u64,
}

impl<A: Array> Alone<A> {
    pub(super) fn new(array: A) -> Self {
        Self { array, next: 1 }
    }
}

impl<A: Array> Subject<Case> for Alone<A> {
    fn round(&mut self, case: Case, team: &Team) -> f64 {
        let span = team.start();
        let laps = if team.rank() == case.worker(team) {
            let laps = repeat_until(span.end, || {
                self.array.write(self.next);
                self.next += 1;
            });
            self.array.end();
            laps
        } else {
            self.array.attend(self.next, span, team)
        };
        let tally = team.tally(span, laps);
        self.next = team.max(self.next);
        check(&self.array, case, self.next - 1);
        tally.nanos_per_operation()
    }

    fn close(self: Box<Self>) {
        self.array.close();
    }
}

/// Checks that a rank sees the items that were written last.
fn check(array: &impl Array, case: Case, last: u64) {
    let expected = [last as f64; 2];
    if let Some(ends) = array.ends(case.place(last)) {
        assert_eq!(ends, expected, "the items are not those written last");
    }
}

/// An array whose items the worker reads.
pub(super) trait Readable {
    /// The sum of all items, for which the subject calls [`sum`].
    fn sum(&self) -> f64;

    /// Gives back what it has. Collective.
    fn close(self);
}

/// Adds items up, as fast as they come: every item of a line on its own, and these at the end.
///
/// Inlined, so that the compiler sees in each subject where the items come from, and may do better or worse for it.
#[inline(always)]
pub(super) fn sum(items: &[f64]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    let (lines, rest) = items.as_chunks::<LANES>();
    for line in lines {
        for (sum, item) in sums.iter_mut().zip(line) {
            *sum += item;
        }
    }
    sums.iter().chain(rest).sum()
}

/// The worker reads all items, again and again.
pub(super) struct Sums<R> {
    array: R,
}

impl<R: Readable> Sums<R> {
    /// `array` has what [`items`] gives.
    pub(super) fn new(array: R) -> Self {
        Self { array }
    }
}

impl<R: Readable> Subject<Case> for Sums<R> {
    fn round(&mut self, case: Case, team: &Team) -> f64 {
        let expected: f64 = items(case.items()).iter().sum();
        let span = team.start();
        let laps = if team.rank() == case.worker(team) {
            repeat_until(span.end, || {
                assert_eq!(self.array.sum(), expected, "items are not what they were");
            })
        } else {
            team.sit_out(span)
        };
        team.tally(span, laps).nanos_per_operation()
    }

    fn close(self: Box<Self>) {
        self.array.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_all_items() {
        for count in [0, 1, 15, 16, 17, 10_000] {
            let items = items(count);
            assert_eq!(sum(&items), items.iter().sum::<f64>());
        }
    }
}
