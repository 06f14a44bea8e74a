//! Sends the shape of an array that one rank has to all ranks, before an object is made.

use crate::error::CreateError;
use crate::rsmpi::create::{
    Creation, CreationArguments, Proposal, agree, broadcast_from, context_of,
};
use crate::transport::TransportOptions;
use mpi::traits::Communicator;

/// Returns the shape that `root` passes on all ranks. Collective.
pub(crate) fn announce(
    creation: &Creation<'_, impl Communicator>,
    root: i32,
    mine: Option<&[usize]>,
) -> Result<Vec<usize>, CreateError> {
    let comm = creation.comm();
    let size = comm.size();
    let invalid = match mine {
        None if root == comm.rank() => Some(CreateError::NoArray { root }),
        _ => None,
    };
    let invalid = CreateError::check_rank("root", root, size).or(invalid);
    let arguments = CreationArguments {
        arguments: vec![("root", root.to_string())],
        invalid,
        asked: TransportOptions::default().or_environment(),
        ..creation.arguments("region from a root", "region")
    };
    let context = context_of(comm, &arguments)?;
    // All ranks agree on the root before they wait for it.
    let proposal = Proposal::exchange(&context, &arguments, || ())?;
    agree(context.all(), &proposal.judge(&context, &arguments))?;
    let shape = mine.unwrap_or_default().to_vec();
    broadcast_from(context.all(), root, shape)
}
