//! A number that all ranks count up together.

#[cfg(feature = "mpi")]
mod builder;
mod integer;
mod iter;

use crate::controller::WindowController;
use crate::error::{FenceError, LockError};
#[cfg(feature = "mpi")]
pub use builder::CounterOf;
pub use integer::Integer;
pub use iter::{Reserved, UpTo, Values};
use std::fmt;
use std::sync::atomic::Ordering;

/// A number that all ranks of a communicator count up: each value is given out once.
///
/// Made by [`Counter::new`] or [`Counter::builder`] and, for one process without MPI, [`Counter::local`]. Where the ranks
/// are on the root's node, a step is one atomic addition in shared memory; a rank of another node asks the root's node, and
/// waits a round trip for the answer. [`reserve`](Self::reserve) and [`up_to_by`](Self::up_to_by) take many numbers at once.
/// No rank has to take part in what another one counts: the lowest rank of the root's node answers for it in its progress
/// thread.
///
/// Numbers of type `T` wrap around at its ends. It stays on the thread that made it. Dropping it is local.
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
    /// Beside whose words the number is.
    base: WindowController,
    start: T,
    step: T,
}

impl<T: Integer> Counter<T> {
    /// A counter of this process alone, from 0 in steps of 1. Needs no MPI, neither to run nor (without the feature `mpi`) to
    /// build.
    pub fn local() -> Self {
        Self::local_from(T::ZERO, T::ONE)
    }

    /// A counter of this process alone, with a start and a step of choice.
    pub fn local_from(start: T, step: T) -> Self {
        Counter {
            base: WindowController::local(),
            start,
            step,
        }
    }

    /// The next number: what the counter was before it was counted up by a step. Not collective. One atomic addition on the
    /// root's node, and a round trip to it elsewhere.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn next(&self) -> T {
        self.add(self.step)
    }

    /// What the counter was before `amount` was added to it, which may be negative. Not collective.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn add(&self, amount: T) -> T {
        let before = self.try_add(amount);
        before.unwrap_or_else(|error| self.base.give_up(&error))
    }

    /// [`add`](Self::add) that tells of the end of MPI by an error.
    ///
    /// # Errors
    /// [`LockError::Finalized`].
    #[inline]
    pub fn try_add(&self, amount: T) -> Result<T, LockError> {
        self.base.check_usable()?;
        let before = self.count(amount.to_bits());
        Ok(T::from_bits(self.start.to_bits().wrapping_add(before)))
    }

    /// What the next rank to count will get, if nobody counts in between. Not collective.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn get(&self) -> T {
        self.add(T::ZERO)
    }

    /// Takes the next `count` numbers at once. Not collective.
    ///
    /// # Panics
    /// If MPI is finalized.
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
        let amount = self.step.to_bits().wrapping_mul(count);
        let first = self.add(T::from_bits(amount));
        Reserved::new(first, self.step, count)
    }

    /// The numbers that this rank gets, one at a time, as long as they are before `end`: below it, or above it where the step
    /// is negative. Each rank that comes to the end has counted a step beyond it.
    ///
    /// # Panics
    /// `next` of the iterator, if MPI is finalized.
    pub fn up_to(&self, end: T) -> UpTo<'_, T> {
        self.up_to_by(end, 1)
    }

    /// [`up_to`](Self::up_to) that takes `block` numbers at a time, at least one: fewer round trips for ranks on other nodes,
    /// and ranks that are through sooner than others have less to take over from them.
    pub fn up_to_by(&self, end: T, block: u64) -> UpTo<'_, T> {
        UpTo::new(self, end, block.max(1))
    }

    /// This rank's number in the communicator.
    pub fn rank(&self) -> i32 {
        self.base.rank()
    }

    /// How many ranks the communicator has.
    pub fn size(&self) -> i32 {
        self.base.size()
    }

    /// The rank on whose node the number is.
    pub fn root(&self) -> i32 {
        self.base.master()
    }

    /// What it counts up by.
    pub fn step(&self) -> T {
        self.step
    }

    /// Gives the counter's memory back on all ranks. Collective, waits for all.
    ///
    /// Dropping the counter does the same without waiting, once all ranks have dropped theirs.
    ///
    /// # Errors
    /// Those of [`WindowController::close`].
    #[track_caller]
    pub fn close(self) -> Result<(), FenceError> {
        self.base.meet_to_close()
    }

    #[inline]
    fn count(&self, amount: u64) -> u64 {
        #[cfg(feature = "mpi")]
        if let Some(tier) = self.base.tier()
            && tier.home != tier.hub.node()
        {
            return tier.count_at_home(self.base.block(), amount);
        }
        // AcqRel: who gets a number sees what those before it had done.
        let number = &self.base.block().shelf()[0];
        number.fetch_add(amount, Ordering::AcqRel)
    }
}

/// The numbers that this rank gets, without end.
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
        let is_here = self.base.nodes() == 1;
        let value = is_here.then(|| {
            let counted = self.base.block().shelf()[0].load(Ordering::Relaxed);
            T::from_bits(self.start.to_bits().wrapping_add(counted))
        });
        f.debug_struct("Counter")
            .field("name", &self.base.name())
            .field("value", &value)
            .field("start", &self.start)
            .field("step", &self.step)
            .field("root", &self.root())
            .field("rank", &self.rank())
            .field("size", &self.size())
            .finish()
    }
}
