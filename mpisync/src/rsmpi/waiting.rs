//! How the collective calls of a creation wait for the other ranks: not for ever.

use crate::error::CreateError;
use crate::rsmpi::comm::test;
use crate::shm::domain::Domain;
use crate::shm::lock;
use crate::shm::wait::Surroundings;
use mpi::ffi;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often a call is tested before the scheduler gets involved.
const SPINS: u32 = 40;
/// How long a rank polls before it sleeps.
const POLL: Duration = Duration::from_millis(1);
/// The first sleep after that; each further one is twice as long.
const FIRST_SLEEP: Duration = Duration::from_micros(50);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);
/// How often a rank checks whether the others are alive.
const INSPECTION: Duration = Duration::from_millis(20);
/// How long a call may still complete after a rank has died: what the rank sent before arrives.
const GRACE: Duration = Duration::from_millis(100);

/// How the collective calls on a communicator wait.
pub(super) struct Waiting {
    /// How long a call waits; None if for ever.
    limit: Mutex<Option<Duration>>,
    /// Tells which ranks are alive; empty until the first object of the communicator is made.
    domain: OnceLock<Weak<Domain>>,
    /// Why a call has not completed. No further call is begun then: the ranks may be in different
    /// ones.
    failure: OnceLock<CreateError>,
}

impl Waiting {
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Waiting {
            limit: Mutex::new(limit),
            domain: OnceLock::new(),
            failure: OnceLock::new(),
        }
    }

    /// Begins another creation with its own limit.
    pub(super) fn begin(&self, limit: Option<Duration>) -> Result<(), CreateError> {
        if let Some(domain) = self.domain.get().and_then(Weak::upgrade) {
            domain.segment().begin_creation();
        }
        *lock(&self.limit) = limit;
        self.failure().map_or(Ok(()), Err)
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

    /// Waits until a request is complete. After an error MPI may still use its memory. `missing`
    /// names the ranks that have not come where no domain can.
    pub(super) fn complete(
        &self,
        mut request: ffi::MPI_Request,
        missing: impl Fn() -> Vec<i32>,
    ) -> Result<(), CreateError> {
        let domain = self.domain.get().and_then(Weak::upgrade);
        let completed = self.poll(&mut request, domain.as_deref(), missing);
        if let Err(error) = &completed {
            let _ = self.failure.set(error.clone());
            if let Some(domain) = domain {
                domain.segment().give_up_creations();
            }
        }
        completed
    }

    fn poll(
        &self,
        request: &mut ffi::MPI_Request,
        domain: Option<&Domain>,
        missing: impl Fn() -> Vec<i32>,
    ) -> Result<(), CreateError> {
        for _ in 0..SPINS {
            if test(request)? {
                return Ok(());
            }
            std::hint::spin_loop();
        }
        let limit = *lock(&self.limit);
        let start = Instant::now();
        let (mut inspected, mut lost_since) = (start, None);
        let mut sleep_time = FIRST_SLEEP;
        while !test(request)? {
            if let Some(domain) = domain {
                domain.progress();
            }
            let now = Instant::now();
            let waited = now - start;
            if waited < POLL {
                thread::yield_now();
                continue;
            }
            let missing = || domain.map_or_else(&missing, missing_on_node);
            if now - inspected >= INSPECTION
                && let Some(domain) = domain
            {
                inspected = now;
                inspect(domain, waited, &mut lost_since)?;
            }
            if limit.is_some_and(|limit| waited >= limit) {
                let missing = missing();
                return Err(CreateError::Timeout { waited, missing });
            }
            thread::sleep(sleep_time);
            sleep_time = (sleep_time * 2).min(LONGEST_SLEEP);
        }
        Ok(())
    }
}

/// Returns an error if the call cannot complete. `lost_since` tells when a rank was first found dead.
fn inspect(
    domain: &Domain,
    waited: Duration,
    lost_since: &mut Option<Instant>,
) -> Result<(), CreateError> {
    let gave_up = domain.segment().gave_up_creations();
    let ranks = 0..domain.topology().size();
    if let Some(rank) = ranks.into_iter().find(|&rank| !domain.rank_is_alive(rank)) {
        let since = lost_since.get_or_insert_with(Instant::now);
        if since.elapsed() < GRACE && gave_up.is_none() {
            return Ok(());
        }
        let rank = rank as i32;
        return Err(CreateError::RankDied { rank });
    }
    let Some(local_rank) = gave_up else {
        return Ok(());
    };
    let missing = missing_on_node(domain);
    if !missing.is_empty() {
        return Err(CreateError::Timeout { waited, missing });
    }
    Err(CreateError::OtherRank {
        rank: domain.topology().local_ranks()[local_rank] as i32,
        found: "it waits no longer".to_owned(),
    })
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
