//! Making the context of a communicator.

use crate::error::CreateError;
use crate::rsmpi::attribute;
use crate::rsmpi::carrier::Carrier;
use crate::rsmpi::comm::OwnComm;
use crate::rsmpi::context;
use crate::rsmpi::context::Context;
use crate::rsmpi::create::{CreationArguments, Mine, NewMemory, agree, broadcast, check_length};
use crate::rsmpi::waiting::Waiting;
use crate::shm::domain::Domain;
use crate::shm::mapping;
use crate::shm::mapping::Mapping;
use crate::shm::segment::{MAX_RANKS, Segment, Shape};
use crate::shm::topology::Topology;
use crate::transport::{Transport, TransportOptions};
use mpi::traits::Communicator;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Makes the context of `comm` and attaches it to `comm`. Collective.
pub(super) fn new(
    comm: &impl Communicator,
    arguments: &CreationArguments<'_>,
) -> Result<Arc<Context>, CreateError> {
    let all = OwnComm::duplicate(comm, Waiting::new(comm, arguments.create_limit()))?;
    let threads = all_have_threads(&all)?;
    // This call of MPI blocks. All ranks have just met, so a rank hangs here only if another one dies between the two
    // calls.
    let node = all.node()?;
    let topology = Topology::gather(&all, &node)?;
    let wanted = Wanted::of_rank_0(&all, &arguments.asked)?;
    if topology.spans_nodes() && wanted.progress_thread {
        threads?;
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
    context.domain().set_number(wanted.number);
    // All ranks have stored their processes before any rank reads them.
    context.all().minimum(0)?;
    context.domain().watch();
    context.all().waiting().watch(context.domain());
    let context = Arc::new(context);
    context::register(&context);
    attribute::set_context(comm.as_raw(), &context)?;
    Ok(context)
}

impl Topology {
    /// Asks MPI which ranks share memory. Collective.
    fn gather(all: &OwnComm, node: &OwnComm) -> Result<Self, CreateError> {
        let rank = all.rank() as u32;
        // The ranks of a node have the same order as in the communicator, so its rank 0 is the lowest.
        let leader = broadcast(node, rank)?;
        let leader_of = all.gather_all(leader)?;
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
    let shape = Shape::of(topology);
    let length = Segment::first_length(shape);
    let (mut proposal, mut mine) = (None, Mine::default());
    if node.rank() == 0 {
        mapping::sweep();
        let reserved = Segment::first_reserved(shape);
        proposal = Some(NewMemory::create_partly(length, reserved, &mut mine));
    }
    let rank = all.rank();
    loop {
        let memory: NewMemory = broadcast(node, proposal)?.expect("of the leader");
        let mapped = (memory.length(rank))
            .and_then(|leader| check_length(rank, leader, length))
            .and_then(|()| memory.map(rank, &mut mine));
        let is_out_of_reach = memory.is_unnamed() && mine.mapping.is_none();
        if all.minimum((!is_out_of_reach).into())? == 1 {
            agree(all, &mapped)?;
            return Ok(mine.mapping.expect("mapped, since all agreed"));
        }
        // A rank cannot open a descriptor of its leader: once more, by name.
        mapping::use_names();
        if let Some(memory) = &mut proposal {
            memory.give_name(&mut mine);
        }
    }
}

/// The requested transport, and the number of the communicator.
struct Wanted {
    windows: bool,
    progress_thread: bool,
    number: u64,
}

impl Wanted {
    /// The request of rank 0; the other ranks compare theirs later. Collective.
    fn of_rank_0(
        all: &OwnComm,
        asked: &Result<TransportOptions, CreateError>,
    ) -> Result<Self, CreateError> {
        let asked = asked.as_ref().copied().unwrap_or_default();
        // Messages by default: they work with every MPI and were faster in all measurements.
        let wanted = (
            asked.transport == Some(Transport::Windows),
            asked.progress_thread.unwrap_or(true),
            // Random, so that two communicators hardly ever have the same one.
            RandomState::new().hash_one(std::process::id()),
        );
        let (windows, progress_thread, number) = broadcast(all, wanted)?;
        Ok(Wanted {
            windows,
            progress_thread,
            number,
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

/// Checks that progress threads may call MPI on all ranks; the outer error is that of the check.
/// Collective.
fn all_have_threads(all: &OwnComm) -> Result<Result<(), CreateError>, CreateError> {
    let provided = mpi::environment::threading_support();
    let enough = provided == mpi::Threading::Multiple;
    if all.minimum(enough.into())? == 1 {
        return Ok(Ok(()));
    }
    Ok(Err(CreateError::Threads {
        provided: format!("{provided:?}"),
    }))
}
