//! A number that all ranks increment together.

mod integer;
mod iter;
mod memory;
mod range;
mod remote;
mod shared;
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
pub use crate::sync::counter::shared::SharedCounter;
use crate::sync::spec::Spec;
use std::any::type_name;
use std::fmt;

/// A number that all ranks of a communicator increment. It gives out each value once.
///
/// Made by [`Counter::new`] or [`Counter::builder`], or for one process without MPI by
/// [`Counter::local`]. On the root's node, taking a number is one atomic addition in shared memory.
/// A rank of another node sends a request to the root's node and waits for one round trip.
/// [`reserve`](Self::reserve) and [`up_to_by`](Self::up_to_by) take many numbers at once. No other
/// rank has to take part: the lowest rank of the root's node answers in its progress thread.
///
/// A counter never wraps around. When the numbers of `T` are used up, taking one is an error, or a
/// panic in the methods that return no error. A counter of a 64-bit type ends at a distance of 2^62
/// from its start.
///
/// A counter stays on the thread that made it; [`shared`](Self::shared) lets the threads of a rank count.
/// Dropping it is local.
///
/// ```
/// use mpisync::Counter;
///
/// let counter = Counter::<u32>::local();
/// assert_eq!((counter.next(), counter.next()), (0, 1));
/// assert_eq!(counter.add(10), 2);
/// // Dynamic work sharing: each rank takes the next free task.
/// let mine: Vec<u32> = counter.up_to(15).collect();
/// assert_eq!(mine, [12, 13, 14]);
/// ```
pub struct Counter<T: Integer = i64> {
    object: Object,
    /// The word of the counter. Valid on the root's node only.
    count: Count,
    /// The client, if the counter is on another node.
    client: Option<CounterClient>,
    start: T,
    step: T,
    range: Range,
    /// The step, if it is small enough to be added before the range is checked.
    small_step: Option<i64>,
}

/// The reason why a counter gave out no number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CounterError {
    /// Too few numbers are left in the counter's type. The counter is unchanged.
    #[error(
        "the counter has reached the end of `{type_name}`: from {start} in steps of {step}, fewer numbers are left than were \
         asked for; count in a larger type, or up to an end (`Counter::up_to`)"
    )]
    UsedUp {
        /// The type of the numbers.
        type_name: &'static str,
        /// The first number.
        start: i128,
        /// The step.
        step: i128,
    },
    /// MPI was finalized, or a host is lost.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl<T: Integer> Counter<T> {
    /// Makes a counter for this process alone, from 0 in steps of 1. Needs no MPI, neither to run
    /// nor (without the feature `mpi`) to build.
    pub fn local() -> Self {
        let (start, step) = (T::ZERO, T::ONE);
        CounterOf { start, step }.local()
    }

    /// Makes a counter for this process alone, from `start` in steps of `step`.
    ///
    /// # Errors
    /// [`CreateError::ZeroStep`].
    pub fn local_from(start: T, step: T) -> Result<Self, CreateError> {
        CounterOf { start, step }.local_if_valid()
    }

    /// Takes the next number, and increments the counter by one step. Not collective. Costs one
    /// atomic addition on the root's node, and a round trip to it from other nodes.
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

    /// Like [`next`](Self::next), but returns failures as errors. Not collective.
    ///
    /// # Errors
    /// [`CounterError::UsedUp`], [`LockError::Finalized`].
    ///
    /// ```
    /// use mpisync::Counter;
    ///
    /// let counter = Counter::<u8>::local_from(254, 1)?;
    /// assert_eq!((counter.try_next(), counter.try_next()), (Ok(254), Ok(255)));
    /// assert!(counter.try_next().is_err());
    /// # Ok::<(), mpisync::CreateError>(())
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

    /// Adds `amount`, which may be negative, to the counter, and returns its value before. The
    /// numbers in between belong to this rank. Not collective.
    ///
    /// # Panics
    /// Where [`try_add`](Self::try_add) would return an error: too few numbers of `T` are left, or
    /// MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn add(&self, amount: T) -> T {
        let before = self.try_add(amount);
        before.unwrap_or_else(|error| self.object.panic_with(&error))
    }

    /// Like [`add`](Self::add), but returns failures as errors. Not collective.
    ///
    /// # Errors
    /// [`CounterError::UsedUp`] if the result is outside of `T`, [`LockError::Finalized`]. The
    /// counter is unchanged then.
    #[inline]
    pub fn try_add(&self, amount: T) -> Result<T, CounterError> {
        self.first_of(self.range.add(amount))
    }

    /// The number that the next caller gets, if no rank counts in between. Not collective.
    ///
    /// # Panics
    /// If the numbers of `T` are used up, or MPI is finalized.
    #[track_caller]
    pub fn get(&self) -> T {
        self.add(T::ZERO)
    }

    /// Takes the next `count` numbers at once. Not collective.
    ///
    /// # Panics
    /// Where [`try_reserve`](Self::try_reserve) would return an error: too few numbers of `T` are
    /// left, or MPI is finalized.
    ///
    /// ```
    /// # use mpisync::Counter;
    /// let counter = Counter::<i32>::local_from(10, 5)?;
    /// let mine: Vec<i32> = counter.reserve(3).collect();
    /// assert_eq!(mine, [10, 15, 20]);
    /// assert_eq!(counter.next(), 25);
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn reserve(&self, count: u64) -> Reserved<T> {
        let reserved = self.try_reserve(count);
        reserved.unwrap_or_else(|error| self.object.panic_with(&error))
    }

    /// Like [`reserve`](Self::reserve), but returns failures as errors. Not collective.
    ///
    /// # Errors
    /// [`CounterError::UsedUp`] if fewer than `count` numbers are left, [`LockError::Finalized`].
    /// No number is taken then.
    pub fn try_reserve(&self, count: u64) -> Result<Reserved<T>, CounterError> {
        if count == 0 {
            return Ok(Reserved::none());
        }
        let first = self.first_of(self.range.take(self.step, count))?;
        Ok(Reserved::new(first, self.step, count))
    }

    /// An iterator that takes one number at a time while it is before `end`: below `end`, or above
    /// it if the step is negative. Numbers from `end` on are never taken, however many ranks reach
    /// it. Not collective.
    ///
    /// # Panics
    /// `next` of the iterator panics if MPI is finalized.
    pub fn up_to(&self, end: T) -> UpTo<'_, T> {
        self.up_to_by(end, 1)
    }

    /// Like [`up_to`](Self::up_to), but takes `block` numbers at a time, at least one. Larger
    /// blocks cost fewer round trips for ranks of other nodes; smaller blocks balance the work
    /// better between fast and slow ranks. Not collective.
    pub fn up_to_by(&self, end: T, block: u64) -> UpTo<'_, T> {
        UpTo::new(self, end, block.max(1))
    }

    accessors!(root, object; |_| {});

    /// The difference between one number and the next.
    pub fn step(&self) -> T {
        self.step
    }

    /// Reserves up to `count` numbers before `end`.
    #[track_caller]
    fn reserve_before(&self, end: T, count: u64) -> Reserved<T> {
        let take = self.range.take(self.step, count);
        self.reserve_some(take.before(self.start, end))
    }

    /// Reserves the next number, if there is one.
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
            Some(client) => client
                .take(self.object.block(), take)
                .map_err(LockError::from)?,
        };
        taken.map_or_else(|| self.used_up(), Ok)
    }

    /// The number at this distance from the start.
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

    /// The word of the counter, which holds its distance from the start. None if it is on another
    /// node.
    #[inline]
    fn word_here(&self) -> Option<&AtomicU64> {
        self.client.is_none().then(|| self.word())
    }

    /// The word of the counter, valid on the root's node only.
    #[inline]
    fn word(&self) -> &AtomicU64 {
        self.count.word()
    }
}

/// The arguments of a [`Counter`].
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

/// Takes one number at a time, up to the last one of `T`.
impl<'a, T: Integer> IntoIterator for &'a Counter<T> {
    type Item = T;
    type IntoIter = Values<'a, T>;

    fn into_iter(self) -> Values<'a, T> {
        Values::new(self)
    }
}

/// Shows the value only if the communicator has one node.
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
