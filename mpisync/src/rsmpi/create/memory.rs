//! Making an object with a mapping of its own on each node.

use crate::error::CreateError;
use crate::rsmpi::Context;
use crate::rsmpi::create::{
    Creation, CreationArguments, Mine, NewMemory, Proposal, Rejection, agree, check_length,
    context_of,
};
use crate::shm::domain::Domain;
use crate::shm::limits;
use crate::shm::mapping::Mapping;
use mpi::traits::Communicator;
use std::sync::Arc;

/// The memory of an object on a node, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Shared by the ranks of the node.
    pub(crate) shared: usize,
    /// Allocated later by a process. The creation only checks that there is enough, to fail early.
    pub(crate) later: usize,
}

/// A new object's memory on this node.
pub(crate) struct CreatedMemory {
    pub(crate) context: Arc<Context>,
    pub(crate) mapping: Mapping,
    /// The object's number, the same on all ranks, if the communicator spans nodes.
    pub(crate) number: Option<u64>,
}

/// Makes the memory of a new object and calls `join` with it. Collective. All ranks succeed or all
/// fail, and `join` has been called on all ranks before it returns.
///
/// `room` returns the size, or None if the arguments are invalid.
pub(crate) fn memory<R>(
    creation: &Creation<'_, impl Communicator>,
    arguments: &CreationArguments<'_>,
    room: impl FnOnce(&Domain) -> Option<Room>,
    join: impl FnOnce(CreatedMemory) -> R,
) -> Result<R, CreateError> {
    let context = context_of(creation.comm(), arguments)?;
    let room = room(context.domain());
    let mut mine = Mine::default();
    let proposal = Proposal::exchange(&context, arguments, || {
        room.map(|room| NewMemory::create(room.shared, &mut mine))
    })?;
    let verdict = proposal.judge(&context, arguments).and_then(|()| {
        let memory: Option<Option<NewMemory>> = proposal.body();
        let (Some(memory), Some(room)) = (memory.flatten(), room) else {
            // The arguments of the leader are invalid, and the leader knows the error.
            return Ok(());
        };
        let rank = context.all().rank();
        check_length(arguments, rank, memory.length(rank)?, room.shared)?;
        memory.map(rank, &mut mine)?;
        limits::check_private(room.later).map_err(|short| Rejection::Shortage(short).on(rank))
    });
    agree(context.all(), &verdict)?;
    let joined = join(CreatedMemory {
        mapping: mine.mapping.expect("agreed upon"),
        number: context.remote().map(|remote| remote.next_object()),
        context: Arc::clone(&context),
    });
    if context.remote().is_some() {
        // No node gets a message before its server knows the object.
        context.all().minimum(0)?;
    }
    Ok(joined)
}
