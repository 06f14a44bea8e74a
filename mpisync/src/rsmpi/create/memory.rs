//! Making an object that has memory of its own on each node, beside all others.

use crate::error::CreateError;
use crate::rsmpi::Context;
use crate::rsmpi::create::{
    Creation, CreationArguments, NewMemory, Proposal, Rejection, agree, check_length, context_of,
};
use crate::shm::domain::Domain;
use crate::shm::limits;
use crate::shm::mapping::Mapping;
use mpi::traits::Communicator;
use std::sync::Arc;

/// How many bytes an object takes on a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// In memory that the ranks of the node share.
    pub(crate) shared: usize,
    /// In a process, later. It is only looked whether there are as many, so that who asks for what
    /// cannot be is told in time.
    pub(crate) later: usize,
}

/// A new object's memory on this node.
pub(crate) struct CreatedMemory {
    pub(crate) context: Arc<Context>,
    pub(crate) mapping: Mapping,
    /// Where the communicator spans nodes, the object's number in it, the same on all ranks.
    pub(crate) number: Option<u64>,
}

/// Makes the memory of a new object; collective. All ranks succeed or all fail, once `join` has
/// been called with it on all ranks.
///
/// `room` tells how much that is. It is none only where the arguments are invalid.
pub(crate) fn memory<R>(
    creation: &Creation<'_, impl Communicator>,
    arguments: &CreationArguments<'_>,
    room: impl FnOnce(&Domain) -> Option<Room>,
    join: impl FnOnce(CreatedMemory) -> R,
) -> Result<R, CreateError> {
    let context = context_of(creation.comm(), arguments)?;
    let room = room(context.domain());
    let (mut mine, mut proposed) = (None, None);
    let proposal = Proposal::exchange(&context, arguments, || {
        proposed = room.map(|room| NewMemory::create(room.shared, &mut mine));
        proposed
    })?;
    let verdict = proposal.judge(&context, arguments).and_then(|()| {
        let memory: Option<Option<NewMemory>> = proposal.body();
        let (Some(memory), Some(room)) = (memory.flatten(), room) else {
            // The leader has found out what is wrong with what it was asked for.
            return Ok(());
        };
        let rank = context.all().rank();
        check_length(rank, memory.length(rank)?, room.shared)?;
        memory.map(rank, &mut mine)?;
        limits::check(room.later, false).map_err(|short| Rejection::Shortage(short).on(rank))
    });
    let agreed = agree(context.all(), &verdict);
    if let Some(memory) = proposed {
        memory.remove_name();
    }
    agreed?;
    let joined = join(CreatedMemory {
        mapping: mine.expect("agreed upon"),
        number: context.remote().map(|remote| remote.next_object()),
        context: Arc::clone(&context),
    });
    if context.remote().is_some() {
        // No node is told anything before its server knows of the object.
        context.all().minimum(0)?;
    }
    Ok(joined)
}
