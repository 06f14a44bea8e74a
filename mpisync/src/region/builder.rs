//! Making regions on MPI communicators.

use crate::error::CreateError;
use crate::object::builder::{CommonArguments, setters};
use crate::plain::{Plain, TypeLayout};
use crate::region::extent::Extent;
use crate::region::{FitsRegion, Region, RegionError};
use crate::rsmpi;
use crate::rsmpi::Creation;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::rwlock::controller::{WindowController, layout};
use crate::rwlock::global::token::MAX_LOCAL_HANDOVERS;
use crate::rwlock::memory::LockLayout;
use ndarray::{AsArray, Dimension, IntoDimension, IxDyn};
use std::any::type_name;
use std::marker::PhantomData;
use std::panic::Location;

/// Makes a region with a master and a name of choice.
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let world = universe.world();
/// let field = Region::<f64>::builder(&world, [64, 64]).name("field").build()?;
/// # Ok::<(), mpisync::CreateError>(())
/// ```
#[must_use = "nothing is made before `build`"]
#[derive(Debug)]
pub struct RegionBuilder<'a, T, D, C> {
    common: CommonArguments<'a, C>,
    extent: Result<Extent<D>, CreateError>,
    shape: IxDyn,
    threads: usize,
    items: PhantomData<fn(T)>,
}

impl<T: Plain, D: Dimension> Region<T, D> {
    /// A region on `comm`, all bytes of which are zero, whose master is rank 0. Collective.
    ///
    /// The shape is a number, or an array or slice of numbers such as `[64, 64]`. It may have any
    /// number of dimensions of any length, including 0.
    ///
    /// # Errors
    /// Those of [`RegionBuilder::build`].
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let field = Region::<f64>::new(&universe.world(), [64, 64])?;
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn new<C: IntraCommunicator>(
        comm: &C,
        shape: impl IntoDimension<Dim: FitsRegion<D>>,
    ) -> Result<Self, CreateError> {
        Self::builder(comm, shape).build()
    }

    /// A region on `comm` with the shape and the items of an array that `root` has. Collective. The
    /// other ranks pass `None`; their arrays are ignored. All ranks must make the call at the same
    /// place of the program, not in different branches of an `if`.
    ///
    /// # Errors
    /// Those of [`RegionBuilder::build`], [`CreateError::RankOutOfRange`],
    /// [`CreateError::NoArray`], and [`CreateError::ArgumentsDiffer`] if ranks name different
    /// roots.
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    /// use mpisync::ndarray::{Array2, Ix2};
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let world = universe.world();
    /// let table = (world.rank() == 0).then(|| Array2::<f64>::eye(100));
    /// let table = Region::<f64, Ix2>::from_root(&world, 0, table.as_ref())?;
    /// assert_eq!(table.read().sum(), 100.0);
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn from_root<'v, C, V>(comm: &C, root: i32, array: Option<V>) -> Result<Self, CreateError>
    where
        C: IntraCommunicator,
        V: AsArray<'v, T, D>,
        T: 'v,
    {
        let array = array.map(Into::into);
        let creation = Creation::begin(comm, Location::caller())?;
        let array = array.filter(|_| root == comm.rank());
        let mine = array.as_ref().map(|array| array.shape());
        let shape = rsmpi::announce(&creation, root, mine)?;
        let mut region = Self::begin(comm, IxDyn(&shape)).build_in(&creation)?;
        let offset = vec![0; shape.len()];
        match region.set_together(Some(root), array, &offset, Location::caller()) {
            Ok(()) => Ok(region),
            Err(RegionError::Call(error)) => Err(CreateError::Fill(error)),
            Err(RegionError::Lock(error)) => Err(CreateError::Fill(error.into())),
            Err(error) => unreachable!("a new region takes an array of its shape: {error}"),
        }
    }

    /// Begins to make a region on `comm`.
    pub fn builder<C: IntraCommunicator>(
        comm: &C,
        shape: impl IntoDimension<Dim: FitsRegion<D>>,
    ) -> RegionBuilder<'_, T, D, C> {
        Self::begin(comm, shape.into_dimension())
    }

    /// [`builder`](Self::builder) for a shape whose number of dimensions may differ from that of
    /// the region.
    fn begin<C: IntraCommunicator>(comm: &C, shape: impl Dimension) -> RegionBuilder<'_, T, D, C> {
        RegionBuilder {
            common: CommonArguments::new(comm, "master", "region"),
            shape: IxDyn(shape.slice()),
            extent: Extent::new::<T>(shape),
            threads: 1,
            items: PhantomData,
        }
    }
}

impl<T: Plain, D: Dimension, C: IntraCommunicator> RegionBuilder<'_, T, D, C> {
    /// Sets the rank that writes in [`update`](Region::update), and on whose node writers queue.
    /// Defaults to rank 0. Must be the same on all ranks.
    pub fn master(mut self, rank: i32) -> Self {
        self.common.root = rank;
        self
    }

    setters!(name, transport of common;
        "A writer waits until the lowest rank of each node is in such a call. Large changes travel \
         as MPI's own messages in any case.");

    /// How many threads of each rank read at the same time, see [`Region::shared`]. Defaults to 1. Must be
    /// the same on all ranks. As [`Builder::threads`](crate::Builder::threads).
    pub fn threads(mut self, count: usize) -> Self {
        self.threads = LockLayout::possible_threads(count);
        self
    }

    /// Makes the region. Collective; all ranks succeed or all fail.
    ///
    /// Its memory is reserved at once, in `/dev/shm`; on a node with one rank it is private memory
    /// of that process. If there is not enough memory in `/dev/shm`, on the machine, or in the
    /// memory control group of the job, all ranks get an error, and that node allocates nothing.
    /// Allocations that other processes make at the same time are not taken into account.
    ///
    /// # Errors
    /// See [`CreateError`]: those of [`Builder::build`](crate::Builder::build); an invalid shape, a
    /// master that is no rank, shapes, types or other arguments that differ between ranks, too
    /// little memory; on a communicator that spans nodes, MPI without threads.
    #[track_caller]
    pub fn build(self) -> Result<Region<T, D>, CreateError> {
        let creation = self.common.begin()?;
        self.build_in(&creation)
    }

    fn build_in(self, creation: &Creation<'_, C>) -> Result<Region<T, D>, CreateError> {
        let bytes = (self.extent.as_ref()).map_or(0, |extent| extent.bytes::<T>());
        let own = vec![
            ("type of items", type_name::<T>().to_owned()),
            ("layout of items", TypeLayout::of::<T>().to_string()),
            ("shape", format!("{:?}", self.shape.slice())),
            ("number of threads", self.threads.to_string()),
        ];
        let invalid = self.extent.as_ref().err().cloned();
        let arguments = self.common.compared(creation, "region", own, invalid);
        self.common.make(
            creation,
            &arguments,
            &layout(LockLayout::for_threads(self.threads)),
            bytes,
            |object, memory| {
                let extent = self.extent.clone().expect("valid, for all agreed");
                let lock = WindowController::new(object, MAX_LOCAL_HANDOVERS);
                Region::with(lock, extent, memory)
            },
        )
    }
}
