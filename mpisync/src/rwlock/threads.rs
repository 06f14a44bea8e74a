//! Controllers of ranks that are threads of one process.

use crate::error::CreateError;
use crate::object::{Object, ThreadObject};
use crate::rwlock::controller::{CONTROLLER, WindowController};
use crate::rwlock::global::token::MAX_LOCAL_HANDOVERS;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, ScopedJoinHandle};

/// Ranks that are threads of this process and share one controller, each of which still has to get its
/// thread.
///
/// Made by [`WindowController::threads`].
#[derive(Debug)]
#[must_use = "a rank that is dropped has ended"]
pub struct ThreadRanks {
    ranks: Vec<ThreadRank>,
    /// One more than the first rank that has ended by a panic, or 0.
    first_panicked: Arc<AtomicU32>,
}

/// A rank that still has to get its thread. If it is dropped, the rank has ended.
#[must_use = "a rank that is dropped has ended"]
pub struct ThreadRank(ThreadObject);

impl WindowController {
    /// Makes one controller for `size` ranks that are threads of this process, to test functions that
    /// take a controller. Needs no MPI, neither to run nor (without the feature `mpi`) to build.
    ///
    /// The threads lock, share values and make collective calls as ranks of one node do, by the same
    /// code over memory of this process. The master is rank 0. A rank has ended when its controller is
    /// dropped, or with its thread; those that wait for it get an error such as
    /// [`CollectiveError::RankEnded`](crate::error::CollectiveError::RankEnded).
    ///
    /// ```
    /// use mpisync::prelude::*;
    ///
    /// /// Returns the number that the master has chosen.
    /// fn agree(ctrl: &mut WindowController) -> i32 {
    ///     match ctrl.single_write() {
    ///         Access::Writer(fence) => fence.share(42),
    ///         Access::Excluded(fence) => fence.collect(),
    ///     }
    ///     .expect("all ranks come")
    /// }
    ///
    /// let numbers = WindowController::threads(4)?.run(|mut ctrl| agree(&mut ctrl));
    /// assert_eq!(numbers, [42; 4]);
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    ///
    /// # Errors
    /// [`CreateError::NumberOfThreads`] for no threads, and for more than
    /// [`MAX_THREADS`](ThreadRanks::MAX_THREADS).
    pub fn threads(size: usize) -> Result<ThreadRanks, CreateError> {
        let most = ThreadRanks::MAX_THREADS;
        if !(1..=most).contains(&size) {
            let threads = size;
            return Err(CreateError::NumberOfThreads { threads, most });
        }
        let (objects, first_panicked) = Object::of_threads(size, &CONTROLLER);
        let ranks = objects.map(ThreadRank).collect();
        Ok(ThreadRanks {
            ranks,
            first_panicked,
        })
    }
}

impl ThreadRanks {
    /// The largest number of threads: 1,024.
    pub const MAX_THREADS: usize = 1024;

    /// Runs `work` on all ranks, each on a thread of its own, and returns their values in the order of
    /// the ranks. Waits for all of them.
    ///
    /// # Panics
    /// If `work` panics on a rank, with that panic; of several, with that of the rank whose controller
    /// was the first to be dropped in a panic.
    pub fn run<T: Send>(self, work: impl Fn(WindowController) -> T + Sync) -> Vec<T> {
        let ended: Vec<thread::Result<T>> = thread::scope(|scope| {
            let work = &work;
            let begin = |rank: ThreadRank| scope.spawn(move || work(rank.controller()));
            let threads: Vec<_> = self.ranks.into_iter().map(begin).collect();
            threads.into_iter().map(ScopedJoinHandle::join).collect()
        });
        let first = self.first_panicked.load(Ordering::Relaxed) as usize;
        let (mut values, mut panics) = (Vec::with_capacity(ended.len()), Vec::new());
        for (rank, ended) in ended.into_iter().enumerate() {
            match ended {
                Ok(value) => values.push(value),
                Err(panic) => panics.push((rank + 1 != first, panic)),
            }
        }
        if let Some((_, panic)) = panics.into_iter().min_by_key(|(is_later, _)| *is_later) {
            resume_unwind(panic);
        }
        values
    }
}

/// The ranks in their order, for threads of the caller's own.
impl IntoIterator for ThreadRanks {
    type Item = ThreadRank;
    type IntoIter = std::vec::IntoIter<ThreadRank>;

    fn into_iter(self) -> Self::IntoIter {
        self.ranks.into_iter()
    }
}

impl ThreadRank {
    /// Makes this thread the rank, and returns its controller. Not collective.
    ///
    /// ```
    /// use mpisync::prelude::*;
    /// use std::thread;
    ///
    /// thread::scope(|scope| {
    ///     for rank in WindowController::threads(2)? {
    ///         scope.spawn(move || {
    ///             let mut ctrl = rank.controller();
    ///             let _writing = ctrl.write();
    ///         });
    ///     }
    ///     Ok::<(), mpisync::CreateError>(())
    /// })?;
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    pub fn controller(self) -> WindowController {
        let object = self.0.enter("controller", "threads".to_owned());
        WindowController::new(object, MAX_LOCAL_HANDOVERS)
    }

    /// The number of the rank.
    pub fn rank(&self) -> i32 {
        self.0.rank()
    }
}

impl std::fmt::Debug for ThreadRank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ThreadRank").field(&self.rank()).finish()
    }
}
