//! How the collective calls of a creation wait for the other ranks: not for ever.

use crate::error::CreateError;
use crate::rsmpi::blocking::Blocking;
use crate::rsmpi::comm::{Handle, test, translate};
use crate::rsmpi::context::{Context, contexts};
use crate::shm::absence::Absence;
use crate::shm::domain::Domain;
use crate::shm::lock;
use crate::shm::wait::{FIRST_SLEEP, LONGEST_SLEEP, Surroundings};
use crate::shm::waiting::interrupt::Interruption;
use mpi::ffi;
use mpi::traits::Communicator;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often a call is tested before the scheduler gets involved.
const SPINS: u32 = 40;
/// How long a rank polls before it sleeps.
const POLL: Duration = Duration::from_millis(1);
/// How often a rank checks whether the others are alive.
pub(super) const INSPECTION: Duration = Duration::from_millis(20);
/// How long a call may still complete after a rank has died: what the rank sent before arrives.
pub(super) const GRACE: Duration = Duration::from_millis(500);
/// How long the news of a death may take after MPI has failed to reach the rank.
const NEWS: Duration = Duration::from_secs(2);

/// How the collective calls on a communicator wait.
pub(super) struct Waiting {
    /// The user's communicator, until its first object is made.
    comm: Handle,
    /// How long a call waits; None if for ever.
    limit: Mutex<Option<Duration>>,
    /// Tells which ranks are alive; empty until the first object of the communicator is made.
    domain: OnceLock<Weak<Domain>>,
    /// Why a call has not completed. No further call is begun then: the ranks may be in different
    /// ones.
    failure: OnceLock<CreateError>,
}

impl Waiting {
    pub(super) fn new(comm: &impl Communicator, limit: Option<Duration>) -> Self {
        Waiting {
            comm: Handle(comm.as_raw()),
            limit: Mutex::new(limit),
            domain: OnceLock::new(),
            failure: OnceLock::new(),
        }
    }

    /// Begins a creation with its own limit.
    pub(super) fn begin(&self, limit: Option<Duration>) -> Result<(), CreateError> {
        if let Some(domain) = self.domain.get().and_then(Weak::upgrade) {
            domain.segment().begin_creation();
        }
        *lock(&self.limit) = limit;
        self.refusal().map_or(Ok(()), Err)
    }

    /// Lets `domain` tell which ranks are alive. It has to outlive the calls.
    pub(super) fn watch(&self, domain: &Arc<Domain>) {
        let set = self.domain.set(Arc::downgrade(domain));
        debug_assert!(set.is_ok(), "a communicator has one domain");
    }

    /// Why an earlier call has not completed.
    pub(super) fn failure(&self) -> Option<CreateError> {
        self.failure.get().cloned()
    }

    /// Why no further creation can begin, after an earlier call has not completed.
    pub(super) fn refusal(&self) -> Option<CreateError> {
        self.failure().map(|failure| match failure {
            CreateError::Interrupted => CreateError::InterruptedBefore,
            failure => failure,
        })
    }

    /// Waits until a request that has `begun` is complete. After an error MPI may still use its
    /// memory. `missing` names the ranks that have not come where no domain can.
    pub(super) fn complete(
        &self,
        begun: Result<ffi::MPI_Request, CreateError>,
        missing: impl Fn() -> Vec<i32>,
    ) -> Result<(), CreateError> {
        let domain = self.domain.get().and_then(Weak::upgrade);
        let domain = domain.as_deref();
        let completed =
            begun.and_then(|mut request| self.poll(|| test(&mut request), domain, missing));
        completed.map_err(|error| self.fail(self.cause(error, domain), domain))
    }

    /// Waits until a call that blocks is complete.
    pub(super) fn complete_blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> Result<T, CreateError> + Send + 'static,
    ) -> Result<T, CreateError> {
        let call = Blocking::begin(call);
        let domain = self.domain.get().and_then(Weak::upgrade);
        let domain = domain.as_deref();
        let completed = self.poll(|| Ok(call.is_complete()), domain, Vec::new);
        let completed = completed.and_then(|()| call.into_result());
        completed.map_err(|error| self.fail(self.cause(error, domain), domain))
    }

    /// The smallest of all ranks' verdicts on the object that they make, by the memory that they
    /// share. None if they do not all share memory.
    pub(super) fn smallest_verdict(&self, verdict: i32) -> Option<Result<i32, CreateError>> {
        let domain = self.domain.get().and_then(Weak::upgrade);
        let domain = domain.filter(|domain| !domain.topology().spans_nodes())?;
        let segment = domain.segment();
        segment.post_verdict(verdict);
        let mut smallest = None;
        let is_complete = || {
            smallest = segment.smallest_verdict();
            Ok(smallest.is_some())
        };
        let completed = self.poll(is_complete, Some(&domain), Vec::new);
        // The verdicts of ranks that have given up meanwhile are void. A rank that gives up in this very moment is not
        // seen.
        let completed = completed.and_then(|()| match given_up_by(&domain) {
            None => Ok(()),
            Some(by) => {
                let lost = self.lost(Some(&domain)).map(Lost::error);
                Err(lost.unwrap_or_else(|| too_late(by)))
            }
        });
        let completed = completed.map_err(|error| self.fail(error, Some(&domain)));
        Some(completed.map(|()| smallest.expect("all have posted theirs")))
    }

    /// The error for the lowest rank that is known to have died, if there is one. No further call is
    /// begun then.
    pub(super) fn death(&self) -> Option<CreateError> {
        let domain = self.domain.get().and_then(Weak::upgrade)?;
        let mut ranks = 0..domain.topology().size();
        let dead = ranks.find(|&rank| domain.departure(rank) == Some(Absence::Died))?;
        let error = CreateError::absent(dead as u32, Absence::Died);
        Some(self.fail(error, Some(&domain)))
    }

    /// Notes why this rank has given up a call, also for the other ranks of the node.
    fn fail(&self, error: CreateError, domain: Option<&Domain>) -> CreateError {
        let _ = self.failure.set(error.clone());
        if let Some(domain) = domain {
            domain.segment().give_up_creations();
        }
        error
    }

    fn poll(
        &self,
        mut is_complete: impl FnMut() -> Result<bool, CreateError>,
        domain: Option<&Domain>,
        missing: impl Fn() -> Vec<i32>,
    ) -> Result<(), CreateError> {
        for _ in 0..SPINS {
            if is_complete()? {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        let limit = *lock(&self.limit);
        let start = Instant::now();
        let (mut inspected, mut lost_since) = (start, None);
        let mut interruption = Interruption::of_wait(start);
        // Others may have given up before this rank came.
        let is_late = domain.and_then(given_up_by).is_some();
        let mut sleep_time = FIRST_SLEEP;
        while !is_complete()? {
            if let Some(domain) = domain {
                domain.progress();
            }
            let now = Instant::now();
            let waited = now - start;
            if waited < POLL {
                thread::yield_now();
                continue;
            }
            if interruption.has_come(now) {
                return Err(CreateError::Interrupted);
            }
            let gave_up = domain.and_then(given_up_by);
            if gave_up.is_some() || now - inspected >= INSPECTION {
                inspected = now;
                if let Some(lost) = self.loss(domain) {
                    let since = *lost_since.get_or_insert(now);
                    if gave_up.is_some() || now - since >= GRACE {
                        return Err(lost);
                    }
                }
            }
            if let (Some(rank), true) = (gave_up, is_late) {
                return Err(too_late(rank));
            }
            if gave_up.is_some() || limit.is_some_and(|limit| waited >= limit) {
                let missing = domain.map_or_else(missing, missing_on_node);
                return Err(CreateError::Timeout { waited, missing });
            }
            thread::sleep(sleep_time);
            sleep_time = (sleep_time * 2).min(LONGEST_SLEEP);
        }
        Ok(())
    }

    /// Why a call has failed: MPI may find out before this library that a rank has died.
    fn cause(&self, error: CreateError, domain: Option<&Domain>) -> CreateError {
        let CreateError::Mpi { .. } = error else {
            return error;
        };
        let start = Instant::now();
        while start.elapsed() < NEWS {
            if let Some(domain) = domain {
                domain.progress();
            }
            if let Some(lost) = self.loss(domain) {
                return lost;
            }
            thread::sleep(LONGEST_SLEEP);
        }
        error
    }

    /// The error for a host, or else the lowest rank, that is known to be lost.
    fn loss(&self, domain: Option<&Domain>) -> Option<CreateError> {
        let host = domain.and_then(Domain::host_loss).map(CreateError::from);
        host.or_else(|| self.lost(domain).map(Lost::error))
    }

    /// The lowest rank that is known to have died or ended.
    fn lost(&self, domain: Option<&Domain>) -> Option<Lost> {
        let Some(domain) = domain else {
            return self.lost_elsewhere();
        };
        (0..domain.topology().size()).find_map(|rank| Lost::find(rank, domain, rank))
    }

    /// The lowest rank that is known to have died or ended from another communicator.
    fn lost_elsewhere(&self) -> Option<Lost> {
        let contexts = contexts();
        let lowest_lost = |context: &Arc<Context>| {
            // SAFETY: the user's communicator is borrowed while its first object is made, and only then is there no
            // domain; that of a context is not freed before the context is dropped.
            let places = unsafe { translate(self.comm.0, context.all().raw()) }?;
            let mut ranks = places.iter().enumerate();
            ranks.find_map(|(rank, place)| Lost::find(rank, context.domain(), (*place)? as usize))
        };
        let lost = contexts.iter().filter_map(lowest_lost);
        lost.min_by_key(|lost| lost.rank)
    }
}

/// A rank that takes no part any more.
struct Lost {
    rank: u32,
    absence: Absence,
}

impl Lost {
    /// The rank, if it is lost as the rank `place` of `domain`.
    fn find(rank: usize, domain: &Domain, place: usize) -> Option<Self> {
        let absence = domain.departure(place)?;
        let rank = rank as u32;
        Some(Lost { rank, absence })
    }

    fn error(self) -> CreateError {
        CreateError::absent(self.rank, self.absence)
    }
}

/// The error on a rank that comes after `rank` has given up.
fn too_late(rank: i32) -> CreateError {
    let found = "it has waited too long for this rank".to_owned();
    CreateError::OtherRank { rank, found }
}

/// The rank of this node that was the first to give up making an object.
fn given_up_by(domain: &Domain) -> Option<i32> {
    let local_rank = domain.segment().gave_up_creations()?;
    Some(domain.topology().local_ranks()[local_rank] as i32)
}

/// The ranks of this node that have begun fewer creations than this one.
fn missing_on_node(domain: &Domain) -> Vec<i32> {
    let segment = domain.segment();
    let here = segment.creations(segment.me());
    let ranks = domain.topology().local_ranks().iter().enumerate();
    ranks
        .filter(|(local_rank, _)| segment.creations(*local_rank) < here)
        .map(|(_, &rank)| rank as i32)
        .collect()
}
