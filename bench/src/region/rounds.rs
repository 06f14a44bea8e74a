//! How a subject runs a round, by all ranks or by one alone, and the checks afterwards.

use std::ops::Range;

use super::{Case, items};
use crate::pace::{Laps, Pace, repeat_until, until_now};
use crate::team::{Span, Team};
use crate::turns::Subject;

/// An array that ranks share or have copies of. The worker writes one part after the other.
pub(super) trait Array {
    /// Writes the items of this number to their position. Collective, unless the worker is
    /// [`Alone`].
    fn write(&mut self, number: u64);

    /// The first and the last item of a part, if this rank sees them.
    fn ends(&self, place: Range<usize>) -> Option<[f64; 2]>;

    /// The work of another rank while the worker is [`Alone`] and writes the items of numbers from
    /// `next` on.
    fn attend(&mut self, _next: u64, span: Span, team: &Team) -> Laps {
        team.sit_out(span)
    }

    /// Ends [`attend`](Self::attend) on the other ranks.
    fn end(&mut self) {}

    /// Frees the resources. Collective.
    fn close(self);
}

/// All ranks take part. An operation is one of all together.
pub(super) struct Together<A> {
    array: A,
    /// The number of the next items; the contents of a new array do not match any.
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

/// The worker writes alone.
pub(super) struct Alone<A> {
    array: A,
    /// The number of the next items; the contents of a new array do not match any.
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

/// Checks that a rank sees the items of the last write.
fn check(array: &impl Array, case: Case, last: u64) {
    let expected = [last as f64; 2];
    if let Some(ends) = array.ends(case.place(last)) {
        assert_eq!(ends, expected, "the items are not those written last");
    }
}

/// An array whose items the worker reads.
pub(super) trait Readable {
    /// The sum of all items; the subject calls [`sum`].
    fn sum(&self) -> f64;

    /// Frees the resources. Collective.
    fn close(self);
}

/// Adds up items as fast as they arrive: each item of a cache line separately, and these sums at
/// the end.
///
/// Inlined, so that the compiler can optimize it for the source of each subject's items.
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

/// The worker reads all items, repeatedly.
pub(super) struct Sums<R> {
    array: R,
}

impl<R: Readable> Sums<R> {
    /// `array` has the contents that [`items`] returns.
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
