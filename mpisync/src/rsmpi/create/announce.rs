//! Telling all ranks the shape of an array that one of them has, before anything is made.

use crate::error::CreateError;
use crate::rsmpi::create::{Creation, Offer, Terms, agree, broadcast_from, context_of};
use crate::transport::Asked;
use mpi::traits::Communicator;

/// Tells all ranks the shape that `root` passes, of an array of items of so many bytes; collective.
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
    let terms = Terms {
        arguments: vec![("root", root.to_string())],
        invalid,
        asked: Asked::default().or_environment(),
        ..creation.terms("region from a root", "region")
    };
    let context = context_of(comm, &terms)?;
    // No rank may wait for a root that does not know that it is one.
    let offer = Offer::exchange(&context, &terms, || ())?;
    agree(context.all(), &offer.judge(&context, &terms))?;
    let shape = mine.unwrap_or_default().to_vec();
    broadcast_from(context.all(), root, shape)
}
