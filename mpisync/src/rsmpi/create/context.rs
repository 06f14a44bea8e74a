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
use crate::shm::liveness::Liveness;
use crate::shm::mapping;
use crate::shm::mapping::Mapping;
use crate::shm::segment::{MAX_RANKS, Segment, Shape};
use crate::shm::topology::Topology;
use crate::transport::{Transport, TransportOptions};
use mpi::traits::Communicator;
use rustix::fd::OwnedFd;
use serde::{Deserialize, Serialize};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

/// Makes the context of `comm` and attaches it to `comm`. Collective.
///
/// A rank that gives up leaves a call of MPI behind, in which the others may still arrive. Were it to begin anew, they
/// would be in different calls, and all would wait. So the communicator keeps the reason instead.
pub(super) fn new(
    comm: &impl Communicator,
    arguments: &CreationArguments<'_>,
) -> Result<Arc<Context>, CreateError> {
    let waiting = Arc::new(Waiting::new(comm, arguments.create_limit()));
    let made = make(comm, arguments, &waiting);
    match (&made, waiting.refusal()) {
        (Ok(context), _) => attribute::keep(comm.as_raw(), Ok(Arc::clone(context)))?,
        (Err(_), Some(refusal)) => attribute::keep(comm.as_raw(), Err(refusal))?,
        // All ranks have agreed on the error.
        (Err(_), None) => {}
    }
    made
}

fn make(
    comm: &impl Communicator,
    arguments: &CreationArguments<'_>,
    waiting: &Arc<Waiting>,
) -> Result<Arc<Context>, CreateError> {
    let all = OwnComm::duplicate(comm, Arc::clone(waiting))?;
    let threads = all_have_threads(&all)?;
    let wanted = Wanted::of_rank_0(&all, &arguments.asked)?;
    let Node {
        ranks,
        topology,
        memory,
        file,
    } = Node::find(&all, &wanted)?;
    if topology.spans_nodes() && wanted.progress_thread {
        threads?;
    }
    let context = if topology.spans_nodes() {
        let carrier = wanted.carrier(&all, &topology)?;
        let transport = carrier.transport();
        let domain = Domain::shared(topology, memory, transport);
        Context::on_nodes(all, ranks, carrier, wanted.silence, domain)
    } else {
        let domain = Domain::shared(topology, memory, Transport::SharedMemory);
        Context::on_one_node(all, domain)
    };
    context.domain().set_number(wanted.number);
    begin_trace(context.all(), &wanted.trace)?;
    #[cfg(feature = "trace")]
    crate::rsmpi::trace::define(&context);
    if let Some(file) = &file {
        context.domain().segment().expose(file);
    }
    // All ranks have stored their processes before any rank reads them.
    context.all().minimum(0)?;
    watch(&context, file)?;
    context.all().waiting().watch(context.domain());
    let context = Arc::new(context);
    context::register(&context);
    Ok(context)
}

/// Begins the trace of this process, if rank 0 has said something about it. Collective.
fn begin_trace(all: &OwnComm, said: &[u8]) -> Result<(), CreateError> {
    if said.is_empty() {
        return Ok(());
    }
    let can_all = all.minimum(cfg!(feature = "trace").into())? == 1;
    #[cfg(feature = "trace")]
    match can_all {
        true => crate::rsmpi::trace::begin_with(all, said),
        false => crate::rsmpi::trace::refuse(),
    }
    #[cfg(not(feature = "trace"))]
    debug_assert!(!can_all, "this rank cannot");
    Ok(())
}

/// Lets the ranks of each node find out which of them are alive: in `/proc`, or by locks in the file
/// of their memory where a process cannot be looked up. Collective.
fn watch(context: &Context, file: Option<OwnedFd>) -> Result<(), CreateError> {
    let (all, domain) = (context.all(), context.domain());
    let sees_all = domain.watch();
    if all.minimum(sees_all.into())? == 1 {
        return Ok(());
    }
    let liveness = file.map(Liveness::new);
    let is_shown = liveness.as_ref().is_some_and(|it| domain.show_life(it));
    if all.minimum(is_shown.into())? == 1
        && let Some(liveness) = liveness
    {
        domain.watch_by(liveness);
    }
    Ok(())
}

/// The node of this rank: the ranks that it shares memory with.
struct Node {
    ranks: OwnComm,
    topology: Topology,
    /// The first chunk, mapped, and its file.
    memory: Mapping,
    file: Option<OwnedFd>,
}

impl Node {
    /// Finds the ranks that share memory with this one, and maps the first chunk. Collective.
    fn find(all: &OwnComm, wanted: &Wanted) -> Result<Self, CreateError> {
        let host = if wanted.each_rank_is_a_node {
            all.split(all.rank())?
        } else {
            // This call of MPI blocks. All ranks have just met, so a rank hangs here only if another one dies between
            // the two calls.
            all.node()?
        };
        let host = match Self::of(all, host, true)? {
            Ok(node) => return Ok(node),
            Err(host) => host,
        };
        // Ranks that MPI takes to be on one host may be in containers that share no memory.
        let reach = host.split(lowest_with(&host, shared_memory_file_system())?)?;
        let node = Self::of(all, reach, false)?;
        Ok(node.unwrap_or_else(|_| unreachable!("an error, if it may not be split")))
    }

    /// The node with these ranks. Returns the ranks, on all ranks, if one of them cannot reach the
    /// memory of its leader and `may_split`. Collective.
    fn of(
        all: &OwnComm,
        ranks: OwnComm,
        may_split: bool,
    ) -> Result<Result<Self, OwnComm>, CreateError> {
        let topology = Topology::gather(all, &ranks)?;
        let Some((memory, file)) = first_chunk(all, &ranks, &topology, may_split)? else {
            return Ok(Err(ranks));
        };
        Ok(Ok(Node {
            ranks,
            topology,
            memory,
            file,
        }))
    }
}

/// The file system of shared memory, by a number that all processes of a host agree on.
fn shared_memory_file_system() -> u64 {
    rustix::fs::stat("/dev/shm").map_or(0, |stat| stat.st_dev)
}

/// The lowest rank with the same value as this one. Collective.
fn lowest_with(ranks: &OwnComm, value: u64) -> Result<i32, CreateError> {
    let (low, high) = (value as u32, (value >> 32) as u32);
    let (lows, highs) = (ranks.gather_all(low)?, ranks.gather_all(high)?);
    let lowest = (0..lows.len()).find(|&rank| (lows[rank], highs[rank]) == (low, high));
    Ok(lowest.expect("this rank has the value") as i32)
}

impl Topology {
    /// From the ranks of this node. Collective.
    fn gather(all: &OwnComm, node: &OwnComm) -> Result<Self, CreateError> {
        let rank = all.rank() as u32;
        // The ranks of a node have the same order as in the communicator, so its rank 0 is the lowest.
        let leader = broadcast(node, rank)?;
        let leader_of = all.gather_all(leader)?;
        Ok(Topology::new(rank, &leader_of))
    }
}

/// Makes and maps the first chunk of shared memory, one on each node, and returns its file too.
/// None on all ranks if one of them cannot reach the memory and `may_split`. Collective.
fn first_chunk(
    all: &OwnComm,
    node: &OwnComm,
    topology: &Topology,
    may_split: bool,
) -> Result<Option<(Mapping, Option<OwnedFd>)>, CreateError> {
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
            .and_then(|leader| check_length(&"communicator", rank, leader, length))
            .and_then(|()| memory.map(rank, &mut mine));
        let cannot_reach = memory.exists() && mine.mapping.is_none();
        let (try_name, split) = (
            cannot_reach && memory.is_unnamed(),
            cannot_reach && may_split,
        );
        // 0 if a rank tries it by name, 1 if one of the others needs another node.
        let wish = if try_name { 0 } else { 2 - i32::from(split) };
        match all.minimum(wish)? {
            0 => {}
            1 => return Ok(None),
            _ => {
                agree(all, &mapped)?;
                return Ok(Some(mine.into_parts()));
            }
        }
        // A rank cannot open a descriptor of its leader: once more, by name.
        mapping::use_names();
        if let Some(memory) = &mut proposal {
            memory.give_name(&mut mine);
        }
    }
}

/// The requested transport, the number of the communicator, and the trace.
#[derive(Serialize, Deserialize)]
struct Wanted {
    windows: bool,
    progress_thread: bool,
    silence: Duration,
    each_rank_is_a_node: bool,
    number: u64,
    /// What rank 0 says about it. Read with the feature `trace` only, but all ranks need the same message.
    trace: Vec<u8>,
}

impl Wanted {
    /// The request of rank 0; the other ranks compare theirs later. Collective.
    fn of_rank_0(
        all: &OwnComm,
        asked: &Result<TransportOptions, CreateError>,
    ) -> Result<Self, CreateError> {
        let asked = asked.as_ref().copied().unwrap_or_default();
        let wanted = Wanted {
            // Messages by default: they work with every MPI and were faster in all measurements.
            windows: asked.transport == Some(Transport::Windows),
            progress_thread: asked.progress_thread.unwrap_or(true),
            silence: asked.silence_limit(),
            each_rank_is_a_node: asked.each_rank_is_a_node.unwrap_or(false),
            // Random, so that two communicators hardly ever have the same one.
            number: RandomState::new().hash_one(std::process::id()),
            #[cfg(feature = "trace")]
            trace: crate::rsmpi::trace::said_with(all),
            #[cfg(not(feature = "trace"))]
            trace: Vec::new(),
        };
        broadcast(all, wanted)
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
