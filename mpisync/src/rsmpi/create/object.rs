//! Making the block of an object.

use crate::error::CreateError;
use crate::rsmpi::Context;
use crate::rsmpi::create::{
    Creation, CreationArguments, Mine, NewMemory, Proposal, Rejection, agree, check_length,
    context_of,
};
use crate::shm::block::{Block, ObjectName};
use crate::shm::domain::Domain;
use crate::shm::identity::CHUNK_START;
use crate::shm::layout::Layout;
use crate::shm::limits;
use crate::shm::mapping::Mapping;
use crate::shm::segment::{Extent, Segment};
use crate::shm::topology::Topology;
use mpi::traits::Communicator;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A new object's memory on this node.
pub(crate) struct Created {
    pub(crate) block: Block,
    /// Some if the communicator spans nodes.
    pub(crate) remote: Option<CreatedRemote>,
    /// The additional memory.
    pub(crate) memory: Option<Arc<Mapping>>,
}

/// The additional data of an object on several nodes.
pub(crate) struct CreatedRemote {
    pub(crate) context: Arc<Context>,
    /// The object's number, the same on all ranks.
    pub(crate) number: u64,
    /// On the leader, the server's view of the block.
    pub(crate) server: Option<Block>,
}

/// Makes the memory of a new object, with `memory` additional bytes on each node, and calls `join`
/// with it. Collective. All ranks succeed or all fail, and `join` has been called on all ranks
/// before it returns.
///
/// This takes one broadcast and one reduction, because the leader sends the position of the block
/// together with the arguments. With several nodes, each leader sends it on its node, which takes
/// one more broadcast.
pub(crate) fn block<T>(
    creation: &Creation<'_, impl Communicator>,
    arguments: &CreationArguments<'_>,
    layout: &dyn Layout,
    memory: usize,
    join: impl FnOnce(Created) -> T,
) -> Result<T, CreateError> {
    let context = context_of(creation.comm(), arguments)?;
    let domain = context.domain();
    let length = Block::length(layout, domain.topology());
    let beside = Beside::new(memory, domain.topology());
    let leads = domain.topology().is_leader();
    let (mut fresh, mut own) = (Mine::default(), Mine::default());
    let mut proposed: Option<Site> = None;
    let proposal = Proposal::exchange(&context, arguments, || {
        let mut site = Site::find(domain.segment(), length, &mut fresh);
        prepare(domain, layout, &site, fresh.mapping.as_ref());
        site.memory = beside.proposal(&mut own);
        proposed = Some(site);
        site
    })?;
    let mut found: Option<Site> = None;
    let verdict = proposal.judge(&context, arguments).and_then(|()| {
        found = proposal.body();
        let Some(site) = found else {
            // The arguments of the leader are invalid, and the leader knows the error.
            return Ok(());
        };
        let rank = context.all().rank();
        let check = |leader, here| check_length(arguments, rank, leader, here);
        site.check(domain.segment(), rank, length, check)?;
        if let Some(chunk) = site.chunk {
            chunk.map(rank, &mut fresh)?;
        }
        beside.take(site.memory, rank, &mut own, check)
    });
    let agreed = agree(context.all(), &verdict);
    if agreed.is_err()
        && let Some(Site {
            chunk: None,
            extent,
            ..
        }) = proposed
    {
        domain.segment().take_back(extent);
    }
    agreed?;
    let site = found.expect("agreed upon");
    if fresh.mapping.is_some() {
        let (chunk, file) = fresh.into_parts();
        domain.segment().add_chunk(chunk);
        if let Some(file) = file {
            domain.segment().expose(&file);
        }
        if leads {
            let first = domain.segment().begin_chunk(length);
            debug_assert_eq!(first, site.extent, "as it was proposed");
        }
    }
    let extent = site.extent;
    let name = ObjectName {
        kind: arguments.object,
        name: arguments.name.into(),
    };
    let remote = context.remote().map(|remote| {
        let number = remote.next_object();
        CreatedRemote {
            context: Arc::clone(&context),
            number,
            server: leads
                .then(|| Block::for_server(Arc::clone(domain), extent, number, name.clone())),
        }
    });
    let number = remote.as_ref().map(|remote| remote.number);
    let joined = join(Created {
        block: Block::new(Arc::clone(domain), extent, number, name),
        remote,
        memory: own.mapping.map(Arc::new),
    });
    if context.remote().is_some() {
        // No node gets a message before its server knows the object.
        context.all().minimum(0)?;
    }
    Ok(joined)
}

/// As the leader: initializes the block at this site.
fn prepare(domain: &Domain, layout: &dyn Layout, site: &Site, fresh: Option<&Mapping>) {
    let (topology, start) = (domain.topology(), site.extent.offset as usize);
    match (site.chunk, fresh) {
        (None, _) => {
            let chunk = domain.segment().chunk(site.extent.chunk);
            Block::prepare(layout, topology, &chunk, start);
        }
        (Some(_), Some(chunk)) => {
            domain.segment().identify_next(chunk);
            Block::prepare(layout, topology, chunk, start);
        }
        // There is no memory; the proposal tells all ranks.
        (Some(_), None) => {}
    }
}

/// The position of the block.
#[derive(Serialize, Deserialize, Clone, Copy)]
struct Site {
    /// A new chunk of shared memory that all ranks have to map first.
    chunk: Option<NewMemory>,
    extent: Extent,
    /// The additional memory, if several ranks share it.
    memory: Option<NewMemory>,
}

/// The additional memory, which has a mapping of its own.
#[derive(Clone, Copy)]
enum Beside {
    Nothing,
    /// The node has one rank.
    Private(usize),
    Shared(usize),
}

impl Beside {
    fn new(length: usize, topology: &Topology) -> Self {
        match (length, topology.local_ranks().len()) {
            (0, _) => Beside::Nothing,
            (_, 1) => Beside::Private(length),
            _ => Beside::Shared(length),
        }
    }

    /// As the leader.
    fn proposal(self, own: &mut Mine) -> Option<NewMemory> {
        match self {
            Beside::Shared(length) => Some(NewMemory::create(length, own)),
            Beside::Nothing | Beside::Private(_) => None,
        }
    }

    fn take(
        self,
        proposed: Option<NewMemory>,
        rank: i32,
        own: &mut Mine,
        check: impl Fn(usize, usize) -> Result<(), CreateError>,
    ) -> Result<(), CreateError> {
        let offered_length = proposed.map_or(Ok(0), |memory| memory.length(rank))?;
        check(offered_length, self.shared_length())?;
        if let Some(memory) = proposed {
            return memory.map(rank, own);
        }
        if let Beside::Private(length) = self {
            limits::check_private(length)
                .map_err(|shortage| Rejection::Shortage(shortage).on(rank))?;
            let none = || Rejection::of(rustix::io::Errno::NOMEM).on(rank);
            own.mapping = Some(Mapping::try_private(length).ok_or_else(none)?);
        }
        Ok(())
    }

    /// How many bytes the leader has to propose.
    fn shared_length(self) -> usize {
        match self {
            Beside::Shared(length) => length,
            Beside::Nothing | Beside::Private(_) => 0,
        }
    }
}

impl Site {
    /// Checks that the site has space for a block of this rank's `length`.
    fn check(
        &self,
        segment: &Segment,
        rank: i32,
        length: usize,
        check: impl Fn(usize, usize) -> Result<(), CreateError>,
    ) -> Result<(), CreateError> {
        let end = self.extent.offset as usize + length;
        check(self.extent.length as usize, length)?;
        let room = match self.chunk {
            Some(chunk) => chunk.length(rank)?,
            None => segment.chunk(self.extent.chunk).length(),
        };
        check(room.min(end), end)
    }

    /// Finds a site of this length. If it takes a new chunk, the chunk is put into `fresh`.
    fn find(segment: &Segment, length: usize, fresh: &mut Mine) -> Self {
        match segment.allocate(length) {
            Ok(extent) => Site {
                chunk: None,
                extent,
                memory: None,
            },
            Err(room) => Site {
                chunk: Some(NewMemory::create(room, fresh)),
                extent: Extent {
                    chunk: segment.chunks(),
                    offset: CHUNK_START as u32,
                    length: length as u32,
                },
                memory: None,
            },
        }
    }
}
