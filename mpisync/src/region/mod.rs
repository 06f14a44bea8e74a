//! Arrays in memory that the ranks of a node share, accessible through guards only.
//!
//! # How it works
//! A region is a lock that owns its data. Each node has one copy of the items in shared memory,
//! however many ranks it has. A rank reads its node's copy in place, as an `ndarray` array, while
//! it holds a [`RegionReadGuard`]. While a rank holds a [`RegionWriteGuard`], no other rank of any
//! node reads or writes. The lock is that of a [`WindowController`], with the same guarantees: a
//! read lock costs a few nanoseconds and no message, a rank that computes delays no other rank,
//! waiting writers take precedence, and readers do not starve.
//!
//! # Over several nodes
//! A writer changes the copy of its own node. The methods of its guard that lend items for writing
//! record which. When the guard is dropped, the changed items are sent to the other nodes, from
//! memory to memory and along a tree if there are many nodes, and no rank gets the lock before its
//! node has them. The ranks of the other nodes take no part in this: the lowest rank of each node
//! applies the change in its progress thread. No rank of any node sees half of a change. Only the
//! items that were lent are sent, for example a row of the array.
//!
//! Two destructors wait for the network, until all nodes have the change: that of a guard that writes
//! 32 KiB or more, or more than 16 runs of consecutive items, and that of a part. If a writer of the
//! whole has changed less, the lock waits in its place: the next writer until all nodes have the
//! change, a reader until its node has. [`publish`](RegionWriteGuard::publish) sends earlier, and
//! waits in any case.
//! As for the lock, the lowest rank of each node has to be alive: if it dies, writers of other nodes wait for it.
//!
//! # Ways to write
//! | method | called by | effect |
//! | --- | --- | --- |
//! | [`write`](Region::write) | any rank | takes the lock and lends items until the guard is dropped |
//! | [`write_part`](Region::write_part) | any rank | takes some rows and lends them; other ranks may write other rows at the same time |
//! | [`update`](Region::update) | all ranks | one rank runs a closure with the guard, the others wait for its outcome |
//! | `#[mpisync::single_write]` | all ranks | the same, written as a function that takes a `&mut Region` |
//! | [`set`](Region::set), [`set_from_any`](Region::set_from_any) | all ranks | one rank copies data from its own memory |
//!
//! ```
//! use mpisync::Region;
//! use ndarray::{Ix2, s};
//!
//! let mut field = Region::<f64, Ix2>::local([4, 6])?;
//! {
//!     let mut items = field.write();
//!     items[[0, 1]] = 0.5;
//!     items.slice_mut(s![2..4, ..]).fill(1.0);
//! }
//! let items = field.read();
//! assert_eq!(items.sum(), 12.5);
//! assert_eq!(items.row(3).len(), 6);
//! # Ok::<(), mpisync::CreateError>(())
//! ```
//!
//! # Parts
//! Several ranks may hold [parts](Region::write_part) at the same time, on one node and on several.
//! Parts are ranges of rows. Those that overlap wait for each other; readers and writers of the whole
//! region wait for all parts, and parts for them. Each rank holds one part at a time, because a guard
//! borrows the region.
//!
//! ```
//! use mpisync::Region;
//! use ndarray::Ix2;
//!
//! /// Each rank computes its block of rows, all at the same time.
//! fn step(field: &mut Region<f64, Ix2>) {
//!     let rows = field.shape()[0] / field.size() as usize;
//!     let first = rows * field.rank() as usize;
//!     let mut part = field.write_part(first..first + rows);
//!     part.view_mut().mapv_inplace(|item| item + 1.0);
//! }
//!
//! let mut field = Region::<f64, Ix2>::local([4, 6])?;
//! step(&mut field);
//! assert_eq!(field.read().sum(), 24.0);
//! # Ok::<(), mpisync::CreateError>(())
//! ```
//!
//! The ranks with parts hold the write lock together. The first one takes it as any writer does, and
//! the last one releases it, whoever that is. Joining them takes no message on one node, and over
//! several nodes one round trip to the node of the [master](Region::master). Readers check no more
//! than without parts.
//!
//! # When a rank dies
//! The death of a reader releases its read lock. A writer that dies may leave the items half
//! changed, so the lock is poisoned: the others get [`LockError::HolderDied`] until one of them
//! [takes it over](Region::take_over) or [clears the poison](Region::clear_poison). The same holds for
//! the writer of a part; other ranks keep the parts that they have. A writer that panics releases the
//! lock as usual, and the others see its changes up to then.

#[cfg(feature = "mpi")]
mod builder;
mod changes;
mod collective;
mod dimensions;
mod error;
mod extent;
mod guard;
mod lent;
pub(crate) mod macros;
mod part;
mod place;
mod publish;
mod remote;
pub(crate) mod shared;
#[cfg(all(test, not(loom)))]
mod tests;

use crate::error::{CollectiveError, CreateError, LockError};
use crate::object::Object;
use crate::plain::Plain;
#[cfg(feature = "mpi")]
pub use crate::region::builder::RegionBuilder;
pub use crate::region::dimensions::FitsRegion;
pub use crate::region::error::RegionError;
use crate::region::extent::Extent;
pub use crate::region::guard::{RegionReadGuard, RegionWriteGuard};
pub use crate::region::part::RegionPartGuard;
use crate::region::remote::Replicas;
pub use crate::region::shared::{SharedRegion, SharedRegionGuard};
use crate::rwlock::controller::WindowController;
use crate::rwlock::guard::ReadGuard;
use crate::rwlock::range::RangeLock;
use crate::shm::limits;
use crate::shm::mapping::{ALIGN, Mapping};
use ndarray::{Dimension, IntoDimension, IxDyn, RawArrayViewMut};
use std::any::type_name;
use std::fmt;
use std::io;
use std::ops::Range;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// An array that all ranks of a communicator share, with one copy per node, and the lock that
/// guards it.
///
/// Made by [`Region::new`], [`Region::from_root`] or [`Region::builder`] and, for one process
/// without MPI, by [`Region::local`]. `T` is [`Plain`]: a number, an array of plain values, or a
/// struct with `#[derive(Clone, Copy, mpisync::Equivalence)]`. `D` is the number of dimensions, as
/// in `ndarray`: `Region<f64>` has any number, known at run time, and `Region<f64, Ix2>` has two.
/// Items are in row-major order.
///
/// A region stays on the thread that made it. Dropping it is local: the other ranks can continue to
/// use theirs. See the [module](self) for how it works.
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let mut field = Region::<f64>::new(&universe.world(), [64, 64])?;
/// field.write().fill(1.0); // this rank alone
/// println!("{}", field.read().sum()); // with all other readers, without a copy
/// # Ok::<(), mpisync::CreateError>(())
/// ```
pub struct Region<T: Plain, D: Dimension = IxDyn> {
    lock: WindowController,
    /// The parts of the items that ranks write at the same time.
    parts: RangeLock,
    /// The copies on other nodes, if there are any.
    replicas: Option<Replicas>,
    /// The items of this node's copy. Accessing them requires the lock.
    items: RawArrayViewMut<T, D>,
    /// Keeps their memory mapped. None if there are no items.
    memory: Option<Arc<Mapping>>,
}

impl<T: Plain, D: Dimension> Region<T, D> {
    /// A region of this process alone, all bytes of which are zero. Needs no MPI to run, nor to
    /// build without the feature `mpi`.
    ///
    /// # Errors
    /// [`CreateError::Shape`], [`CreateError::NoRoom`], [`CreateError::Memory`].
    pub fn local(shape: impl IntoDimension<Dim: FitsRegion<D>>) -> Result<Self, CreateError> {
        let extent = Extent::new::<T>(shape)?;
        limits::check_private(extent.bytes::<T>()).map_err(|short| short.on(0))?;
        let memory = match extent.bytes::<T>() {
            0 => None,
            bytes => {
                let memory = Mapping::try_private(bytes).ok_or_else(|| CreateError::Memory {
                    rank: 0,
                    error: Arc::new(io::ErrorKind::OutOfMemory.into()),
                })?;
                Some(Arc::new(memory))
            }
        };
        Ok(Self::with(WindowController::local(), extent, memory))
    }

    /// The region of this extent with its items in `memory`, which has their length; None if there
    /// are no items.
    fn with(lock: WindowController, extent: Extent<D>, memory: Option<Arc<Mapping>>) -> Self {
        const { assert!(align_of::<T>() <= ALIGN, "a type of a common alignment") };
        let length = memory.as_ref().map_or(0, |memory| memory.length());
        assert_eq!(length, extent.bytes::<T>(), "memory for the items");
        let start = memory
            .as_ref()
            .map_or(NonNull::dangling(), |memory| memory.start().cast());
        // SAFETY: the pointer is aligned, and the memory behind it has all items of the shape.
        let items = unsafe { RawArrayViewMut::from_shape_ptr(extent.dim, start.as_ptr()) };
        Region {
            parts: RangeLock::open(lock.lock()),
            replicas: (lock.object().link())
                .map(|link| Replicas::open(link, lock.block(), memory.as_ref())),
            lock,
            items,
            memory,
        }
    }

    /// Frees the region's memory on all ranks. Collective, waits for all ranks.
    ///
    /// Without it, the memory is freed once all ranks have dropped the region.
    ///
    /// # Errors
    /// [`CollectiveError::Diverged`] if another rank is in another collective call;
    /// [`CollectiveError::OutOfStep`], [`CollectiveError::RankDied`], and [`LockError::Finalized`].
    #[track_caller]
    pub fn close(mut self) -> Result<(), CollectiveError> {
        self.forget_leaked_guards();
        self.lock.meet_to_close()?;
        if let Some(replicas) = &self.replicas {
            replicas.close();
        }
        Ok(())
    }
}

impl<T: Plain, D: Dimension> Region<T, D> {
    /// The length of each axis.
    pub fn shape(&self) -> &[usize] {
        self.items.shape()
    }

    /// The number of dimensions.
    pub fn ndim(&self) -> usize {
        self.items.ndim()
    }

    /// The number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it has no items, because an axis has length 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The size of the items in bytes, of which each node has one copy. The lock takes a few
    /// hundred bytes per rank in addition.
    pub fn bytes_per_node(&self) -> usize {
        self.len() * size_of::<T>()
    }

    /// This rank's number in the communicator.
    #[inline]
    pub fn rank(&self) -> i32 {
        self.lock.rank()
    }

    /// The number of ranks of the communicator.
    #[inline]
    pub fn size(&self) -> i32 {
        self.lock.size()
    }

    /// The number of nodes of the communicator, which is the number of copies of the items.
    pub fn nodes(&self) -> i32 {
        self.lock.nodes()
    }

    /// The rank that writes in [`update`](Self::update).
    #[inline]
    pub fn master(&self) -> i32 {
        self.lock.master()
    }

    /// Whether this rank is the master.
    #[inline]
    pub fn is_master(&self) -> bool {
        self.lock.is_master()
    }

    /// The name it was given, which appears in messages.
    #[inline]
    pub fn name(&self) -> &str {
        self.lock.name()
    }

    pub(crate) fn object(&self) -> &Object {
        self.lock.object()
    }

    fn spans_nodes(&self) -> bool {
        self.nodes() > 1
    }

    /// Takes the read lock and returns a view of the items; waits while another rank writes or
    /// waits to write. Not collective.
    ///
    /// # Panics
    /// If [`read_timeout`](Self::read_timeout) would return an error: a rank died as a writer, or
    /// MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> RegionReadGuard<'_, T, D> {
        let lock = self.lock_read(None);
        let lock = lock.unwrap_or_else(|error| self.lock.panic_with(&error));
        RegionReadGuard::new(self, lock)
    }

    #[inline]
    #[track_caller]
    fn lock_read(&self, limit: Option<Duration>) -> Result<ReadGuard<'_>, LockError> {
        self.lock.lock_read_after(limit, || self.end_leaked_part())
    }

    /// Takes the read lock if no rank writes or waits to write. Not collective, does not wait.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_read(&self) -> Option<RegionReadGuard<'_, T, D>> {
        let mut lock = self.lock.try_read();
        if lock.is_none() && self.parts.held().is_some() {
            self.end_leaked_part();
            lock = self.lock.try_read();
        }
        Some(RegionReadGuard::new(self, lock?))
    }

    /// Takes the read lock; waits for at most `limit`. Not collective. Pass [`Duration::MAX`] to
    /// wait indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::HolderEnded`],
    /// [`LockError::Finalized`].
    #[track_caller]
    pub fn read_timeout(&self, limit: Duration) -> Result<RegionReadGuard<'_, T, D>, LockError> {
        let lock = self.lock_read(Some(limit))?;
        Ok(RegionReadGuard::new(self, lock))
    }

    /// Takes the write lock and lends the items; waits until no other rank writes or reads. Not
    /// collective.
    ///
    /// # Panics
    /// If [`write_timeout`](Self::write_timeout) would return an error: a rank died as a writer, or
    /// MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn write(&mut self) -> RegionWriteGuard<'_, T, D> {
        self.forget_leaked_guards();
        let lock = self.lock.lock_write(None);
        let lock = lock.unwrap_or_else(|error| self.lock.panic_with(&error));
        RegionWriteGuard::new(self, lock)
    }

    /// Takes the write lock if no other rank holds or wants the lock. Not collective, does not
    /// wait.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_write(&mut self) -> Option<RegionWriteGuard<'_, T, D>> {
        self.forget_leaked_guards();
        let lock = self.lock.try_lock_write();
        let lock = lock.unwrap_or_else(|error| self.lock.panic_with(&error))?;
        Some(RegionWriteGuard::new(self, lock))
    }

    /// Takes the write lock; waits for at most `limit`. Not collective. Pass [`Duration::MAX`] to
    /// wait indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::HolderEnded`],
    /// [`LockError::Finalized`].
    #[track_caller]
    pub fn write_timeout(
        &mut self,
        limit: Duration,
    ) -> Result<RegionWriteGuard<'_, T, D>, LockError> {
        self.forget_leaked_guards();
        let lock = self.lock.lock_write(Some(limit))?;
        Ok(RegionWriteGuard::new(self, lock))
    }

    /// Takes the write lock over from a rank that died while it held it, and lends the items. Not
    /// collective; any rank may call it. Returns `None` if the region is not poisoned, also because
    /// another rank has taken it over already.
    ///
    /// The dead rank may have written any item: take all of them for half changed. If the region
    /// spans nodes, they are those of this rank's node; when the guard is dropped, all of them are
    /// sent to the other nodes, so that all copies are the same again. If this rank dies with the
    /// guard, the region is poisoned again.
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    /// use std::time::Duration;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let mut field = Region::<f64>::new(&universe.world(), [64, 64])?;
    /// let read = field.read_timeout(Duration::MAX).map(|items| items.sum());
    /// if let Err(LockError::HolderDied { .. }) = read
    ///     && let Some(mut items) = field.take_over()?
    /// {
    ///     items.fill(0.0);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`WindowController::take_over`].
    #[track_caller]
    pub fn take_over(&mut self) -> Result<Option<RegionWriteGuard<'_, T, D>>, LockError> {
        self.forget_leaked_guards();
        let Some(lock) = self.lock.take_over_lock(Location::caller())? else {
            return Ok(None);
        };
        let mut guard = RegionWriteGuard::new(self, lock);
        guard.note_all();
        Ok(Some(guard))
    }

    /// Makes the region usable again after a rank has poisoned it by its death, with the items as
    /// they are. Not collective; any rank may call it. Returns the numbers of the items that may be
    /// half changed, in memory order: all of them, because a writer may write any. Returns `None` if
    /// there was no death to clear; of several ranks that call it at the same time, one gets the
    /// range.
    ///
    /// To look at the items first, use [`take_over`](Self::take_over).
    ///
    /// # Errors
    /// Those of [`take_over`](Self::take_over).
    #[track_caller]
    pub fn clear_poison(&mut self) -> Result<Option<Range<usize>>, LockError> {
        let items = 0..self.len();
        Ok(self.take_over()?.map(|_guard| items))
    }
}

impl<T: Plain, D: Dimension> Drop for Region<T, D> {
    fn drop(&mut self) {
        self.forget_leaked_guards();
    }
}

/// Shows the properties of the region and its items, shortened as `ndarray` does. Takes the read
/// lock; omits the items if the lock is not available at once.
impl<T: Plain + fmt::Display, D: Dimension> fmt::Display for Region<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, ranks) = (self.nodes(), self.size());
        let plural = |count: i32| if count == 1 { "" } else { "s" };
        writeln!(
            f,
            "<Region {:?}, one copy on each of {nodes} node{} for {ranks} rank{}",
            self.name(),
            plural(nodes),
            plural(ranks),
        )?;
        writeln!(
            f,
            "  shape = {:?}, items = {}, {} bytes a node",
            self.shape(),
            type_name::<T>(),
            self.bytes_per_node(),
        )?;
        match self.lock_read(Some(Duration::ZERO)) {
            Ok(lock) => write!(f, "{}\n>", RegionReadGuard::new(self, lock).view()),
            Err(error) => write!(f, "  not available: {error}\n>"),
        }
    }
}

impl<T: Plain, D: Dimension> fmt::Debug for Region<T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("items", &type_name::<T>())
            .field("shape", &self.shape())
            .field("bytes_per_node", &self.bytes_per_node())
            .field("lock", &self.lock)
            .finish()
    }
}
