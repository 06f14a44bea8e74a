//! Regions: an array in memory that the ranks of a node share, one copy a node, which only guards
//! reach.
//!
//! # How it works
//! A region is a lock that owns its data. On each node the items lie in shared memory once, however
//! many ranks the node has. A rank reads its node's copy in place, as an `ndarray` array, while it
//! holds a [`RegionReadGuard`]; a rank that writes has a [`RegionWriteGuard`], and then no other
//! rank of any node reads or writes. It is the lock of a [`WindowController`], with the same
//! promises: a reader costs a few nanoseconds and sends nothing, a rank that computes holds nobody
//! up, waiting writers come first and readers are not starved.
//!
//! # Over several nodes
//! A writer changes the copy of its own node, and lends out parts of it by methods that note which.
//! When its guard goes, the changed parts are sent to the other nodes, from its memory into theirs
//! and down a tree where there are many, and the lock is let go once all of them have it. The ranks
//! of the other nodes take no part in it: the lowest rank of each node takes changes over in its
//! progress thread. Nobody sees half of a change, on any node. What is sent is what was lent: a row
//! and not the whole array.
//!
//! That makes the drop of a write guard the one destructor that waits for the network, as long as
//! the change takes to travel. [`publish`](RegionWriteGuard::publish) does it before. As for the
//! lock, the lowest rank of each node has to live: if it dies, writers of other nodes wait for it.
//!
//! # Ways to write
//! | | who calls it | |
//! | --- | --- | --- |
//! | [`write`](Region::write) | any rank | takes the lock, lends items until the guard goes |
//! | [`update`](Region::update) | all ranks | one rank runs a closure with the guard, the others wait for its outcome |
//! | `#[mpisync::single_write]` | all ranks | the same, written as a function that takes a `&mut Region` |
//! | [`set`](Region::set), [`set_from_any`](Region::set_from_any) | all ranks | one rank has the data, in its own memory |
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
//! # When a rank dies
//! One that reads is as one that has left. One that dies while it writes leaves the items half
//! changed, and so the lock is lost: the others get [`LockError::HolderDied`]. A writer that panics
//! lets go of the lock like any other, and the others see what it had changed by then.

#[cfg(feature = "mpi")]
mod builder;
mod changes;
mod collective;
mod dimensions;
mod error;
mod extent;
mod guard;
mod place;
#[cfg(feature = "mpi")]
pub(crate) mod remote;

use crate::error::{CollectiveError, CreateError, LockError};
use crate::plain::Plain;
#[cfg(feature = "mpi")]
pub use crate::region::builder::RegionBuilder;
pub use crate::region::dimensions::FitsRegion;
pub use crate::region::error::RegionError;
use crate::region::extent::Extent;
pub use crate::region::guard::{RegionReadGuard, RegionWriteGuard};
#[cfg(feature = "mpi")]
use crate::region::remote::Replicas;
use crate::rwlock::controller::WindowController;
use crate::rwlock::guard::WriteGuard;
#[cfg(feature = "mpi")]
use crate::shm::copy::CopyBytes;
use crate::shm::limits;
use crate::shm::mapping::{ALIGN, Mapping};
use ndarray::{Dimension, IntoDimension, IxDyn, RawArrayViewMut};
use std::any::type_name;
use std::fmt;
use std::io;
use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

/// An array that all ranks of a communicator share, one copy a node, and the lock that guards it.
///
/// Made by [`Region::new`], [`Region::from_root`] or [`Region::builder`] and, for one process
/// without MPI, [`Region::local`]. `T` is [`Plain`]: a number, an array of such, or a struct with
/// `#[derive(Clone, Copy, mpisync::Equivalence)]`. `D` is the number of dimensions, as in
/// `ndarray`: `Region<f64>` has any, found out at run time, and `Region<f64, Ix2>` two. Items are
/// in row-major order.
///
/// It stays on the thread that made it. Dropping it is local: the other ranks may go on using
/// theirs. The [module](self) tells how it works.
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
    /// The copies on other nodes, if there are any.
    #[cfg(feature = "mpi")]
    replicas: Option<Replicas>,
    /// The items of this node's copy. Who reads and writes them holds the lock.
    items: RawArrayViewMut<T, D>,
    /// Keeps their memory mapped. None where there are no items.
    #[cfg_attr(not(feature = "mpi"), expect(dead_code, reason = "it is only kept"))]
    memory: Option<Arc<Mapping>>,
}

impl<T: Plain, D: Dimension> Region<T, D> {
    /// A region of this process alone, all bytes of which are zero. Needs no MPI, neither to run
    /// nor (without the feature `mpi`) to build.
    ///
    /// # Errors
    /// [`CreateError::Shape`], [`CreateError::NoRoom`], [`CreateError::Memory`].
    pub fn local(shape: impl IntoDimension<Dim: FitsRegion<D>>) -> Result<Self, CreateError> {
        let extent = Extent::new::<T>(shape)?;
        limits::check(extent.bytes::<T>(), false).map_err(|short| short.on(0))?;
        let memory = match extent.bytes::<T>() {
            0 => None,
            bytes => {
                let memory = Mapping::try_private(bytes).ok_or_else(|| CreateError::Memory {
                    rank: 0,
                    source: Arc::new(io::ErrorKind::OutOfMemory.into()),
                })?;
                Some(Arc::new(memory))
            }
        };
        Ok(Self::with(WindowController::local(), extent, memory))
    }

    /// The region of this extent, whose items lie in `memory` of their length; none where there are
    /// no items.
    fn with(lock: WindowController, extent: Extent<D>, memory: Option<Arc<Mapping>>) -> Self {
        const { assert!(align_of::<T>() <= ALIGN, "a type of a common alignment") };
        let length = memory.as_ref().map_or(0, |memory| memory.length());
        assert_eq!(length, extent.bytes::<T>(), "memory for the items");
        let start = memory
            .as_ref()
            .map_or(NonNull::dangling(), |memory| memory.start().cast());
        // SAFETY: the pointer is aligned, and so many items lie behind it that none of the shape is beyond them.
        let items = unsafe { RawArrayViewMut::from_shape_ptr(extent.dim, start.as_ptr()) };
        Region {
            #[cfg(feature = "mpi")]
            replicas: (lock.object().link()).map(|link| Replicas::open(link, memory.as_ref())),
            lock,
            items,
            memory,
        }
    }

    /// Gives the region's memory back on all ranks. Collective, waits for all.
    ///
    /// Dropping the region does the same without waiting, once all ranks have dropped theirs.
    ///
    /// # Errors
    /// [`CollectiveError::Diverged`] where another rank is in another collective call;
    /// [`CollectiveError::OutOfStep`], [`CollectiveError::RankDied`], and [`LockError::Finalized`].
    #[track_caller]
    pub fn close(mut self) -> Result<(), CollectiveError> {
        self.forget_leaked_guards();
        self.lock.meet_to_close()?;
        #[cfg(feature = "mpi")]
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

    /// How many dimensions it has.
    pub fn ndim(&self) -> usize {
        self.items.ndim()
    }

    /// How many items it has.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it has no items, because an axis has the length 0.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes the items take, on each node once. The lock takes a few hundred bytes a rank
    /// beside.
    pub fn bytes_per_node(&self) -> usize {
        self.len() * size_of::<T>()
    }

    /// This rank's number in the communicator.
    pub fn rank(&self) -> i32 {
        self.lock.rank()
    }

    /// How many ranks the communicator has.
    pub fn size(&self) -> i32 {
        self.lock.size()
    }

    /// How many nodes the ranks run on, and so how many copies of the items there are.
    pub fn nodes(&self) -> i32 {
        self.lock.nodes()
    }

    /// The rank that writes in [`update`](Self::update).
    pub fn master(&self) -> i32 {
        self.lock.master()
    }

    /// Whether this rank is the master.
    pub fn is_master(&self) -> bool {
        self.lock.is_master()
    }

    /// The name it was given; of use in messages only.
    pub fn name(&self) -> &str {
        self.lock.name()
    }

    fn spans_nodes(&self) -> bool {
        self.nodes() > 1
    }

    /// Takes the read lock and gives a view of the items; waits while another rank writes or waits
    /// to write. Not collective.
    ///
    /// # Panics
    /// Where [`read_timeout`](Self::read_timeout) would return an error: a rank died as a writer,
    /// or MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> RegionReadGuard<'_, T, D> {
        RegionReadGuard::new(self, self.lock.read())
    }

    /// Takes the read lock if nobody writes or waits to write. Not collective, does not wait.
    ///
    /// # Panics
    /// If MPI is finalized.
    #[track_caller]
    pub fn try_read(&self) -> Option<RegionReadGuard<'_, T, D>> {
        let lock = self.lock.try_read()?;
        Some(RegionReadGuard::new(self, lock))
    }

    /// Takes the read lock; waits for `limit` at most. Not collective. Pass [`Duration::MAX`] to
    /// wait indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::Finalized`].
    pub fn read_timeout(&self, limit: Duration) -> Result<RegionReadGuard<'_, T, D>, LockError> {
        let lock = self.lock.read_timeout(limit)?;
        Ok(RegionReadGuard::new(self, lock))
    }

    /// Takes the write lock and lends the items; waits until no other rank writes or reads. Not
    /// collective.
    ///
    /// # Panics
    /// Where [`write_timeout`](Self::write_timeout) would return an error: a rank died as a writer,
    /// or MPI is finalized.
    #[inline]
    #[track_caller]
    pub fn write(&mut self) -> RegionWriteGuard<'_, T, D> {
        self.forget_leaked_guards();
        let lock = WriteGuard::enter(self.lock.lock(), None);
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
        let lock = WriteGuard::try_enter(self.lock.lock());
        let lock = lock.unwrap_or_else(|error| self.lock.panic_with(&error))?;
        Some(RegionWriteGuard::new(self, lock))
    }

    /// Takes the write lock; waits for `limit` at most. Not collective. Pass [`Duration::MAX`] to
    /// wait indefinitely and still get failures as errors instead of a panic.
    ///
    /// # Errors
    /// [`LockError::Timeout`], [`LockError::HolderDied`], [`LockError::Finalized`].
    pub fn write_timeout(
        &mut self,
        limit: Duration,
    ) -> Result<RegionWriteGuard<'_, T, D>, LockError> {
        self.forget_leaked_guards();
        let lock = WriteGuard::enter(self.lock.lock(), Some(limit))?;
        Ok(RegionWriteGuard::new(self, lock))
    }

    /// Releases the lock if guards that were leaked (`mem::forget`) still hold it: no guard is
    /// alive while the region is borrowed mutably. What a write guard has changed is published
    /// first, and nobody knows any more what that is.
    #[inline]
    fn forget_leaked_guards(&mut self) {
        if self.lock.lock().writes() {
            self.publish_leaked();
        }
        self.lock.lock().forget_leaked_guards();
    }

    #[cold]
    fn publish_leaked(&self) {
        if self.spans_nodes() && !self.is_empty() {
            // It fails where MPI has ended, and with it the other nodes.
            #[expect(clippy::single_range_in_vec_init, reason = "it is one range of items")]
            let _ = self.publish(&[0..self.len()]);
        }
    }

    /// Sends the items in these ranges from this node's copy to the others; under the write lock.
    fn publish(&self, changed: &[Range<usize>]) -> Result<(), LockError> {
        if changed.is_empty() {
            return Ok(());
        }
        self.lock.check_usable()?;
        #[cfg(feature = "mpi")]
        if let Some(replicas) = &self.replicas {
            let memory = self.memory.clone().expect("items that have changed");
            // SAFETY: only a write guard calls this, and it is borrowed in the meantime.
            let bytes = unsafe { CopyBytes::new(memory) };
            let place = |number: usize| number * size_of::<T>();
            let places = changed.iter();
            let places: Vec<_> = places
                .map(|items| place(items.start)..place(items.end))
                .collect();
            remote::publish(replicas, self.lock.block(), &bytes, &places);
        }
        Ok(())
    }
}

impl<T: Plain, D: Dimension> Drop for Region<T, D> {
    fn drop(&mut self) {
        self.forget_leaked_guards();
    }
}

/// What it is and what it holds, shortened as `ndarray` does. Takes the read lock for that; while
/// it cannot be had at once, the items are left out.
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
        match self.lock.read_timeout(Duration::ZERO) {
            Ok(lock) => write!(f, "{}\n>", RegionReadGuard::new(self, lock).view()),
            Err(error) => write!(f, "  not to be seen now: {error}\n>"),
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
