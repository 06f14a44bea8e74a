//! Calls that all ranks make together and whose outcome they agree on.

use crate::agree::{self, Outcome, Stand, Step};
use crate::controller::WindowController;
use crate::error::FenceError;
use crate::fence::panic_message;
use crate::place::Place;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::thread;

/// A collective call that this rank is in; what [`#[collective]`](macro@crate::collective) expands to.
///
/// On entry the ranks make sure that they are in the same call, and on exit they agree on what came of it.
#[must_use = "the other ranks wait for `agree`"]
#[derive(Debug)]
pub struct Collective {
    name: &'static str,
    location: &'static Location<'static>,
    depth: u32,
}

impl Collective {
    /// Enters the call `name`. Collective, waits for all ranks.
    ///
    /// # Errors
    /// [`FenceError::Diverged`] where another rank is in another call, with both places;
    /// [`FenceError::Failed`] and [`FenceError::Panicked`] where another rank has left an outer call so;
    /// [`FenceError::RankDied`].
    #[track_caller]
    pub fn enter(ctrl: &mut WindowController, name: &'static str) -> Result<Self, FenceError> {
        ctrl.check_usable()?;
        let call = Collective {
            name,
            location: Location::caller(),
            depth: ctrl.block().domain().depth(),
        };
        call.meet(ctrl, Step::Enter, Outcome::Fine)?;
        ctrl.block().domain().set_depth(call.depth + 1);
        Ok(call)
    }

    /// Runs this rank's part; a panic becomes an `Err`.
    ///
    /// # Errors
    /// The panic of `body`.
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> thread::Result<R> {
        catch_unwind(AssertUnwindSafe(body))
    }

    /// Agrees on the outcome: every rank's own value if all succeeded, otherwise the failure of the lowest rank that
    /// failed. Collective, waits for all ranks.
    ///
    /// # Errors
    /// On the lowest rank that failed its own error; on all others that rank's, as a [`FenceError`].
    pub fn agree<T, E>(
        self,
        ctrl: &mut WindowController,
        outcome: thread::Result<Result<T, E>>,
    ) -> Result<T, E>
    where
        E: From<FenceError> + Display,
    {
        ctrl.block().domain().set_depth(self.depth);
        let (mine, own) = match outcome {
            Ok(Ok(value)) => (Outcome::Fine, Ok(value)),
            Ok(Err(error)) => (Outcome::Failed(format!("{error:#}")), Err(Some(error))),
            Err(panic) => (Outcome::Panicked(panic_message(panic.as_ref())), Err(None)),
        };
        let met = self.meet(ctrl, Step::Exit, mine);
        let place = Place::from(self.location);
        let failed = met.map(|outcomes| {
            outcomes
                .iter()
                .enumerate()
                .find_map(|(rank, outcome)| agree::failure(rank, outcome, &place))
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

    /// [`agree`](Self::agree), after which all ranks have the value of `rank`. Collective, waits for all ranks.
    ///
    /// # Errors
    /// Those of `agree`; [`FenceError::NoSuchRank`]; [`FenceError::Encode`] and [`FenceError::Decode`] where the value
    /// cannot travel.
    pub fn agree_on<T, E>(
        self,
        ctrl: &mut WindowController,
        rank: i32,
        outcome: thread::Result<Result<T, E>>,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<FenceError> + Display,
    {
        let size = ctrl.size();
        let place = self.location;
        let known = (0..size).contains(&rank);
        let outcome = match outcome {
            Ok(Ok(_)) if !known => Ok(Err(FenceError::NoSuchRank { rank, size }.into())),
            outcome => outcome,
        };
        let value = self.agree(ctrl, outcome)?;
        let post = ctrl.post(ctrl.begin_call(), place);
        if rank != ctrl.rank() {
            return Ok(post.collect_encoded(rank as usize, None)?);
        }
        post.share_as_agreed(&value)?;
        Ok(value)
    }

    fn meet(
        &self,
        ctrl: &WindowController,
        step: Step,
        outcome: Outcome,
    ) -> Result<Vec<Outcome>, FenceError> {
        let stand = Stand {
            step,
            depth: self.depth,
            name: self.name,
            place: &Place::from(self.location),
            anywhere: false,
            calls: ctrl.calls(),
            outcome,
            said: agree::NOTHING,
        };
        Ok(agree::meet(ctrl.block(), &stand)?.outcomes)
    }
}

/// Whether `failure` is that of `rank`.
fn is_of(failure: &FenceError, rank: i32) -> bool {
    matches!(failure, FenceError::Failed { rank: of, .. } | FenceError::Panicked { rank: of, .. } if *of == rank)
}
