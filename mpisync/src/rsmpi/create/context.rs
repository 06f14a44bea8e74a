//! Making the context of a communicator.

use crate::error::CreateError;
use crate::rsmpi::attribute;
use crate::rsmpi::carrier::Carrier;
use crate::rsmpi::comm::OwnComm;
use crate::rsmpi::context::Context;
use crate::rsmpi::create::{CreationArguments, NewMemory, agree, broadcast, check_length};
use crate::shm::domain::Domain;
use crate::shm::mapping::Mapping;
use crate::shm::segment::{MAX_RANKS, Segment, Shape};
use crate::shm::topology::Topology;
use crate::transport::{Transport, TransportOptions};
use mpi::traits::Communicator;
use std::sync::Arc;

/// Makes the context of `comm` and attaches it to `comm`. Collective.
pub(super) fn new(
    comm: &impl Communicator,
    arguments: &CreationArguments<'_>,
) -> Result<Arc<Context>, CreateError> {
    let all = OwnComm::duplicate(comm)?;
    let node = all.node()?;
    let topology = Topology::gather(&all, &node)?;
    let wanted = Wanted::of_rank_0(&all, &arguments.asked)?;
    if topology.spans_nodes() && wanted.progress_thread {
        check_threads(&all)?;
    }
    let first = first_chunk(&all, &node, &topology)?;
    let context = if topology.spans_nodes() {
        let carrier = wanted.carrier(&all, &topology)?;
        let transport = carrier.transport();
        let domain = Domain::shared(topology, first, transport);
        Context::on_nodes(all, node, carrier, domain)
    } else {
        let domain = Domain::shared(topology, first, Transport::SharedMemory);
        Context::on_one_node(all, domain)
    };
    // All ranks have stored their processes before any rank reads them.
    context.all().minimum(0)?;
    context.domain().watch();
    let context = Arc::new(context);
    attribute::set_context(comm.as_raw(), &context)?;
    Ok(context)
}

impl Topology {
    /// Asks MPI which ranks share memory. Collective.
    fn gather(all: &OwnComm, node: &OwnComm) -> Result<Self, CreateError> {
        let rank = all.rank() as u32;
        // The ranks of a node have the same order as in the communicator, so its rank 0 is the
        // lowest.
        let mut leader = rank.to_ne_bytes();
        node.broadcast(&mut leader)?;
        let leader_of = all.gather_all(u32::from_ne_bytes(leader))?;
        Ok(Topology::new(rank, &leader_of))
    }
}

/// Makes and maps the first chunk of shared memory, one on each node. Collective.
fn first_chunk(all: &OwnComm, node: &OwnComm, topology: &Topology) -> Result<Mapping, CreateError> {
    let size = all.size();
    if all.minimum((MAX_RANKS - topology.local_ranks().len().min(MAX_RANKS)) as i32)? == 0 {
        let most = MAX_RANKS as i32 - 1;
        return Err(CreateError::TooManyRanks { size, most });
    }
    let length = Segment::first_length(Shape::of(topology));
    let (mut proposal, mut mine) = (None, None);
    if node.rank() == 0 {
        proposal = Some(NewMemory::create(length, &mut mine));
    }
    let proposal = broadcast(node, proposal)?.expect("of the leader");
    let rank = all.rank();
    let mapped = (proposal.length(rank))
        .and_then(|leader| check_length(rank, leader, length))
        .and_then(|()| proposal.map(rank, &mut mine));
    let agreed = agree(all, &mapped);
    if node.rank() == 0 {
        proposal.remove_name();
    }
    agreed.map(|()| mine.expect("mapped, since all agreed"))
}

/// The requested transport.
struct Wanted {
    windows: bool,
    progress_thread: bool,
}

impl Wanted {
    /// The request of rank 0; the other ranks compare theirs later. Collective.
    fn of_rank_0(
        all: &OwnComm,
        asked: &Result<TransportOptions, CreateError>,
    ) -> Result<Self, CreateError> {
        let asked = asked.as_ref().copied().unwrap_or_default();
        // Messages by default: they work with every MPI and were faster in all measurements.
        let mut words = [
            u8::from(asked.transport == Some(Transport::Windows)),
            u8::from(asked.progress_thread.unwrap_or(true)),
        ];
        all.broadcast(&mut words)?;
        Ok(Wanted {
            windows: words[0] == 1,
            progress_thread: words[1] == 1,
        })
    }

    /// Collective.
    fn carrier(&self, all: &OwnComm, topology: &Topology) -> Result<Carrier, CreateError> {
        if self.windows {
            Carrier::by_windows(all, topology, self.progress_thread)
        } else {
            Ok(Carrier::by_messages(topology, self.progress_thread))
        }
    }
}

/// Checks that the progress threads may call MPI. Collective.
fn check_threads(all: &OwnComm) -> Result<(), CreateError> {
    let provided = mpi::environment::threading_support();
    let enough = provided == mpi::Threading::Multiple;
    if all.minimum(enough.into())? == 1 {
        return Ok(());
    }
    Err(CreateError::Threads {
        provided: format!("{provided:?}"),
    })
}
