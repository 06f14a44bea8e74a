//! A counter that the threads of a rank share.

use crate::error::CreateError;
use crate::shm::waiting::records::SeveralThreads;
use crate::sync::counter::{Counter, Integer};
use std::fmt;
use std::ops::Deref;

/// A counter that several threads of this rank use at the same time. It gives out each value once, to one
/// thread of one rank.
///
/// Made by [`Counter::shared`]. It dereferences to the [`Counter`], whose calls are those of each thread. On
/// the root's node they cost what they cost a rank with one thread. On another node, one thread of a rank
/// asks at a time: [`Counter::reserve`] takes many numbers at once.
///
/// ```
/// use mpisync::Counter;
///
/// let counter = Counter::<u32>::local();
/// let shared = counter.shared()?;
/// let sum: u32 = std::thread::scope(|scope| {
///     let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| shared.up_to(100).sum::<u32>())).collect();
///     threads.into_iter().map(|thread| thread.join().unwrap()).sum()
/// });
/// assert_eq!(sum, 99 * 100 / 2);
/// # Ok::<(), mpisync::CreateError>(())
/// ```
pub struct SharedCounter<'a, T: Integer = i64> {
    counter: &'a Counter<T>,
    _several: SeveralThreads,
}

// SAFETY: a counter keeps its value in an atomic, and asks another node under a mutex. All else that its calls use does
// not change after it was made. Its numbers are integers.
unsafe impl<T: Integer> Send for SharedCounter<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Integer> Sync for SharedCounter<'_, T> {}

impl<T: Integer> Counter<T> {
    /// Lets the threads of this rank use the counter together, as long as the result lives. Local: other
    /// ranks may do so or not.
    ///
    /// # Errors
    /// [`CreateError::SharedByThreads`] if the communicator spans nodes and MPI was not initialized with
    /// `MPI_THREAD_MULTIPLE`.
    pub fn shared(&self) -> Result<SharedCounter<'_, T>, CreateError> {
        self.object.check_threads()?;
        Ok(SharedCounter {
            counter: self,
            _several: SeveralThreads::begin(),
        })
    }
}

impl<T: Integer> Deref for SharedCounter<'_, T> {
    type Target = Counter<T>;

    #[inline]
    fn deref(&self) -> &Counter<T> {
        self.counter
    }
}

impl<T: Integer> fmt::Debug for SharedCounter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedCounter").field(self.counter).finish()
    }
}
