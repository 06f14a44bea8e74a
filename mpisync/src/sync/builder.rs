//! Making what ranks share on an MPI communicator.

use crate::error::CreateError;
use crate::object::Object;
use crate::rsmpi;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::rsmpi::{Creation, CreationArguments};
use crate::shm::layout::AnyLayout;
use crate::transport::{Transport, TransportOptions};
use std::panic::Location;

/// Makes an object of all ranks of a communicator with a root, a name and further arguments of
/// choice; `O` says what object.
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let world = universe.world();
/// let counter = Counter::<u32>::builder(&world).start(100).step(2).build()?;
/// let mutex = Mutex::builder(&world).root(world.size() - 1).name("results").build()?;
/// # Ok::<(), mpisync::CreateError>(())
/// ```
#[must_use = "nothing is made before `build`"]
#[derive(Debug)]
pub struct SyncBuilder<'a, O, C> {
    comm: &'a C,
    root: i32,
    name: String,
    asked: TransportOptions,
    anywhere: bool,
    pub(super) spec: O,
}

/// What is to be made, and with which arguments.
pub trait Spec: private::Spec {}

pub(super) mod private {
    use super::{AnyLayout, CreateError, Object};

    pub trait Spec: Sized {
        /// What is made.
        type Made;
        /// What it is called in messages.
        const KIND: &'static str;

        /// The arguments of its own, which have to be the same on all ranks.
        fn arguments(&self) -> Vec<(&'static str, String)> {
            Vec::new()
        }

        /// An argument that cannot be.
        fn invalid(&self) -> Option<CreateError> {
            None
        }

        /// What it keeps in shared memory, where the root is this one.
        fn layout(&self, root: i32) -> AnyLayout;

        fn make(self, object: Object) -> Self::Made;
    }
}

impl<'a, O: Spec, C: IntraCommunicator> SyncBuilder<'a, O, C> {
    pub(super) fn new(comm: &'a C, spec: O) -> Self {
        SyncBuilder {
            comm,
            root: 0,
            name: O::KIND.to_owned(),
            asked: TransportOptions::default(),
            anywhere: false,
            spec,
        }
    }

    /// Goes on with another spec, of the same communicator, root and name.
    pub(super) fn with_spec<P>(self, spec: P) -> SyncBuilder<'a, P, C> {
        SyncBuilder {
            comm: self.comm,
            root: self.root,
            name: self.name,
            asked: self.asked,
            anywhere: self.anywhere,
            spec,
        }
    }

    /// The rank on whose node it is. Defaults to rank 0. Must be the same on all ranks, and without
    /// effect on a turn or a barrier, of which each node has a part.
    pub fn root(mut self, rank: i32) -> Self {
        self.root = rank;
        self
    }

    /// A name for messages, of at most 200 bytes. Must be the same on all ranks.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// How the nodes reach each other; see [`Builder::transport`](crate::Builder::transport). Must
    /// be the same on all ranks, and for all objects of a communicator.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.asked.transport = Some(transport);
        self
    }

    /// Whether a thread answers while the ranks compute; see
    /// [`Builder::progress_thread`](crate::Builder::progress_thread). Must be the same on all
    /// ranks, and for all objects of a communicator. Without it ranks of other nodes get an answer
    /// once the lowest rank of the root's node is in a call of mpisync that waits.
    pub fn progress_thread(mut self, on: bool) -> Self {
        self.asked.progress_thread = Some(on);
        self
    }

    /// Lets the ranks make it at different places of the program, such as the branches of an `if`:
    /// the place is not compared. To be said on all ranks.
    ///
    /// All ranks have to make the same objects in the same order. That they make each at one place
    /// is how a wrong order is noticed. Programs that were compiled from different sources need
    /// this as well.
    pub fn anywhere(mut self) -> Self {
        self.anywhere = true;
        self
    }

    /// Makes it. Collective; all ranks succeed or all fail.
    ///
    /// # Errors
    /// See [`CreateError`]: those of [`Builder::build`](crate::Builder::build); a root that is no
    /// rank, arguments or types that differ between ranks or cannot be, no memory; on a
    /// communicator that spans nodes, MPI without threads.
    #[track_caller]
    pub fn build(self) -> Result<O::Made, CreateError> {
        let creation = Creation::begin(self.comm, Location::caller())?;
        let (root, size) = (self.root, self.comm.size());
        let invalid = CreateError::check_rank("root", root, size);
        let layout = self.spec.layout(root);
        let mut arguments = self.spec.arguments();
        arguments.push(("root", root.to_string()));
        let arguments = CreationArguments {
            arguments,
            invalid: invalid.or_else(|| self.spec.invalid()),
            asked: self.asked.or_environment(),
            anywhere: self.anywhere,
            ..creation.arguments(O::KIND, &self.name)
        };
        rsmpi::block(&creation, &arguments, &layout, 0, |created| {
            let name = self.name.clone();
            let object = Object::join(created, root, name);
            self.spec.make(object)
        })
    }
}
