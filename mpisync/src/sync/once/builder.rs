//! Making one on an MPI communicator.

use super::*;
use crate::error::CreateError;
use crate::object::Object;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::shm::layout::AnyLayout;
use crate::sync::builder::{Spec, SyncBuilder, private};
use crate::wait_queue::memory::WaitLayout;

/// The largest.
const MOST: usize = 1 << 30;

/// A value to be made.
#[derive(Debug)]
pub struct OnceOf<T> {
    capacity: usize,
    value: std::marker::PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> OnceShared<T> {
    /// A value on `comm`, with room for 64 KiB, whose root is rank 0. Collective.
    ///
    /// # Errors
    /// Those of [`SyncBuilder::build`].
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let token = OnceShared::<String>::new(&universe.world())?;
    /// // One rank asks the service; those that need the token get it from that rank.
    /// let token = token.get_or_init(|| "…".to_owned());
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn new<C: IntraCommunicator>(comm: &C) -> Result<Self, CreateError> {
        Self::builder(comm).build()
    }

    /// Begins to make a value on `comm`.
    pub fn builder<C: IntraCommunicator>(comm: &C) -> SyncBuilder<'_, OnceOf<T>, C> {
        let once = OnceOf {
            capacity: CAPACITY,
            value: std::marker::PhantomData,
        };
        SyncBuilder::new(comm, once)
    }
}

impl<T, C: IntraCommunicator> SyncBuilder<'_, OnceOf<T>, C> {
    /// For how many bytes there is room on the root's node, once the value is serialized. Defaults
    /// to 64 KiB. Must be the same on all ranks.
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.spec.capacity = bytes;
        self
    }
}

impl<T: Serialize + DeserializeOwned> Spec for OnceOf<T> {}

impl<T: Serialize + DeserializeOwned> OnceOf<T> {
    fn wait_layout(&self, root: i32) -> WaitLayout {
        WaitLayout {
            root,
            permits: 1,
            on_death: OnDeath::Release,
            cargo: Cargo::Once(self.capacity.min(MOST)),
        }
    }
}

impl<T: Serialize + DeserializeOwned> private::Spec for OnceOf<T> {
    type Made = OnceShared<T>;
    const KIND: &'static str = "shared value";

    fn arguments(&self) -> Vec<(&'static str, String)> {
        let layout = format!("{} bytes, alignment {}", size_of::<T>(), align_of::<T>());
        vec![
            ("type of value", type_name::<T>().to_owned()),
            // Two types may have one name. The shape of a serde type is not known, but its size is.
            ("layout of value", layout),
            ("capacity", self.capacity.to_string()),
        ]
    }

    fn invalid(&self) -> Option<CreateError> {
        let (capacity, bytes) = (self.capacity, 1);
        (capacity > MOST).then_some(CreateError::Capacity { capacity, bytes })
    }

    fn layout(&self, root: i32) -> AnyLayout {
        AnyLayout::new(self.wait_layout(root))
    }

    fn make(self, object: Object) -> OnceShared<T> {
        let layout = self.wait_layout(object.root());
        OnceShared::on(Base::new(object, &layout), self.capacity)
    }
}
