//! Taking several locks in one order.

use crate::error::LockError;
use crate::object::Object;
use crate::plain::Plain;
#[cfg(feature = "region")]
use crate::region::{Region, RegionReadGuard, RegionWriteGuard};
use crate::rwlock::controller::WindowController;
use crate::rwlock::guard::{ReadGuard, WriteGuard};
use crate::sync::{Mutex, MutexGuard};
use std::ptr;
use std::time::{Duration, Instant};

/// Takes several locks, and returns their guards in the order in which they are named. Waits until all
/// are there. Not collective.
///
/// The locks are taken in an order that all ranks share, whatever order the ranks name them in: by
/// communicator, then by the order in which a communicator's objects lie in its memory. So ranks that
/// take all their locks by one call of this function each cannot wait for each other in a circle. A
/// rank that has a lock already, and takes more, may.
///
/// | in the tuple | what is taken |
/// | --- | --- |
/// | `&WindowController`, `&Region` | the read lock |
/// | `&mut WindowController`, `&mut Region` | the write lock |
/// | `&mut Mutex` | the lock |
///
/// The objects may be of different communicators. A tuple has at most six.
///
/// # Panics
/// Where [`lock_all_timeout`] with [`Duration::MAX`] would return an error.
///
/// ```
/// use mpisync::prelude::*;
/// use mpisync::{Mutex, lock_all};
///
/// let mut from = Mutex::local_with(10);
/// let mut to = Mutex::local_with(0);
/// let rates = WindowController::local();
/// let (mut from, mut to, _rates) = lock_all((&mut from, &mut to, &rates));
/// *from -= 3;
/// *to += 3;
/// ```
#[track_caller]
pub fn lock_all<L: LockSet>(locks: L) -> L::Guards {
    match lock_all_timeout(locks, Duration::MAX) {
        Ok(guards) => guards,
        Err(error) => {
            panic!("lock_all: {error} (`lock_all_timeout` returns this as an error)")
        }
    }
}

/// [`lock_all`], which waits for at most `limit` until all locks are there. Not collective. Pass
/// [`Duration::MAX`] to wait indefinitely and still get failures as errors instead of a panic.
///
/// # Errors
/// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::HolderEnded`],
/// [`LockError::Deadlock`], [`LockError::Finalized`], of the lock that could not be taken. The others are
/// released.
///
/// ```
/// use mpisync::prelude::*;
/// use std::time::Duration;
///
/// let (mut results, input) = (WindowController::local(), WindowController::local());
/// let limit = Duration::from_secs(1);
/// let (_results, _input) = mpisync::lock_all_timeout((&mut results, &input), limit)?;
/// # Ok::<(), mpisync::LockError>(())
/// ```
#[track_caller]
pub fn lock_all_timeout<L: LockSet>(locks: L, limit: Duration) -> Result<L::Guards, LockError> {
    let deadline = Instant::now().checked_add(limit);
    locks.take(Limit { limit, deadline })
}

/// Locks that [`lock_all`] takes: a tuple. Implemented by types of this crate only.
pub trait LockSet: Sized {
    /// The guards, in the order of the locks.
    type Guards;

    #[doc(hidden)]
    #[track_caller]
    fn take(self, limit: Limit) -> Result<Self::Guards, LockError>;
}

/// A lock that [`lock_all`] takes. Implemented by types of this crate only.
pub trait Lock: Sized {
    /// Its guard.
    type Guard;

    #[doc(hidden)]
    fn place(&self) -> Place;

    #[doc(hidden)]
    #[track_caller]
    fn take(self, limit: Duration) -> Result<Self::Guard, LockError>;
}

/// A lock's place in the order: the number of its communicator, and its own one there.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place(u64, u64);

impl Place {
    fn of(object: &Object) -> Self {
        let block = object.block();
        match block.domain().number() {
            Some(number) => Place(number, block.identity()),
            // An object of this process alone, for which no other rank waits.
            None => Place(0, ptr::from_ref(block).addr() as u64),
        }
    }
}

/// The time limit of a call.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    limit: Duration,
    deadline: Option<Instant>,
}

impl Limit {
    /// What is left of it.
    fn left(self) -> Duration {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now());
        self.deadline.map_or(Duration::MAX, left)
    }

    /// The error of a lock, with the limit of the whole call.
    fn error(self, error: LockError) -> LockError {
        match error {
            LockError::Timeout { report, .. } => LockError::Timeout {
                waited: self.limit,
                report,
            },
            error => error,
        }
    }
}

macro_rules! tuples {
    ($($lock:ident $index:tt),+) => {
        impl<$($lock: Lock),+> LockSet for ($($lock,)+) {
            type Guards = ($($lock::Guard,)+);

            #[track_caller]
            fn take(self, limit: Limit) -> Result<Self::Guards, LockError> {
                let mut order = [$((self.$index.place(), $index)),+];
                order.sort_unstable();
                let mut locks = ($(Some(self.$index),)+);
                let mut guards = ($(None::<$lock::Guard>,)+);
                for (_, index) in order {
                    match index {
                        $($index => {
                            let lock = locks.$index.take().expect("each is taken once");
                            match lock.take(limit.left()) {
                                Ok(guard) => guards.$index = Some(guard),
                                Err(error) => return Err(limit.error(error)),
                            }
                        })+
                        _ => unreachable!("an index of the tuple"),
                    }
                }
                Ok(($(guards.$index.expect("all are taken"),)+))
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);

macro_rules! locks {
    ($([$($parameters:tt)*] $lock:ty => $guard:ty, $take:ident;)*) => {$(
        impl<'a, $($parameters)*> Lock for $lock {
            type Guard = $guard;

            fn place(&self) -> Place {
                Place::of(self.object())
            }

            #[track_caller]
            fn take(self, limit: Duration) -> Result<Self::Guard, LockError> {
                self.$take(limit)
            }
        }
    )*};
}

locks! {
    [] &'a WindowController => ReadGuard<'a>, read_timeout;
    [] &'a mut WindowController => WriteGuard<'a>, write_timeout;
    [T: Plain] &'a mut Mutex<T> => MutexGuard<'a, T>, lock_timeout;
}

#[cfg(feature = "region")]
locks! {
    [T: Plain, D: ndarray::Dimension] &'a Region<T, D> => RegionReadGuard<'a, T, D>, read_timeout;
    [T: Plain, D: ndarray::Dimension] &'a mut Region<T, D> => RegionWriteGuard<'a, T, D>, write_timeout;
}
