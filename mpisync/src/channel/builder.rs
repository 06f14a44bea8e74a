//! Makes channels on MPI communicators.

use crate::channel::RemoteChannel;
use crate::channel::finalize::close_at_end;
use crate::channel::message::Message;
use crate::channel::remote::server::ChannelServer;
use crate::channel::remote::{Coordinator, NodeProxy};
use crate::channel::ring::memory::{Layout, MessageLayout, RelayLayout, RelaySlots, Slots};
use crate::channel::shared::{KIND, Shared};
use crate::error::CreateError;
use crate::net::{Network, Port};
use crate::object::builder::{CommonArguments, setters};
use crate::plain::{Plain, TypeLayout};
use crate::rsmpi;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::rsmpi::{CreatedMemory, Room};
use crate::shm::domain::Domain;
use std::any::type_name;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

/// Makes a channel with a root, a name and further arguments.
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// let universe = mpisync::initialize().expect("MPI is initialized once");
/// let world = universe.world();
/// let channel = RemoteChannel::<f64>::builder(&world, 1024).root(1).name("samples").build()?;
/// # Ok::<(), mpisync::CreateError>(())
/// ```
#[must_use = "nothing is made before `build`"]
#[derive(Debug)]
pub struct ChannelBuilder<'a, T: ?Sized, C> {
    common: CommonArguments<'a, C>,
    capacity: usize,
    /// None if messages are too long for the address space.
    layout: Option<MessageLayout>,
    /// The layout as ranks compare it.
    description: String,
    messages: PhantomData<fn(&T)>,
}

impl<T: Plain> RemoteChannel<T> {
    /// Makes a channel on `comm` with room for `capacity` messages. Its root is rank 0. Collective.
    ///
    /// # Errors
    /// Those of [`ChannelBuilder::build`].
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let channel = RemoteChannel::<f64>::new(&universe.world(), 1024)?;
    /// # Ok::<(), mpisync::CreateError>(())
    /// ```
    #[track_caller]
    pub fn new<C: IntraCommunicator>(comm: &C, capacity: usize) -> Result<Self, CreateError> {
        let () = Self::ASSERT_ALIGNED;
        Self::builder(comm, capacity).build()
    }

    /// Begins to make a channel on `comm` with room for `capacity` messages.
    pub fn builder<C: IntraCommunicator>(comm: &C, capacity: usize) -> ChannelBuilder<'_, T, C> {
        let () = Self::ASSERT_ALIGNED;
        ChannelBuilder {
            common: CommonArguments::new(comm, "root", KIND),
            capacity,
            layout: Some(MessageLayout::of::<T>()),
            description: TypeLayout::of::<T>().to_string(),
            messages: PhantomData,
        }
    }
}

/// # Messages of varying length
impl<T: Plain> RemoteChannel<[T]> {
    /// Makes a channel on `comm` with room for `capacity` messages of up to `longest` items each. Its
    /// root is rank 0. Collective. The memory has room for the longest messages; between nodes only
    /// the items of a message are sent.
    ///
    /// # Errors
    /// Those of [`ChannelBuilder::build`].
    ///
    /// ```no_run
    /// use mpisync::prelude::*;
    ///
    /// let universe = mpisync::initialize().expect("MPI is initialized once");
    /// let lines = RemoteChannel::<[u8]>::slices(&universe.world(), 64, 4096)?;
    /// lines.put_items(b"of any length up to 4096 bytes")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn slices<C: IntraCommunicator>(
        comm: &C,
        capacity: usize,
        longest: usize,
    ) -> Result<Self, CreateError> {
        Self::slices_builder(comm, capacity, longest).build()
    }

    /// Begins to make a channel on `comm` with room for `capacity` messages of up to `longest` items.
    pub fn slices_builder<C: IntraCommunicator>(
        comm: &C,
        capacity: usize,
        longest: usize,
    ) -> ChannelBuilder<'_, [T], C> {
        let () = RemoteChannel::<T>::ASSERT_ALIGNED;
        ChannelBuilder {
            common: CommonArguments::new(comm, "root", KIND),
            capacity,
            layout: MessageLayout::of_slices::<T>(longest),
            description: format!("up to {longest} items of {}", TypeLayout::of::<T>()),
            messages: PhantomData,
        }
    }
}

impl<T: Message + ?Sized, C: IntraCommunicator> ChannelBuilder<'_, T, C> {
    /// Sets the rank on whose node the messages are stored. Defaults to rank 0. Must be the same on
    /// all ranks.
    pub fn root(mut self, rank: i32) -> Self {
        self.common.root = rank;
        self
    }

    setters!(name, transport of common;
        "Messages move between nodes while the lowest rank of each node is in such a call.");

    /// Makes the channel. Collective; all ranks succeed or all fail.
    ///
    /// Allocates all memory in `/dev/shm` at once. Each message takes its own size and 8 bytes,
    /// rounded up to a power of two or to cache lines; one of varying length takes its largest size,
    /// and 8 bytes more. If the communicator spans nodes, each node
    /// instead has two queues, each for at most 512 messages and 1 MiB, or for four larger
    /// messages; the lowest rank of the root's node allocates memory for the other messages when
    /// they arrive.
    ///
    /// # Errors
    /// See [`CreateError`]: those of [`Builder::build`](crate::Builder::build); an invalid
    /// capacity; a root that is not a rank; arguments or types of messages that differ between
    /// ranks; too little memory; and MPI without thread support, on a communicator that spans
    /// nodes.
    #[track_caller]
    pub fn build(self) -> Result<RemoteChannel<T>, CreateError> {
        let creation = self.common.begin()?;
        let (capacity, members) = (self.capacity, self.common.comm.size() as usize);
        let message =
            (self.layout).filter(|&layout| Layout::of(layout, capacity, members).is_some());
        let invalid = message.is_none().then(|| CreateError::Capacity {
            object: KIND,
            capacity,
            bytes: self.layout.map_or(usize::MAX, MessageLayout::bytes),
        });
        let own = vec![
            ("type of messages", type_name::<T>().to_owned()),
            ("layout of messages", self.description),
            ("capacity", capacity.to_string()),
        ];
        let arguments = self.common.compared(&creation, KIND, own, invalid);
        let plan = |domain: &Domain| Plan::of(message?, domain, capacity);
        let room = |domain: &Domain| plan(domain).map(Plan::room);
        let shared = rsmpi::memory(&creation, &arguments, room, |created| {
            let plan = plan(created.context.domain()).expect("there is memory for it");
            let name = self.common.name.clone();
            join(created, plan, capacity, self.common.root, name).listed()
        })?;
        let shared = Rc::new(shared);
        close_at_end(&shared);
        Ok(RemoteChannel::of(&shared))
    }
}

/// The size in bytes of a node's queue in a channel that spans nodes, and the bounds of its
/// capacity in messages.
const RELAYED_BYTES: usize = 1 << 20;
const RELAYED_MESSAGES: (usize, usize) = (4, 512);

/// The layout of a channel's memory on this node.
#[derive(Clone, Copy)]
enum Plan {
    Local(Layout),
    /// With the length of a queue that has room for all messages.
    Remote(RelayLayout, usize),
}

impl Plan {
    /// The memory for a channel of such messages on this node. None if it is too large.
    fn of(message: MessageLayout, domain: &Domain, capacity: usize) -> Option<Self> {
        let members = domain.segment().shape().members;
        let local = Layout::of(message, capacity, members)?;
        if !domain.topology().spans_nodes() {
            return Some(Plan::Local(local));
        }
        let (least, most) = RELAYED_MESSAGES;
        let ring = (RELAYED_BYTES / message.bytes().max(1)).clamp(least, most);
        let layout = Layout::of(message, ring.min(capacity), members)?;
        Some(Plan::Remote(RelayLayout(layout), local.length()))
    }

    /// The room to check when the channel is made. The coordinator allocates memory for messages
    /// when they arrive.
    fn room(self) -> Room {
        match self {
            Plan::Local(layout) => Room {
                shared: layout.length(),
                later: 0,
            },
            Plan::Remote(layout, all) => Room {
                shared: layout.length(),
                later: all,
            },
        }
    }
}

/// Makes this rank's side of a channel. On the leader of a node, also starts the node's server.
fn join<T: Message + ?Sized>(
    created: CreatedMemory,
    plan: Plan,
    capacity: usize,
    root: i32,
    name: String,
) -> Shared<T> {
    let CreatedMemory {
        context,
        mapping,
        number,
    } = created;
    let domain = context.domain();
    let (layout, number) = match (plan, number) {
        (Plan::Remote(layout, _), Some(number)) => (layout, number),
        (Plan::Local(layout) | Plan::Remote(RelayLayout(layout), _), _) => {
            let slots = Slots::new(Arc::clone(domain), layout, mapping);
            return Shared::local(slots, root, name);
        }
    };
    let mapping = Arc::new(mapping);
    // All ranks use the network, but only leaders serve the channel.
    let net = &Network::of(&context);
    if domain.topology().is_leader() {
        let home = net.topology().node_of(root as u32);
        let (nodes, ring) = (net.nodes() as usize, layout.0.capacity());
        let coordinator =
            (home == net.node()).then(|| Coordinator::new(nodes, capacity as u64, ring));
        let port = Port::new(net, number, 0);
        let proxy = NodeProxy::new(RelaySlots::for_server(domain, layout, &mapping));
        port.serve(ChannelServer::new(port.clone(), proxy, home, coordinator));
    }
    let slots = RelaySlots::new(domain, layout, &mapping);
    Shared::remote(slots, capacity, root, name, number)
}
