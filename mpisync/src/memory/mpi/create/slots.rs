//! Making the memory of a channel.

use super::super::super::queue::{Layout, Slots};
use super::{NewMemory, Offer, Terms, agree, domain_of};
use crate::error::CreateError;
use mpi::traits::Communicator;
use std::sync::Arc;

/// Makes the slots of a new channel of `T` on `comm`; collective. All ranks succeed or all fail.
///
/// `layout` says what they look like for a number of seats; none where the terms are invalid.
pub(crate) fn slots<T>(
    comm: &impl Communicator,
    terms: &Terms<'_>,
    layout: impl FnOnce(usize) -> Option<Layout>,
) -> Result<Slots<T>, CreateError> {
    let domain = domain_of(comm, &terms.asked)?;
    let nodes = domain.topology().nodes() as i32;
    if nodes > 1 {
        return Err(CreateError::SpansNodes { nodes });
    }
    let comms = domain.comms.as_ref().expect("a domain on a communicator");
    let layout = layout(domain.segment().shape().seats);
    let mut mine = None;
    let offer = Offer::exchange(&domain, terms, || {
        layout.map(|layout| NewMemory::create(layout.length(), &mut mine))
    })?;
    let verdict = terms.judge(&domain, &offer.said).and_then(|()| {
        let memory: Option<NewMemory> = offer.body();
        let memory = memory.expect("valid here, and the same there");
        memory.map(comms.all.rank(), &mut mine)
    });
    let agreed = agree(&comms.all, terms, &verdict);
    if domain.topology().is_leader()
        && let Some(memory) = offer.body::<Option<NewMemory>>()
    {
        memory.remove_name();
    }
    agreed?;
    let layout = layout.expect("agreed upon");
    let mapping = mine.expect("agreed upon");
    Ok(Slots::new(Arc::clone(&domain), layout, mapping))
}
