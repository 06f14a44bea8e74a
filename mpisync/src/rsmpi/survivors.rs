//! A communicator of the ranks that are left.

use crate::error::CreateError;
use crate::rsmpi::attribute;
use crate::rsmpi::blocking::Blocking;
use crate::rsmpi::comm::{Handle, check};
use crate::rsmpi::communicator::IntraCommunicator;
use crate::rsmpi::create::Creation;
use crate::rsmpi::waiting::{GRACE, INSPECTION};
use crate::shm::domain::Domain;
use crate::shm::survivors::{Disagreement, LABEL, agree};
use crate::shm::wait::{Deadline, wait_for_answer};
use crate::shm::waiting::{Call, Described};
use crate::transport::TransportOptions;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{AsRaw, FromRaw, Group};
use mpi::{Tag, ffi};
use std::mem::forget;
use std::panic::Location;
use std::time::Instant;

/// The tags of the calls that make the communicators; MPI keeps them apart from those of messages.
const FIRST_TAG: Tag = 16_017;
const TAGS: u64 = 1_000;

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
/// lowest rank of a node is gone, or one more rank after all have agreed: then call it again.
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
    make(comm, context.domain(), &left, location)
}

/// Makes the communicator of the ranks that are `left`, which all of them are about to call.
fn make(
    comm: &impl IntraCommunicator,
    domain: &Domain,
    left: &[i32],
    location: &'static Location<'static>,
) -> Result<SimpleCommunicator, CreateError> {
    let group = comm.group().include(left);
    let (parent, members) = (Handle(comm.as_raw()), GroupHandle(group.as_raw()));
    // A call in which a rank has died may still be in MPI.
    let tag = FIRST_TAG + (domain.agreements() % TAGS) as Tag;
    let call = Blocking::begin(move || {
        let mut made = parent.raw();
        // SAFETY: a communicator and a group that are not freed while this runs, and the result in a live variable.
        let code =
            unsafe { ffi::MPI_Comm_create_group(parent.raw(), members.raw(), tag, &mut made) };
        check("MPI_Comm_create_group", code).map(|()| Handle(made))
    });
    let nobody = Described::new(domain, LABEL, Vec::new);
    let call_here = Call::new(&nobody, "survivors", location).without_failing();
    let deadline = Deadline::NEVER.of(call_here);
    let (mut inspected, mut lost_since) = (Instant::now(), None);
    let lost = wait_for_answer(domain, deadline, || {
        if call.is_complete() {
            return Some(None);
        }
        let now = Instant::now();
        if now - inspected < INSPECTION {
            return None;
        }
        inspected = now;
        let lost = domain
            .participants()
            .find_map(|rank| Some((rank, domain.departure(rank)?)))?;
        // What it has sent may be enough.
        (now - *lost_since.get_or_insert(now) >= GRACE).then_some(Some(lost))
    });
    match lost {
        Ok(None) => {
            let made = call.into_result()?;
            // SAFETY: a communicator of this process without a topology, which the user frees.
            Ok(unsafe { SimpleCommunicator::from_raw(made.raw()) })
        }
        Ok(Some((rank, absence))) => {
            // MPI may still use it.
            forget(group);
            Err(CreateError::absent(rank as u32, absence))
        }
        Err(stop) => {
            forget(group);
            Err(stop.expect_host_loss().into())
        }
    }
}

/// A group that any thread may hold.
struct GroupHandle(ffi::MPI_Group);

impl GroupHandle {
    fn raw(&self) -> ffi::MPI_Group {
        self.0
    }
}

// SAFETY: as for a communicator, see `OwnComm`.
unsafe impl Send for GroupHandle {}
