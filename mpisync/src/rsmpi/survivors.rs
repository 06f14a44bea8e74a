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
use crate::shm::wait::{Deadline, Stop, wait_for_answer};
use crate::shm::waiting::{Call, Described};
use crate::transport::TransportOptions;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{AsRaw, FromRaw, Group};
use mpi::{Tag, ffi};
use std::mem::forget;
use std::panic::Location;
use std::time::{Duration, Instant};

/// The tags of the calls that make the communicators; MPI keeps them apart from those of messages.
const FIRST_TAG: Tag = 17_017;
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
/// No other thread may be in a call on an object of `comm` that all ranks make. A rank that waits in
/// such a call for one that has come here gets an error that names the dead rank.
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
/// [`CreateError::HostSilent`] if a host does not answer.
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
        Disagreement::HostLost(loss) => loss.into(),
    })?;
    let left: Vec<i32> = left.into_iter().map(|rank| rank as i32).collect();
    make(comm, context.domain(), &left, limit, location)
}

/// Makes the communicator of the ranks that are `left`, which all of them are about to call.
fn make(
    comm: &impl IntraCommunicator,
    domain: &Domain,
    left: &[i32],
    limit: Option<Duration>,
    location: &'static Location<'static>,
) -> Result<SimpleCommunicator, CreateError> {
    let group = comm.group().include(left);
    // The user's communicator: MPICH 4.0 crashes with one that was made by `MPI_Comm_idup`, as the library's own.
    let (parent, members) = (Handle(comm.as_raw()), GroupHandle(group.as_raw()));
    // Open MPI makes the communicator of the least tag first, and such a call may stay the first for ever. So each has
    // a smaller tag than the one before.
    let tag = FIRST_TAG - (domain.agreements() % TAGS) as Tag;
    let call = Blocking::begin(move || {
        let mut made = parent.raw();
        // SAFETY: the communicator is valid when the call begins, as long as this function runs. If the user frees it while
        // a call that was given up is in MPI, it stays until that is complete (MPI 4.1, 7.4.3, `MPI_Comm_free`). The group
        // is leaked then. The result is in a live variable.
        let code =
            unsafe { ffi::MPI_Comm_create_group(parent.raw(), members.raw(), tag, &mut made) };
        check("MPI_Comm_create_group", code).map(|()| Handle(made))
    });
    let nobody = Described::new(domain, LABEL, Vec::new);
    let call_here = Call::new(&nobody, "survivors", location).without_failing();
    let start = Instant::now();
    let (mut inspected, mut lost_since) = (start, None);
    let waited = wait_for_answer(domain, Deadline::within(limit).of(call_here), || {
        if call.is_complete() {
            return Some(Ok(()));
        }
        let now = Instant::now();
        if now - inspected < INSPECTION {
            return None;
        }
        inspected = now;
        let (rank, absence) = domain.absent_participant()?;
        // What it has sent may be enough.
        let is_over = now - *lost_since.get_or_insert(now) >= GRACE;
        is_over.then(|| Err(CreateError::absent(rank, absence)))
    });
    let completed = waited.unwrap_or_else(|stop| {
        Err(match stop {
            Stop::Timeout => CreateError::Timeout {
                waited: start.elapsed(),
                missing: Vec::new(),
            },
            stop => stop.expect_host_loss().into(),
        })
    });
    if let Err(error) = completed {
        forget(group);
        return Err(error);
    }
    let made = call.into_result()?;
    // SAFETY: a communicator of this process without a topology, which the user frees.
    Ok(unsafe { SimpleCommunicator::from_raw(made.raw()) })
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
