//! `#[collective]` calls: all ranks make them together and agree on the outcome.

use crate::error::CollectiveError;
use crate::location::{CallSite, Function};
use crate::net::mpi_has_ended;
use crate::rendezvous;
use crate::rendezvous::{Arrival, Outcome, Payload, Reason, Rendezvous, Step};
use crate::rwlock::controller::WindowController;
use crate::share::{panic_message, text_of};
use crate::shm::block::ObjectName;
use crate::shm::domain::Domain;
use crate::span::{self, Activity, Hold};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;
use std::thread;

/// A collective call that this rank is in. [`#[collective]`](macro@crate::collective) expands to
/// it.
///
/// On entry the ranks check that they are in the same call; on exit they agree on its outcome. If
/// it is dropped in between, the other ranks get [`CollectiveError::Failed`], and this rank goes on
/// without waiting for them. Do not leak it (`mem::forget`): this rank would stay inside the call,
/// and each later collective call would be an error.
#[must_use = "the other ranks wait for `agree`"]
pub struct Collective {
    site: CallSite,
    depth: u32,
    domain: Arc<Domain>,
    object: ObjectName,
    /// The identity of the controller.
    controller: u64,
    /// Whether this rank is in the call.
    inside: bool,
    /// How many failures of other ranks this thread had got before the call.
    failures_before: u64,
    hold: Hold,
}

impl Collective {
    /// Enters the call `name`. Collective, waits for all ranks.
    ///
    /// # Errors
    /// [`CollectiveError::Diverged`], with both calls, if another rank is in another call;
    /// [`CollectiveError::Failed`] and [`CollectiveError::Panicked`] if another rank has left an
    /// outer call that way; [`CollectiveError::RankDied`].
    #[track_caller]
    pub fn enter(ctrl: &mut WindowController, name: &'static str) -> Result<Self, CollectiveError> {
        Self::enter_at(ctrl, CallSite::new(name, Location::caller()))
    }

    /// [`enter`](Self::enter) for a function with the attribute.
    #[doc(hidden)]
    #[track_caller]
    pub fn enter_function(
        ctrl: &mut WindowController,
        function: Function,
    ) -> Result<Self, CollectiveError> {
        Self::enter_at(ctrl, CallSite::of(function, Location::caller()))
    }

    fn enter_at(ctrl: &WindowController, site: CallSite) -> Result<Self, CollectiveError> {
        ctrl.check_usable()?;
        ctrl.end_leaked_call();
        let domain = ctrl.block().domain();
        let mut call = Collective {
            site,
            depth: domain.depth(),
            domain: Arc::clone(domain),
            object: ctrl.block().object_name().clone(),
            controller: ctrl.block().identity(),
            inside: false,
            failures_before: rendezvous::failures(),
            hold: Hold::default(),
        };
        call.meet(ctrl, Step::Enter, Outcome::Fine, rendezvous::NOTHING)?;
        domain.set_depth(call.depth + 1);
        call.inside = true;
        call.hold.begin(|| {
            ctrl.block()
                .about(Activity::Collective, site.label(), Some(site.location()))
        });
        Ok(call)
    }

    /// Runs this rank's part of the call. Not collective.
    ///
    /// # Errors
    /// The panic of `body`, if it panics.
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> thread::Result<R> {
        catch_unwind(AssertUnwindSafe(body))
    }

    /// Agrees on the outcome: each rank gets its own value if all succeeded, otherwise the failure of
    /// the rank that failed first: the lowest one that failed on its own. A rank that fails after
    /// another collective call inside this one has returned the failure of another rank counts only
    /// if no other failed. Collective, waits for all ranks.
    ///
    /// # Errors
    /// On the rank that failed first, its own error; on all other ranks, that error as a
    /// [`CollectiveError`].
    pub fn agree<T, E>(
        self,
        ctrl: &mut WindowController,
        outcome: thread::Result<Result<T, E>>,
    ) -> Result<T, E>
    where
        E: From<CollectiveError> + Display,
    {
        self.settle(ctrl, None, outcome)
    }

    /// [`agree`](Self::agree), which also checks that all ranks name the same `sharer`.
    fn settle<T, E>(
        mut self,
        ctrl: &WindowController,
        sharer: Option<i32>,
        outcome: thread::Result<Result<T, E>>,
    ) -> Result<T, E>
    where
        E: From<CollectiveError> + Display,
    {
        let (mine, own) = match outcome {
            Ok(Ok(value)) => (Outcome::Fine, Ok(value)),
            Ok(Err(error)) => {
                let reason = self.reason(text_of(&error));
                (Outcome::Failed(reason), Err(Some(error)))
            }
            Err(panic) => {
                let reason = self.reason(panic_message(panic.as_ref()));
                (Outcome::Panicked(reason), Err(None))
            }
        };
        self.come_out(match mine {
            Outcome::Fine => span::Outcome::Success,
            _ => span::Outcome::Failure,
        });
        let payload = payload_for(sharer);
        let met = self.meet(ctrl, Step::Exit, mine, payload);
        let failed = met.map(|met| match met.failure() {
            Some((rank, failure)) => {
                if rank as i32 != ctrl.rank() {
                    rendezvous::count_failure();
                }
                Some(failure)
            }
            None => self.disagreement(payload, &met),
        });
        match (failed, own) {
            (Ok(None), Ok(value)) => Ok(value),
            (Ok(None), Err(_)) => unreachable!("this rank's failure is among the outcomes"),
            (Ok(Some(failure)), own) => {
                let rank = ctrl.rank();
                match own {
                    Err(Some(error)) if is_of(&failure, rank) => Err(error),
                    _ => Err(failure.into()),
                }
            }
            (Err(_), Err(Some(error))) => Err(error),
            (Err(error), _) => Err(error.into()),
        }
    }

    /// [`agree`](Self::agree), but all ranks get the value of `rank`, which must be the same on all
    /// ranks. Collective, waits for all ranks.
    ///
    /// # Errors
    /// Those of `agree`; [`CollectiveError::WriterMismatch`] on all ranks if they name different
    /// ranks; [`CollectiveError::NoSuchRank`]; [`CollectiveError::Encode`] and
    /// [`CollectiveError::Decode`] if the value cannot be serialized or deserialized.
    pub fn agree_on<T, E>(
        self,
        ctrl: &mut WindowController,
        rank: i32,
        outcome: thread::Result<Result<T, E>>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<CollectiveError> + Display,
    {
        let size = ctrl.size();
        let site = self.site;
        let known = (0..size).contains(&rank);
        let outcome = match outcome {
            Ok(Ok(_)) if !known => Ok(Err(CollectiveError::NoSuchRank { rank, size }.into())),
            outcome => outcome,
        };
        let value = self.settle(ctrl, Some(rank), outcome)?;
        let call = ctrl.call(ctrl.begin_call(), site);
        if rank != ctrl.rank() {
            return Ok(call.collect_encoded(rank as usize, None)?);
        }
        call.share_as_agreed(&value)?;
        Ok(value)
    }

    /// The error if a rank names another sharer than this rank.
    fn disagreement(&self, here: Payload, met: &Rendezvous<'_>) -> Option<CollectiveError> {
        let differs = |(_, there): &(usize, &Payload)| **there != here;
        let (rank, there) = met.payloads().find(differs)?;
        let named = |payload: Payload| payload[0].checked_sub(1).map(|rank| rank as u32 as i32);
        let here_call = self.object.call(self.site.label(), self.site.place());
        let there_call = met.call(rank);
        Some(match (named(here), named(*there)) {
            (Some(here), Some(there)) => CollectiveError::WriterMismatch {
                here,
                here_call,
                rank: rank as i32,
                there,
                there_call: Some(there_call),
            },
            // One of the two names no sharer.
            _ => CollectiveError::diverged(here_call, rank, there_call),
        })
    }

    fn meet<'a>(
        &self,
        ctrl: &'a WindowController,
        step: Step,
        outcome: Outcome,
        payload: Payload,
    ) -> Result<Rendezvous<'a>, CollectiveError> {
        let arrival = self.arrival(step, ctrl.calls(), outcome, payload);
        rendezvous::meet(ctrl.block(), &arrival)
    }

    fn arrival(&self, step: Step, calls: u64, outcome: Outcome, payload: Payload) -> Arrival<'_> {
        Arrival {
            step,
            depth: self.depth,
            object: &self.object,
            site: self.site,
            calls,
            outcome,
            payload,
        }
    }

    /// The reason for which this rank fails.
    fn reason(&self, text: String) -> Reason {
        Reason {
            text,
            passed_on: rendezvous::failures() > self.failures_before,
        }
    }

    /// Notes that this rank has left the call.
    fn come_out(&mut self, outcome: span::Outcome) {
        self.inside = false;
        let _ended = self.hold.end_as(outcome);
        self.domain.set_depth(self.depth.min(self.domain.depth()));
    }
}

impl Drop for Collective {
    fn drop(&mut self) {
        if !self.inside {
            return;
        }
        self.come_out(span::Outcome::Failure);
        if self.domain.needs_mpi() && mpi_has_ended() {
            return;
        }
        let outcome = if thread::panicking() {
            let text = "see what that rank wrote to its standard error";
            Outcome::Panicked(self.reason(text.to_owned()))
        } else {
            let text = "it left the call without an outcome (`Collective` dropped)";
            Outcome::Failed(self.reason(text.to_owned()))
        };
        let arrival = self.arrival(Step::Exit, 0, outcome, rendezvous::NOTHING);
        rendezvous::leave(&self.domain, self.controller, &arrival);
    }
}

impl fmt::Debug for Collective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collective")
            .field("name", &self.site.name())
            .field("location", &self.site.location())
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}

/// The payload that names the rank whose value all ranks get, if there is one.
fn payload_for(sharer: Option<i32>) -> Payload {
    let mut payload = rendezvous::NOTHING;
    payload[0] = sharer.map_or(0, |rank| 1 + u64::from(rank as u32));
    payload
}

/// Whether `failure` is that of `rank`.
fn is_of(failure: &CollectiveError, rank: i32) -> bool {
    matches!(failure, CollectiveError::Failed { rank: of, .. } | CollectiveError::Panicked { rank: of, .. } if *of == rank)
}
