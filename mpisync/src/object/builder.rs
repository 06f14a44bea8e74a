//! The common parts of the builders of all objects.

use crate::error::CreateError;
use crate::net::{Link, Network};
use crate::object::Object;
use crate::rsmpi;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::rsmpi::{Created, Creation, CreationArguments};
use crate::shm::layout::Layout;
use crate::shm::mapping::Mapping;
use crate::transport::TransportOptions;
use std::panic::Location;
use std::sync::Arc;

/// The arguments that every object has. A builder contains them and gets their setters from
/// [`setters`].
#[derive(Debug)]
pub(crate) struct CommonArguments<'a, C> {
    pub(crate) comm: &'a C,
    /// The name of the argument for the root: `root` or `master`.
    root_name: &'static str,
    pub(crate) root: i32,
    pub(crate) name: String,
    pub(crate) asked: TransportOptions,
    pub(crate) anywhere: bool,
}

/// An argument's name, and its value as text.
pub(crate) type Argument = (&'static str, String);

impl<'a, C: IntraCommunicator> CommonArguments<'a, C> {
    /// The defaults: rank 0 is the root, and the object is called `name`.
    pub(crate) fn new(comm: &'a C, root_name: &'static str, name: &str) -> Self {
        CommonArguments {
            comm,
            root_name,
            root: 0,
            name: name.to_owned(),
            asked: TransportOptions::default(),
            anywhere: false,
        }
    }

    /// Begins to make an object at the caller's place, as [`Creation::begin`] does.
    #[track_caller]
    pub(crate) fn begin(&self) -> Result<Creation<'a, C>, CreateError> {
        Creation::begin(self.comm, Location::caller())
    }

    /// The arguments that must be the same on all ranks to make an object of this `kind`: `own`
    /// arguments of the kind, one of which may be `invalid`, and the common ones.
    pub(crate) fn compared(
        &self,
        creation: &Creation<'_, C>,
        kind: &'static str,
        own: Vec<Argument>,
        invalid: Option<CreateError>,
    ) -> CreationArguments<'_> {
        let mut arguments = own;
        arguments.push((self.root_name, self.root.to_string()));
        let outside = CreateError::check_rank(self.root_name, self.root, self.comm.size());
        CreationArguments {
            arguments,
            invalid: outside.or(invalid),
            asked: self.asked.or_environment(),
            anywhere: self.anywhere,
            ..creation.arguments(kind, &self.name)
        }
    }

    /// Makes an object with that layout, and `memory` bytes beside it on each node. Collective. All
    /// ranks succeed or all fail, once `join` has been called on all of them.
    pub(crate) fn make<T>(
        &self,
        creation: &Creation<'_, C>,
        arguments: &CreationArguments<'_>,
        layout: &dyn Layout,
        memory: usize,
        join: impl FnOnce(Object, Option<Arc<Mapping>>) -> T,
    ) -> Result<T, CreateError> {
        rsmpi::block(creation, arguments, layout, memory, |created| {
            let memory = created.memory.clone();
            let object = Object::join(created, self.root);
            join(object, memory)
        })
    }
}

impl Object {
    /// Takes part in an object that the ranks have just made. Its parts open their ports before
    /// this rank meets the others.
    pub(crate) fn join(created: Created, root: i32) -> Self {
        let mut object = Self::new(created.block, root);
        object.parts.link = created.remote.map(|remote| {
            let net = Network::of(&remote.context);
            let home = net.topology().node_of(root as u32);
            Link::new(&net, remote.number, home, remote.server)
        });
        object
    }
}

/// The setters that every builder has, for a builder with [`CommonArguments`] in the field
/// `$common`. `$without_thread` describes the effect of omitting the progress thread.
///
/// The first form is for all of them. The second one omits the name.
macro_rules! setters {
    (name, transport of $($common:ident).+; $without_thread:literal) => {
        /// Sets a name for messages, of at most 200 bytes. Must be the same on all ranks.
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.$($common).+.name = name.into();
            self
        }

        $crate::object::builder::setters!(transport of $($common).+; $without_thread);
    };
    (transport of $($common:ident).+; $without_thread:literal) => {
        /// Sets how nodes communicate. Defaults to the value of the environment variable
        /// `MPISYNC_TRANSPORT` (`messages`, `windows` or `auto`), or else to
        /// [`Transport::Messages`]. Must be the same on all ranks and for all objects of a
        /// communicator; has no effect on one node.
        ///
        /// Messages work with every MPI, and were faster in all measurements of both. Windows are
        /// for networks whose adapters execute `MPI_Accumulate` themselves. Not every MPI can make
        /// windows over hosts: Open MPI 4, as Debian configures it, cannot on Ethernet.
        ///
        /// [`Transport::Messages`]: crate::Transport::Messages
        pub fn transport(mut self, transport: $crate::transport::Transport) -> Self {
            self.$($common).+.asked.transport = Some(transport);
            self
        }

        /// Sets whether a thread replies to other nodes while the ranks of a node compute. Defaults
        /// to the value of the environment variable `MPISYNC_PROGRESS_THREAD` (`on` or `off`), or
        /// else to true. Must be the same on all ranks and for all objects of a communicator; has
        /// no effect on one node.
        ///
        /// Without the thread MPI need not be initialized for several threads, and a node replies
        /// while its lowest rank is in a call of mpisync that waits.
        #[doc = $without_thread]
        pub fn progress_thread(mut self, on: bool) -> Self {
            self.$($common).+.asked.progress_thread = Some(on);
            self
        }

        /// Sets how long this rank waits for the other ranks to come and make the object. Defaults to
        /// what the environment variable `MPISYNC_CREATE_TIMEOUT` says, in seconds, or else to 300
        /// seconds; [`Duration::ZERO`](std::time::Duration::ZERO) is no limit. Should be the same on
        /// all ranks.
        ///
        /// After [`CreateError::Timeout`](crate::CreateError::Timeout) no object can be made on the
        /// communicator any more.
        pub fn create_timeout(mut self, limit: std::time::Duration) -> Self {
            self.$($common).+.asked.create_timeout = Some(limit);
            self
        }

        /// Sets after what time a host that does not answer counts as lost; see
        /// [`LockError::HostSilent`](crate::LockError::HostSilent). Defaults to what the environment
        /// variable `MPISYNC_SILENCE` says, in seconds, or else to 10 seconds;
        /// [`Duration::ZERO`](std::time::Duration::ZERO) is never. The setting of rank 0 for the first
        /// object of a communicator applies to all objects and ranks of it; has no effect on one node,
        /// or without the progress thread.
        pub fn silence(mut self, limit: std::time::Duration) -> Self {
            self.$($common).+.asked.silence = Some(limit);
            self
        }

        /// Lets the ranks make the object at different places of the program, such as the branches
        /// of an `if`: the place is not compared. Must be called on all ranks.
        ///
        /// All ranks have to make the same objects in the same order. A wrong order is noticed
        /// because the place of each call is compared between ranks. Programs that were compiled
        /// from different sources need this as well.
        pub fn anywhere(mut self) -> Self {
            self.$($common).+.anywhere = true;
            self
        }
    };
}

pub(crate) use setters;
