//! A number that all ranks count up together.

mod integer;
mod iter;
mod memory;
mod range;
mod remote;
#[cfg(test)]
mod tests;

use crate::error::{CreateError, LockError};
use crate::object::{Object, accessors};
use crate::shm::atomic::{AtomicU64, Ordering};
use crate::shm::layout::AnyLayout;
pub use crate::sync::counter::integer::Integer;
pub use crate::sync::counter::iter::{Reserved, UpTo, Values};
use crate::sync::counter::memory::{Count, CounterLayout};
use crate::sync::counter::range::{Range, Take, Taken};
use crate::sync::counter::remote::CounterClient;
use crate::sync::spec::Spec;
use std::any::type_name;
use std::fmt;

/// A number that all ranks of a communicator count up: each value is given out once.
///
/// Made by [`Counter::new`] or [`Counter::builder`] and, for one process without MPI,
/// [`Counter::local`]. Where the ranks are on the root's node, a step is one atomic addition in
/// shared memory; a rank of another node asks the root's node, and waits a round trip for the
/// answer. [`reserve`](Self::reserve) and [`up_to_by`](Self::up_to_by) take many numbers at once.
/// No rank has to take part in what another one counts: the lowest rank of the root's node answers
/// for it in its progress thread.
///
/// A counter that has given out the last number of `T` gives out no more: asking for one is an
/// error, or a panic in the forms without one, and never a number that somebody had. (Of a type of
/// 64 bits, it is at its end 2^62 away from its start.) It stays on the thread that made it.
/// Dropping it is local.
///
/// ```
/// use mpisync::Counter;
///
/// let counter = Counter::<u32>::local();
/// assert_eq!((counter.next(), counter.next()), (0, 1));
/// assert_eq!(counter.add(10), 2);
/// // Work sharing: each rank takes the next task that nobody has.
/// let mine: Vec<u32> = counter.up_to(15).collect();
/// assert_eq!(mine, [12, 13, 14]);
/// ```
pub struct Counter<T: Integer = i64> {
    object: Object,
    /// Its word, which is of use on the root's node.
    count: Count,
    /// Where the number is on another node.
    client: Option<CounterClient>,
    start: T,
    step: T,
    range: Range,
    /// The step, where it is small enough to be added without a look at where that leads.
    small_step: Option<i64>,
}

/// Why a counter gave out no number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CounterError {
    /// There are not as many numbers left in the counter's type. Nothing was counted.
    #[error(
        "the counter has come to the end of `{type_name}`: from {start} in steps of {step} there are fewer numbers left than \
         were asked for; count in a larger type, or up to an end (`Counter::up_to`)"
    )]
    UsedUp {
        /// The type of its numbers.
        type_name: &'static str,
        /// Its first number.
        start: i128,
        /// Its step.
        step: i128,
    },
    /// MPI was finalized.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl<T: Integer> Counter<T> {
    /// A counter of this process alone, from 0 in steps of 1. Needs no MPI, neither to run nor
    /// (without the feature `mpi`) to build.
    pub fn local() -> Self {
        Self::local_from(T::ZERO, T::ONE)
    }

    /// A counter of this process alone, with a start and a step of choice.
    ///
    /// # Panics
    /// If `step` is 0.
    #[track_caller]
    pub fn local_from(start: T, step: T) -> Self {
        assert!(step != T::ZERO, "{}", CreateError::ZeroStep);
        CounterOf { start, step }.local()
    }

    /// The next number: what the counter was before it was counted up by a step. Not collective.
    /// One atomic addition on the root's node, and a round trip to it elsewhere.
    ///
    /// # Panics
    /// Where [`try_next`](Self::try_next) would return an error: the numbers of `T` are used up, or
    /// MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn next(&self) -> T {
        let next = self.try_next();
        next.unwrap_or_else(|error| self.object.panic_with(&error))
    }

    /// [`next`](Self::next) that tells of the end of the type, or of MPI, by an error. Not
    /// collective.
    ///
    /// # Errors
    /// [`CounterError::UsedUp`], [`LockError::Finalized`].
    ///
    /// ```
    /// use mpisync::Counter;
    ///
    /// let counter = Counter::<u8>::local_from(254, 1);
    /// assert_eq!((counter.try_next(), counter.try_next()), (Ok(254), Ok(255)));
    /// assert!(counter.try_next().is_err());
    /// ```
    #[inline]
    pub fn try_next(&self) -> Result<T, CounterError> {
        if let (Some(step), Some(word)) = (self.small_step, self.word_here()) {
            self.object.check_usable()?;
            let next = self.range.next(word, step);
            return next.map_or_else(|| self.used_up(), |next| Ok(self.number(next)));
        }
        self.first_of(self.range.take(self.step, 1))
    }

    /// What the counter was before `amount` was added to it, which may be negative. The numbers in
    /// between are this rank's. Not collective.
    ///
    /// # Panics
    /// Where [`try_add`](Self::try_add) would return an error: there are not as many numbers in
    /// `T`, or MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn add(&self, amount: T) -> T {
        let before = self.try_add(amount);
        before.unwrap_or_else(|error| self.object.panic_with(&error))
    }

    /// [`add`](Self::add) that tells of the end of the type, or of MPI, by an error. Not
    /// collective.
    ///
    /// # Errors
    /// [`CounterError::UsedUp`] where the counter would leave its type; it stays as it was.
    /// [`LockError::Finalized`].
    #[inline]
    pub fn try_add(&self, amount: T) -> Result<T, CounterError> {
        self.first_of(self.range.add(amount))
    }

    /// What the next rank to count will get, if nobody counts in between. Not collective.
    ///
    /// # Panics
    /// If there is no such number, because those of `T` are used up, or MPI is finalized.
    #[track_caller]
    pub fn get(&self) -> T {
        self.add(T::ZERO)
    }

    /// Takes the next `count` numbers at once. Not collective.
    ///
    /// # Panics
    /// Where [`try_reserve`](Self::try_reserve) would return an error: there are not as many
    /// numbers in `T`, or MPI is finalized.
    ///
    /// ```
    /// # use mpisync::Counter;
    /// let counter = Counter::<i32>::local_from(10, 5);
    /// let mine: Vec<i32> = counter.reserve(3).collect();
    /// assert_eq!(mine, [10, 15, 20]);
    /// assert_eq!(counter.next(), 25);
    /// ```
    #[track_caller]
    pub fn reserve(&self, count: u64) -> Reserved<T> {
        let reserved = self.try_reserve(count);
        reserved.unwrap_or_else(|error| self.object.panic_with(&error))
    }

    /// [`reserve`](Self::reserve) that tells of the end of the type, or of MPI, by an error. Not
    /// collective.
    ///
    /// # Errors
    /// [`CounterError::UsedUp`] where there are fewer than `count` numbers left; none of them is
    /// taken. [`LockError::Finalized`].
    pub fn try_reserve(&self, count: u64) -> Result<Reserved<T>, CounterError> {
        if count == 0 {
            return Ok(Reserved::none());
        }
        let first = self.first_of(self.range.take(self.step, count))?;
        Ok(Reserved::new(first, self.step, count))
    }

    /// The numbers that this rank gets, one at a time, as long as they are before `end`: below it,
    /// or above it where the step is negative. Nothing is counted beyond the end, however many
    /// ranks come to it.
    ///
    /// # Panics
    /// `next` of the iterator, if MPI is finalized.
    pub fn up_to(&self, end: T) -> UpTo<'_, T> {
        self.up_to_by(end, 1)
    }

    /// [`up_to`](Self::up_to) that takes `block` numbers at a time, at least one: fewer round trips
    /// for ranks on other nodes, and ranks that are through sooner than others have less to take
    /// over from them.
    pub fn up_to_by(&self, end: T, block: u64) -> UpTo<'_, T> {
        UpTo::new(self, end, block.max(1))
    }

    accessors!(root, object; |_| {});

    /// What it counts up by.
    pub fn step(&self) -> T {
        self.step
    }

    /// Up to `count` numbers before `end`.
    #[track_caller]
    fn reserve_before(&self, end: T, count: u64) -> Reserved<T> {
        let take = self.range.take(self.step, count);
        self.reserve_some(take.before(self.start, end))
    }

    /// The next number, if there is one.
    #[track_caller]
    fn one_while_there_are(&self) -> Reserved<T> {
        let take = self.range.take(self.step, 1);
        self.reserve_some(take.while_there_are())
    }

    #[track_caller]
    fn reserve_some(&self, take: Take) -> Reserved<T> {
        match self.take(take) {
            Ok(Taken { first, count }) => Reserved::new(self.number(first), self.step, count),
            Err(error) => self.object.panic_with(&error),
        }
    }

    #[inline]
    fn first_of(&self, take: Take) -> Result<T, CounterError> {
        self.take(take).map(|taken| self.number(taken.first))
    }

    #[inline]
    fn take(&self, take: Take) -> Result<Taken, CounterError> {
        self.object.check_usable()?;
        let taken = match &self.client {
            None => take.from(self.word()),
            Some(client) => client.take(self.object.block(), take),
        };
        taken.map_or_else(|| self.used_up(), Ok)
    }

    /// The number this far from the start.
    #[inline]
    fn number(&self, distance: i64) -> T {
        T::from_bits(self.start.to_bits().wrapping_add(distance as u64))
    }

    #[cold]
    fn used_up<R>(&self) -> Result<R, CounterError> {
        Err(CounterError::UsedUp {
            type_name: type_name::<T>(),
            start: self.start.widen(),
            step: self.step.widen(),
        })
    }

    /// The word that ranks count in: how far the counter is from its start. None where it is on
    /// another node.
    #[inline]
    fn word_here(&self) -> Option<&AtomicU64> {
        self.client.is_none().then(|| self.word())
    }

    /// The word that ranks of the root's node count in.
    #[inline]
    fn word(&self) -> &AtomicU64 {
        self.count.word()
    }
}

/// A counter to be made.
#[derive(Debug)]
pub struct CounterOf<T> {
    pub(super) start: T,
    pub(super) step: T,
}

impl<T: Integer> Spec for CounterOf<T> {
    type Made = Counter<T>;
    const KIND: &'static str = "counter";

    fn arguments(&self) -> Vec<(&'static str, String)> {
        vec![
            ("type of numbers", type_name::<T>().to_owned()),
            ("start", self.start.to_string()),
            ("step", self.step.to_string()),
        ]
    }

    fn invalid(&self) -> Option<CreateError> {
        (self.step == T::ZERO).then_some(CreateError::ZeroStep)
    }

    fn layout(&self, _: i32) -> AnyLayout {
        AnyLayout::new(CounterLayout)
    }

    fn make(self, object: Object) -> Counter<T> {
        let CounterOf { start, step } = self;
        Counter {
            client: object.link().and_then(CounterClient::open),
            count: Count::new(object.block().first_part()),
            object,
            start,
            step,
            range: Range::new(start, step),
            small_step: Range::small_step(step),
        }
    }
}

/// The numbers that this rank gets, to the end of their type.
impl<'a, T: Integer> IntoIterator for &'a Counter<T> {
    type Item = T;
    type IntoIter = Values<'a, T>;

    fn into_iter(self) -> Values<'a, T> {
        Values::new(self)
    }
}

/// What it counts; where the number is on another node, not its value.
impl<T: Integer> fmt::Debug for Counter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_here = self.object.nodes() == 1;
        let value = is_here.then(|| {
            let distance = self.count.word().load(Ordering::Relaxed);
            self.number(distance as i64)
        });
        self.object
            .show(f, "Counter")
            .field("root", &self.root())
            .field("value", &value)
            .field("start", &self.start)
            .field("step", &self.step)
            .finish()
    }
}
