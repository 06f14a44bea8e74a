//! Making the memory of a channel.

use super::super::super::domain::Domain;
use super::super::super::limits;
use super::super::super::mapping::Mapping;
use super::super::super::queue::{Layout, Opaque, RelayLayout, RelaySlots, Slots};
use super::{Creation, NewMemory, Offer, Refusal, Terms, agree, check_length, context_of};
use crate::error::CreateError;
use crate::memory::mpi::Context;
use mpi::traits::Communicator;
use std::sync::Arc;

/// How many messages fit into the queues of a node, where there are several: so many bytes, within bounds.
const RELAYED_BYTES: usize = 1 << 20;
const RELAYED_MESSAGES: (usize, usize) = (4, 512);

/// A new channel's memory on this node.
pub(crate) enum CreatedSlots<T> {
    /// All ranks are on it.
    Near(Slots<T>),
    /// There are other nodes.
    Far(Box<CreatedRelay<T>>),
}

/// A node's part of a new channel.
pub(crate) struct CreatedRelay<T> {
    pub(crate) slots: RelaySlots<T>,
    pub(crate) context: Arc<Context>,
    /// Its number in the communicator, the same on all ranks.
    pub(crate) number: u64,
    /// How many messages fit into a queue of a node.
    pub(crate) ring: u64,
    /// On the leader, what the node's agent sees.
    pub(crate) agent: Option<RelaySlots<Opaque>>,
}

/// Where things lie in it.
#[derive(Clone, Copy)]
enum Plan {
    Near(Layout),
    /// And how long a queue with room for all messages would be.
    Far(RelayLayout, usize),
}

impl Plan {
    /// For a channel of `T` on this node; none where it does not fit.
    fn of<T>(domain: &Domain, capacity: usize) -> Option<Self> {
        let seats = domain.segment().shape().seats;
        let near = Layout::of::<T>(capacity, seats)?;
        if !domain.topology().spans_nodes() {
            return Some(Plan::Near(near));
        }
        let (least, most) = RELAYED_MESSAGES;
        let ring = (RELAYED_BYTES / size_of::<T>().max(1)).clamp(least, most);
        let layout = Layout::of::<T>(ring.min(capacity), seats)?;
        Some(Plan::Far(RelayLayout(layout), near.length()))
    }

    fn length(self) -> usize {
        match self {
            Plan::Near(layout) => layout.length(),
            Plan::Far(layout, _) => layout.length(),
        }
    }

    /// Whether the host could have all messages. It takes memory for them when they come, so this is how a capacity that
    /// cannot be is told in time.
    fn check_room(self, rank: i32) -> Result<(), CreateError> {
        match self {
            Plan::Far(_, length) => {
                limits::check(length, false).map_err(|short| Refusal::Shortage(short).on(rank))
            }
            Plan::Near(_) => Ok(()),
        }
    }
}

/// Makes the memory of a new channel of `T`; collective. All ranks succeed or all fail, once `join`
/// has been called with it on all ranks.
///
/// The capacity is one for which there is a layout, or the terms are invalid.
pub(crate) fn slots<T, R>(
    creation: &Creation<'_, impl Communicator>,
    terms: &Terms<'_>,
    capacity: usize,
    join: impl FnOnce(CreatedSlots<T>) -> R,
) -> Result<R, CreateError> {
    let context = context_of(creation.comm(), terms)?;
    let domain = context.domain();
    let plan = Plan::of::<T>(domain, capacity);
    let (mut mine, mut offered) = (None, None);
    let offer = Offer::exchange(&context, terms, || {
        offered = plan.map(|plan| NewMemory::create(plan.length(), &mut mine));
        offered
    })?;
    let verdict = offer.judge(&context, terms).and_then(|()| {
        let memory: Option<Option<NewMemory>> = offer.body();
        let (Some(memory), Some(plan)) = (memory.flatten(), plan) else {
            // The leader has found out what is wrong with what it was asked for.
            return Ok(());
        };
        let rank = context.all().rank();
        check_length(rank, memory.length(rank)?, plan.length())?;
        memory.map(rank, &mut mine)?;
        plan.check_room(rank)
    });
    let agreed = agree(context.all(), &verdict);
    if let Some(memory) = offered {
        memory.remove_name();
    }
    agreed?;
    let plan = plan.expect("agreed upon");
    let mapping: Mapping = mine.expect("agreed upon");
    let layout = match plan {
        Plan::Near(layout) => {
            let slots = Slots::new(Arc::clone(domain), layout, mapping);
            return Ok(join(CreatedSlots::Near(slots)));
        }
        Plan::Far(layout, _) => layout,
    };
    let mapping = Arc::new(mapping);
    let far = context.far().expect("it spans nodes");
    let leads = domain.topology().is_leader();
    let relay = CreatedRelay {
        slots: RelaySlots::new(domain, layout, &mapping),
        context: Arc::clone(&context),
        number: far.next_object(),
        ring: layout.0.capacity(),
        agent: leads.then(|| RelaySlots::for_agent(domain, layout, &mapping)),
    };
    let joined = join(CreatedSlots::Far(Box::new(relay)));
    // No node is told anything before its agent knows of the channel.
    context.all().minimum(0)?;
    Ok(joined)
}
