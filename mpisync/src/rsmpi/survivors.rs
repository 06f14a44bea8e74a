//! A communicator of the ranks that are left.

use crate::error::CreateError;
use crate::rsmpi::attribute;
use crate::rsmpi::communicator::IntraCommunicator;
use crate::rsmpi::create::Creation;
use crate::shm::survivors::{Disagreement, agree};
use crate::transport::TransportOptions;
use mpi::Tag;
use mpi::topology::SimpleCommunicator;
use mpi::traits::Group;
use std::panic::Location;
use std::time::Instant;

/// The tag of the call that makes the communicator; MPI keeps such tags apart from those of messages.
const TAG: Tag = 16_017;

/// Lets the ranks of `comm` that are left go on after others have died or ended, and makes a
/// communicator of them. Collective over the ranks that are left: each of them has to call it. They
/// keep their order.
///
/// The ranks agree on who is left. If one of them dies in the meantime, they agree anew. From then
/// on, what all ranks do together with the objects of `comm` (fences, `#[collective]` calls,
/// barriers, turns, [`Region::set`](crate::Region::set), `close`) does without the others, and the
/// ranks keep their numbers there. New objects are made on the communicator that is returned. The
/// chapter [errors](crate::guide::errors#who-is-left) of the guide has a table.
///
/// `comm` has to have an object, since only then the ranks know of each other who lives. The launcher
/// has to let the others live when a rank dies, see [the
/// guide](crate::guide::errors#when-a-rank-dies). Over several nodes the lowest rank of each node
/// has to live.
///
/// ```no_run
/// use mpisync::prelude::*;
///
/// #[mpisync::collective]
/// fn step(ctrl: &mut WindowController) -> anyhow::Result<()> {
///     Ok(()) // work
/// }
///
/// fn main() -> std::process::ExitCode {
///     mpisync::run(|world| -> anyhow::Result<()> {
///         let mut ctrl = mpisync::sync(world)?;
///         for _ in 0..100 {
///             if let Err(error) = step(&mut ctrl) {
///                 eprintln!("{error}; going on with the others");
///                 let left = mpisync::survivors(world)?;
///                 eprintln!("{} ranks are left", left.size());
///             }
///         }
///         Ok(())
///     })
/// }
/// ```
///
/// # Errors
/// [`CreateError::NoObject`] if no object was made on `comm`; [`CreateError::Timeout`] if a rank that
/// is left does not call it in the time that `MPISYNC_CREATE_TIMEOUT` sets, 300 seconds by default,
/// after which it may be called again; [`CreateError::RankDied`] or [`CreateError::RankEnded`] if the
/// lowest rank of a node is gone.
#[track_caller]
pub fn survivors<C: IntraCommunicator>(comm: &C) -> Result<SimpleCommunicator, CreateError> {
    let location = Location::caller();
    let _creation = Creation::begin(comm, location)?;
    let context = attribute::context(comm.as_raw())?.ok_or(CreateError::NoObject)?;
    let limit = TransportOptions::default().or_environment()?.create_limit();
    let start = Instant::now();
    let left = agree(context.domain(), limit, location).map_err(|why| match why {
        Disagreement::Timeout(missing) => CreateError::Timeout {
            waited: start.elapsed(),
            missing: missing.into_iter().map(|rank| rank as i32).collect(),
        },
        Disagreement::LeaderLost(rank, absence) => CreateError::absent(rank, absence),
    })?;
    let left: Vec<i32> = left.into_iter().map(|rank| rank as i32).collect();
    let group = comm.group().include(&left);
    // All of the group have just posted that they are about to call this, which blocks.
    let made = comm.split_by_subgroup_with_tag(&group, TAG);
    made.ok_or_else(|| CreateError::Mpi {
        function: "MPI_Comm_create_group",
        message: "this rank is not in the new communicator".to_owned(),
    })
}
